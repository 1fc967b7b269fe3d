"""What all tests share: soak mode, hypothesis profiles, and a home of their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    if (
        signal.getsignal(number) is signal.SIG_IGN
    ):  # started in the background: what the tests start would ignore it too
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
SOAK = bool(os.environ.get("TIELINE_SOAK"))
settings.register_profile("ci", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("soak" if SOAK else "ci")


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a Tieline home of its own, and no deployment file from outside."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("TIELINE_HOME", str(home))
    monkeypatch.delenv("TIELINE_CONFIG", raising=False)
    return home
