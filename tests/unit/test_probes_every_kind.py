"""Every kind of the registry can be tested: its examples give a whole report, and none of them surprises a probe."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import pytest

from tieline.kinds import registry
from tieline.kinds.base import Kind
from tieline.kinds.pages import connect
from tieline.model import access
from tieline.probes import Limits, Operation, Outcome, credential_values, probe
from tieline.probes.families import DATABASES, FAMILIES
from tieline.probes.family import is_secret
from tieline.secrets.secret import Secret

EXAMPLES = [
    pytest.param(kind, example, id=f"{kind.name}-{number}")
    for kind in registry.all_kinds()
    for number, example in enumerate(kind.examples)
]


@pytest.fixture(autouse=True)
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is reached: no name has an address."""

    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
@pytest.mark.parametrize("with_secrets", [False, True])
def test_an_example(kind: Kind, example: Mapping[str, Any], with_secrets: bool) -> None:
    found = kind.access(connect(kind, example))
    secrets = {name: Secret(f"canary-{name}-value") for name in credential_values(found)} if with_secrets else {}
    report = probe(found, secrets, Limits(timeout=5, total=10))
    assert [result.operation for result in report.results] == list(Operation)
    assert all(result.detail and "unexpected" not in result.detail for result in report.results)
    assert not any(result.outcome is Outcome.PASS for result in report.results if result.operation != "resolve")
    hidden = [name for name, value in credential_values(found).items() if is_secret(value)]
    assert not any(f"canary-{name}" in repr(report) for name in hidden)


def test_the_table_has_every_access() -> None:
    union = access.Access.__origin__  # type: ignore[attr-defined]
    assert set(FAMILIES) | {access.Database} == set(union.__args__)
    protocols = {found.protocol for kind, example in ((p.values[0], p.values[1]) for p in EXAMPLES)
                 if isinstance(found := kind.access(connect(kind, example)), access.Database)}  # fmt: skip
    assert set(DATABASES) <= protocols
