"""Probes that are under way, and what they leave if they are ended in the middle: a private key must not outlive them.

Ctrl-C and TERM end them here. Whoever is killed outright leaves a folder in memory that has its process's number in its
name; the next test removes what belongs to nobody any more.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tieline.git.private import memory, remove_left
from tieline.probes.family import Family

_NAME = re.compile(r"tieline-git-(probe-([0-9]+)-[0-9a-f]+)\..*")
_under_way: set[Family] = set()


def new_mark() -> str:
    """What this process's private folders for git are called by."""
    return f"probe-{os.getpid()}-{secrets.token_hex(6)}"


@contextmanager
def under_way(family: Family) -> Iterator[None]:
    """Remember a family while it is probed."""
    _under_way.add(family)
    try:
        yield
    finally:
        _under_way.discard(family)


def end_all(patience: float = 2.0) -> None:
    """End every probe that is under way, and remove what it made: here, or in its own thread, which may be doing so."""
    for family in list(_under_way):
        for end in (family.cut, family.close):
            with suppress(Exception):
                end()
    until = time.monotonic() + patience
    while _under_way and time.monotonic() < until:
        time.sleep(0.01)


def remove_dead() -> None:
    """Remove the private folders of probes whose process was killed."""
    for parent in {memory(Path(tempfile.gettempdir())), Path(tempfile.gettempdir())}:
        for path in parent.glob("tieline-git-probe-*"):
            found = _NAME.fullmatch(path.name)
            if found and not Path("/proc", found[2]).exists():
                remove_left(found[1], parent)
