"""A node that is lost under its runs: they are told so, the one is tried again elsewhere, the other can be stopped.

The node is a ghost (:mod:`kube_ghost`): what becomes of it and of its pods, the cluster's own controllers do.
"""

from __future__ import annotations

import pytest
from kube_ghost import ghost
from kube_runs import There, ns, there
from secrets_kube import kube

__all__ = ["kube", "ns", "there"]


@pytest.mark.timeout(300)
def test_a_node_that_is_lost(there: There) -> None:
    with ghost(there.ns.admin) as node:
        away = f"the pod's node '{node.name}' does not answer the cluster"
        lost = f"the pod's node '{node.name}' is lost: it does not answer the cluster"
        file = there.job("echo elsewhere", name="tried-again", environment=node.comes_first(tolerationSeconds=3))
        stays = there.begin(there.job("echo never", name="stays", environment=node.comes_first()))
        process = there.start("run", file, "--engine", "kubernetes", "-n", there.ns.name)
        for pod in node.has(there.ns.name, 2):
            node.runs(pod)
        out, err = there.ended(process)
        assert out == "elsewhere\n"
        assert away in err
        assert "\nattempt 2\n" in err
        assert "do not come" not in err, "nobody waits for lines of a node that is away"
        shown = there.show("tried-again")
        assert (shown["status"], shown["attempt"]) == ("succeeded", 2)
        assert [event["message"] for event in shown["events"] if event["status"] == "retrying"] == [lost]
        shown = there.show(stays)
        assert (shown["status"], shown["message"]) == ("running", away)
        there("runs", "stop", stays)
        assert there.until("stopped", stays)["reason"] == "stopped"
