"""The fixture ``kube``: a kubeconfig of a real cluster, or a reason why there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.kube import kubeconfig


@pytest.fixture(scope="session")
def kube() -> Path:
    """The path of a kubeconfig whose current context may do everything."""
    return kubeconfig()
