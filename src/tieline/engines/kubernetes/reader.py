"""A pod that reads an artifacts store, for as long as one command takes: made when it is asked, removed at the end.

Each thread that asks has a program of its own in the pod, of a few that are kept. What a killed command left ends by
itself (:mod:`inside_reader`), and the cluster removes it (:mod:`reader_job`).
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tieline.engines.kubernetes.api import PODS, Api
from tieline.engines.kubernetes.names import RUN
from tieline.engines.kubernetes.reader_job import ReaderJob, refused, stopped
from tieline.engines.kubernetes.reader_pod import CONTAINER, INSIDE, reader_job
from tieline.engines.kubernetes.reader_session import Broken, Session, Taken
from tieline.engines.kubernetes.refusals import ClusterError
from tieline.engines.kubernetes.rights import READER as RIGHTS
from tieline.engines.kubernetes.rights import missing_rights
from tieline.engines.kubernetes.settings import Cluster
from tieline.errors import Code, Problem, Refused, TielineError
from tieline.model.plan import Plan

AT_ONCE = 4
"""Programs in the pod."""

Told = Callable[[str], None]


@dataclass(slots=True)
class Reader:
    """The pod of one run's store. Any number of threads may ask. ``tell``: is told that a pod is started."""

    api: Api
    cluster: Cluster
    plan: Plan
    tell: Told
    writes: bool = False
    _job: ReaderJob | None = None
    _why_not: TielineError | None = None
    _starting: threading.Lock = field(default_factory=threading.Lock)
    _turns: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(AT_ONCE))
    _idle: list[Session] = field(default_factory=list)

    def ask(self, request: Mapping[str, Any], take: Taken = lambda _: None) -> list[Any]:
        """The items of the answer. Raises StoreTrouble (of the store there); ClusterError and Refused, where the pod
        cannot be had; StepFailed (STOPPED), where nobody waits for it any more; Broken, where it went away in the
        middle of an answer."""
        with self._turns:
            try:
                return self._ask_once(request, take)
            except Broken as error:
                if error.begun:
                    raise
            return self._ask_once(request, take, fresh=True)

    def _ask_once(self, request: Mapping[str, Any], take: Taken, *, fresh: bool = False) -> list[Any]:
        with self._session(fresh=fresh) as session:
            return session.ask(request, take)

    @contextmanager
    def _session(self, *, fresh: bool) -> Iterator[Session]:
        session = None if fresh else self._kept()
        if session is None:
            session = self._new()
        try:
            yield session
        except TielineError:  # it said so itself, and the next may ask
            self._idle.append(session)
            raise
        except BaseException:
            session.close()  # the rest of an answer may be on its way
            raise
        self._idle.append(session)

    def _kept(self) -> Session | None:
        with suppress(IndexError):
            return self._idle.pop()
        return None

    def _new(self) -> Session:
        """Start a program, in another pod where the last one has gone."""
        for again in (True, False):
            job = self._running()
            try:
                return Session.begun(self.api.start(self.cluster.namespace, job.pod, CONTAINER, [*INSIDE, "serve"]))
            except (ClusterError, Broken) as error:
                if again and not job.is_there():
                    self._forget(job)
                elif isinstance(error, ClusterError):
                    raise
                else:
                    why = f"its program does not answer: {error or 'it says nothing'}"
                    hint = f"does the image {self.cluster.image} have this version of Tieline?"
                    raise refused(why, hint) from None
        raise AssertionError("the second time ends it")

    # --- the pod

    def _running(self) -> ReaderJob:
        """What keeps the pod, once that runs."""
        with self._starting:
            if self._job is not None:
                return self._job
            if self._why_not is not None:  # nobody waits for the same twice
                raise self._why_not
            try:
                return self._start()
            except BaseException as error:
                self._job = None
                self._why_not = self._why_not or (error if isinstance(error, Refused) else None)
                raise

    def _start(self) -> ReaderJob:
        self._check_rights()
        what, namespace = "to remove" if self.writes else "to read", self.cluster.namespace
        self.tell(f"starting a pod in {namespace} {what} what the run saved: only the cluster sees it")
        id_ = secrets.token_hex(8)
        manifest = reader_job(id_, self.plan, self.cluster, node=self._node(), writes=self.writes)
        job = self._job = ReaderJob(self.api, namespace, id_)
        if self._why_not is not None:  # it was stopped meanwhile
            raise self._why_not
        job.start(manifest, self.tell)
        return job

    def _forget(self, job: ReaderJob) -> None:
        """The next who asks gets another pod. (Several threads may find that it has gone.)"""
        with self._starting:
            if self._job is job:
                job.remove()
                self._job = None

    def stop(self) -> None:
        """Wait for no pod any more; one that runs goes on. (For a signal's handler: it waits for no lock.)"""
        self._why_not = stopped()
        if (job := self._job) is not None:
            job.stop()

    def _check_rights(self) -> None:
        missing = missing_rights(self.api, self.cluster.namespace, RIGHTS) or []
        if vital := [str(right) for right in missing if right.vital]:
            raise Refused(Problem(
                Code.NOT_PERMITTED,
                f"only a pod in the cluster can read what the run saved, and in the namespace {self.cluster.namespace} "
                f"you may not {', '.join(vital)}",
                "ask the cluster's admin for the role tieline-reader (docs/cluster-rights.md)",
            ))  # fmt: skip

    def _node(self) -> str:
        """Where a pod of the run is, or was."""
        pods = self.api.list(PODS, self.cluster.namespace, {RUN: self.plan.run.uuid})["items"]
        pods.sort(key=lambda pod: pod["metadata"].get("creationTimestamp") or "")
        nodes = [pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")]
        return nodes[-1] if nodes else ""

    def close(self) -> None:
        """Remove the pod; none is made any more."""
        self._why_not = refused("the command has ended", "")
        while (session := self._kept()) is not None:
            session.close()
        with self._starting:
            if self._job is not None:
                self._job.remove()
                self._job = None
        self.api.close()
