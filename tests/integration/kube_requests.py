"""How many requests of the API server one run costs, carried out by this process."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from kube_runs import There
from run_harness import Told

from tieline.app.deployment import load_deployment
from tieline.app.home import HomeFolder
from tieline.app.preparing import Wanted, prepare
from tieline.app.submit import accept, carry_out
from tieline.engines.base import Controls
from tieline.model.run import Status

PREFLIGHT = frozenset({
    "create localsubjectaccessreviews", "create selfsubjectrulesreviews", "get namespaces", "get serviceaccounts",
})  # fmt: skip
"""What is asked before a run without any connection is accepted."""


def counted(there: There, monkeypatch: pytest.MonkeyPatch, file: str) -> Counter[str]:
    """The requests of a run that succeeds."""
    for name, value in there.env.items():
        monkeypatch.setenv(name, value)
    home = HomeFolder(Path(there.env["TIELINE_HOME"]))
    wanted = Wanted(there.root / file, namespace=there.ns.name, engine="kubernetes")
    accepted = accept(prepare(wanted, load_deployment(there.root / "tieline.yaml", home), home), home)
    assert accepted.remote is not None
    told = Told()
    ended = carry_out(accepted, told, Controls())
    accepted.record.close()
    assert ended.status is Status.SUCCEEDED
    assert told.printed == b"hello\n"
    return accepted.remote.api.counted
