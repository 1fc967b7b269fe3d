"""What all tests share: soak mode, hypothesis profiles, a home of their own, and figures that are told at the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
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


FIGURE = "figure"
CLUSTER_ROOMS = {"contract", "integration"}
"""Where ``make test`` looks for tests that need a cluster."""


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tells what a test has measured, for the end of pytest's output: a test that passes prints nothing."""
    return lambda text: record_property(FIGURE, text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """First tries of what was tried again, and the figures: they come with the reports, whichever process made them."""
    for report in terminalreporter.stats.get("rerun", ()):  # a second try hides nothing of the first
        terminalreporter.section(f"tried a second time: {report.nodeid}")
        terminalreporter.line(report.longreprtext)
    reports = [one for outcome in ("passed", "failed") for one in terminalreporter.stats.get(outcome, ())]
    told = [
        f"{report.nodeid.rpartition('::')[2]}: {text}"
        for report in reports if report.when == "call" for name, text in report.user_properties if name == FIGURE
    ]  # fmt: skip
    if told:
        terminalreporter.section("figures")
        for line in sorted(told):
            terminalreporter.line(line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a cluster: it waits more than it works, so many go on at once, after all others."""
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        callspec = getattr(item, "callspec", None)
        is_engine = callspec is not None and callspec.params.get("engine") == "kubernetes"
        if (
            is_engine
            or "kube" in item.fixturenames
            or (item.path.name.startswith("test_kube_") and "integration" in item.path.parts)
        ):
            item.add_marker(pytest.mark.cluster)
            if not CLUSTER_ROOMS & set(item.path.parts):
                raise pytest.UsageError(f"{item.nodeid} needs a cluster: it belongs to {' or '.join(CLUSTER_ROOMS)}")
