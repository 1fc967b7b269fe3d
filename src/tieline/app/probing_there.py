"""Testing connections where jobs run, and what is different there: a network, a name, a secret, a volume, a right.

Each connection is tested here and by a pod of its own, side by side; what comes out is told operation by operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tieline.app.deployment import Deployment
from tieline.app.home import HomeFolder
from tieline.app.preparing import cluster_for
from tieline.app.probing import (
    AT_ONCE,
    Tested,
    access_of,
    check_connections,
    known_hosts_of,
    tested_elsewhere,
    tested_json,
)
from tieline.engines.kubernetes.api import Api
from tieline.engines.kubernetes.probe_message import Question
from tieline.engines.kubernetes.probing import Probes
from tieline.errors import Problem, Refused
from tieline.model.catalog import View
from tieline.model.connection import Connection
from tieline.probes import Limits, Operation, Outcome, Report, Result, end_all

MOST_KNOWN_HOSTS = 64 * 1024
"""Bytes of known host keys that a pod is given."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One connection, tested here and in a pod. ``trouble``: why the pod could say nothing."""

    here: Tested
    there: Tested | None
    trouble: Problem | None
    differs: tuple[Operation, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether something stands in a job's way."""
        return self.there is None or bool(self.there.failed)


def compare_connections(
    connections: Sequence[Connection],
    deployment: Deployment,
    view: View,
    home: HomeFolder,
    limits: Limits,
    *,
    account: str = "",
    sends: bool = False,
) -> list[Compared]:
    """Test these connections here and where jobs run, in their order. ``account``: the job's service account;
    ``sends``: channels are sent a marked test message, by the pod alone. Raises ClusterError where nobody answers."""
    cluster = cluster_for(deployment, view.namespace)
    pool = ThreadPoolExecutor(AT_ONCE + 1, thread_name_prefix="tieline-there")
    with Api.open(cluster.context) as api:
        probes = Probes(api, cluster, account)

        def ask(connection: Connection) -> Report | Problem:
            try:
                return probes.ask(_question(connection, view, home, limits, sends=sends))
            except Refused as error:
                return error.problems[0]

        try:
            local = pool.submit(check_connections, connections, deployment, view, home, limits)
            asked = [pool.submit(ask, connection) for connection in connections]
            answers = [one.result() for one in asked]
            return [
                _compared(here, answer, deployment, view, sends=sends)
                for here, answer in zip(local.result(), answers, strict=True)
            ]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            probes.end_all()
            end_all()


def _question(connection: Connection, view: View, home: HomeFolder, limits: Limits, *, sends: bool) -> Question:
    known = known_hosts_of(home, view.namespace, connection.name)
    text = known.read_text(errors="replace")[:MOST_KNOWN_HOSTS] if known.is_file() else ""
    makes = connection is view.store
    return Question(access_of(connection), limits, known_hosts=text, makes_folder=makes, sends=sends)


def _compared(here: Tested, answer: Report | Problem, deployment: Deployment, view: View, *, sends: bool) -> Compared:
    if isinstance(answer, Problem):
        return Compared(here, None, answer)
    there = tested_elsewhere(here.connection, answer, deployment, view.namespace, sends=sends)
    differs = tuple(
        operation
        for operation in Operation
        if _differ(here.report.of(operation), there.report.of(operation))
        and not (sends and operation is Operation.WRITE)
    )
    return Compared(here, there, None, differs)


def _differ(here: Result, there: Result) -> bool:
    """Another outcome; or another address of the same name."""
    if here.outcome is not there.outcome:
        return True
    resolved = here.operation is Operation.RESOLVE and here.outcome is Outcome.PASS
    return resolved and here.detail != there.detail


def compared_json(compared: Compared) -> dict[str, Any]:
    """As the local test's JSON, of what the pod saw; beside it what was seen here."""
    here = tested_json(compared.here)
    there = tested_json(compared.there) if compared.there else {**here, "ok": False, "operations": []}
    return {
        **there,
        "where": "job",
        "here": here["operations"],
        "differs": [operation.value for operation in compared.differs],
        "trouble": compared.trouble.as_json() if compared.trouble else None,
    }
