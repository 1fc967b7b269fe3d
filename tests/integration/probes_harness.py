"""What the tests of probes share: an access with its login, its report in one word, and that no secret is in it."""

from __future__ import annotations

import base64
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tieline.model.access import Access, Credentials
from tieline.model.binding import FromSecret
from tieline.probes import Limits, Operation, Outcome, Report, Result, probe
from tieline.secrets.secret import Secret

QUICK = Limits(timeout=5, total=30)
HASTY = Limits(timeout=1, total=5)
"""For servers that never answer."""
MARKS = {Outcome.PASS: "P", Outcome.FAIL: "F", Outcome.SKIPPED: "-"}

Login = tuple[Credentials, dict[str, Secret]]


def login(**values: str | None) -> Login:
    """Credentials of the secret ``login``; a value of None is one that the secret does not have."""
    names = {name.replace("_", "-"): value for name, value in values.items()}
    return (
        Credentials(
            secret="login",
            method="secret",
            values={name: FromSecret(secret="login", keys=(name,), optional=True) for name in names},
        ),
        {name: Secret(value) for name, value in names.items() if value is not None},
    )


NOBODY: Login = (Credentials(), {})


def ask(access: Access, secrets: dict[str, Secret], limits: Limits = QUICK, **more: Any) -> Report:
    """Probe, and see that every operation is told, with words, and none of the secrets."""
    report = probe(access, secrets, limits, **more)
    assert [result.operation for result in report.results] == list(Operation)
    assert all(len(result.detail) > 3 for result in report.results)
    told = " ".join(f"{result.detail} {result.hint}" for result in report.results)
    for secret in secrets.values():
        value = secret.reveal_text().strip()
        if len(value) >= 4:
            assert value not in told
            assert quote(value, safe="") not in told
            assert base64.b64encode(value.encode()).decode().rstrip("=")[:-1] not in told
    return report


def marks(report: Report) -> str:
    """``PP-PPPPP``: resolve, reach, tls, authenticate, list, read, write, delete."""
    return "".join(MARKS[result.outcome] for result in report.results)


def of(report: Report, operation: str) -> Result:
    """One result."""
    return report.of(Operation(operation))


def failure(report: Report) -> Result:
    """The only failure."""
    (found,) = [result for result in report.results if result.outcome is Outcome.FAIL]
    return found


def new_folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def name_here(monkeypatch: pytest.MonkeyPatch, name: str = "pinned.example.invalid") -> str:
    """A name that this process alone resolves, to 127.0.0.1: whoever looks it up once more finds nothing."""
    usual = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **more: Any) -> Any:
        return usual("127.0.0.1" if host == name else host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return name
