"""What Tieline's own containers leave behind when they end: the termination message, JSON of 4 KiB at most."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tieline.errors import Problem, StepFailed, TielineError
from tieline.secrets.redactor import Masker

MOST = 4096
LONGEST = 900
"""Bytes of one text."""
MESSAGE = Path("/dev/termination-log")
VERSION = 1


def fitted(message: Mapping[str, Any], masker: Masker) -> bytes:
    """The message as JSON, without secrets, and cut so that it fits: long texts at first, then the ends of its lists,
    the longest first."""
    found = {key: masked(value, masker) for key, value in message.items()}
    found["tieline"] = VERSION
    while len(data := _dumped(found)) > MOST:
        lists = [key for key, value in found.items() if isinstance(value, list) and value]
        if not lists:
            break
        longest = max(lists, key=lambda key: len(_dumped({"": found[key]})))
        found[longest] = found[longest][:-1]
    return data


def problem_of(error: BaseException) -> Problem:
    """The first thing that an error tells."""
    known = error if isinstance(error, TielineError) and error.problems else StepFailed.from_error(error)
    return known.problems[0]


def told(problem: Problem | None) -> dict[str, str] | None:
    """A problem as it stands in a message."""
    if problem is None:
        return None
    return {"code": problem.code.value, "message": problem.message, "hint": problem.hint}


def leave(data: bytes, path: Path = MESSAGE) -> None:
    """Write the message where the kubelet finds it."""
    with suppress(OSError):  # without it the exit code says the most important
        path.write_bytes(data)


def masked(value: Any, masker: Masker) -> Any:
    """Without secrets, and no text longer than it should be."""
    if isinstance(value, str):
        data = masker.mask(value.encode("utf-8", "replace"))
        short = data if len(data) <= LONGEST else data[: LONGEST - 3] + "…".encode()
        return short.decode(errors="ignore")
    if isinstance(value, Mapping):
        return {key: masked(part, masker) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [masked(part, masker) for part in value]
    return value


def _dumped(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
