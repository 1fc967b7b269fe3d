"""Queues of runs in a real cluster: a place is one run's alone, a holder that has ended or is gone blocks nobody, and a
detached run waits by itself.

Jobs that make no pods (``parallelism: 0``) stand for runs where only the objects count."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_requests import counted
from kube_rights import Space, opened, plan_of
from kube_runs import KINDS, There, ns, there
from run_harness import Told
from secrets_kube import kube

from servers.processes import eventually
from tieline.app.submit import new_run
from tieline.engines.base import Controls
from tieline.engines.folders import RunFolder
from tieline.engines.kubernetes import slots as slots_module
from tieline.engines.kubernetes.api import JOBS, LEASES, Api
from tieline.engines.kubernetes.leases import Held, lease_of, renewal
from tieline.engines.kubernetes.names import own_labels
from tieline.engines.kubernetes.place import Place
from tieline.engines.kubernetes.preflight import preflight
from tieline.engines.kubernetes.queueing import STALE, Turn
from tieline.engines.kubernetes.refusals import ClusterError, Why
from tieline.engines.kubernetes.rights import JOBS as JOB_RIGHTS
from tieline.engines.kubernetes.rights import QUEUES, Right
from tieline.engines.kubernetes.slots import Slots, kept, release
from tieline.errors import Refused
from tieline.model.plan import Plan
from tieline.model.run import Status
from tieline.runs.record import Record
from tieline.secrets.memory import MemorySource
from tieline.secrets.sources import Sources

__all__ = ["kube", "ns", "there"]
STORE = {"artifactsStore": {"name": "st", "kind": "s3", "schema": {"bucket": "s3://bucket"}}}
ALL = {**KINDS, "leases": LEASES}


def planned(number: int, queue: str, limit: int = 1) -> Plan:
    """A run of a queue that no other test has."""
    found = plan_of(STORE, {})
    identity = found.run.model_copy(
        update={"uuid": f"{queue}{number}".encode().hex().rjust(32, "0"), "name": f"n{number}"}
    )
    return found.model_copy(update={"run": identity, "queue": queue, "queue_limit": limit, "engine": "kubernetes"})


def job(plan: Plan, ns: Space) -> dict[str, Any]:
    """A Job without pods."""
    meta = {"name": f"tieline-{plan.run.uuid}", "namespace": ns.name, "labels": own_labels(plan)}
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "i"}]}
    spec = {"parallelism": 0, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}


def end(plan: Plan, ns: Space) -> None:
    """The Job is over."""
    status = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    ns.admin.patch(JOBS, ns.name, f"tieline-{plan.run.uuid}", status, sub="status")


def leases(ns: Space) -> list[str]:
    return [item["metadata"]["name"] for item in ns.admin.list(LEASES, ns.name)["items"]]


def test_a_place_goes_on_when_its_run_has_ended(ns: Space) -> None:
    first, second = planned(1, "ends"), planned(2, "ends")
    held, waiting = Slots(ns.admin, ns.name, first).take(), Slots(ns.admin, ns.name, second)
    assert held is not None
    assert held.lease == "tieline-queue.ends.0"
    assert waiting.take() is None, "it is about to make its Job"
    assert [one.run for one in waiting.holders] == [first.run.uuid]
    ns.admin.create(JOBS, ns.name, job(first, ns))
    assert waiting.take() is None
    end(first, ns)
    taken = waiting.take()
    assert taken is not None
    assert (taken.lease, taken.run) == (held.lease, second.run.uuid)
    assert taken.uid != held.uid
    release(ns.admin, ns.name, first.run.uuid)
    assert held.lease in leases(ns), "it is another's by now"
    release(ns.admin, ns.name, second.run.uuid)
    assert held.lease not in leases(ns)


def test_of_many_that_come_at_once_only_so_many_have_a_place(ns: Space) -> None:
    plans = [planned(number, "many", 3) for number in range(12)]
    with ThreadPoolExecutor(len(plans)) as pool:
        found = list(pool.map(lambda plan: Slots(ns.admin, ns.name, plan).take(), plans))
    assert sorted(held.lease for held in found if held) == [f"tieline-queue.many.{number}" for number in range(3)]
    again = next(plan for plan, held in zip(plans, found, strict=True) if held)
    assert Slots(ns.admin, ns.name, again).take() in found, "an answer that was lost is no place that is lost"


def test_many_find_the_same_holders_gone(ns: Space) -> None:
    """Who removes a Lease removes the one that was left, never the one that somebody made in its place."""
    old = [planned(number, "rush", 3) for number in range(3)]
    for plan in old:
        assert Slots(ns.admin, ns.name, plan).take()
        ns.admin.create(JOBS, ns.name, job(plan, ns))
        end(plan, ns)
    plans = [planned(number, "rush", 3) for number in range(10, 22)]
    with ThreadPoolExecutor(len(plans)) as pool:
        found = [held for held in pool.map(lambda plan: Slots(ns.admin, ns.name, plan).take(), plans) if held]
    there = {item["metadata"]["uid"] for item in ns.admin.list(LEASES, ns.name, {"tieline.dev/queue": "rush"})["items"]}
    assert {held.uid for held in found} == there
    assert len({held.lease for held in found}) == len(found) == 3


def short(plan: Plan, ns: Space) -> Held:
    """A place that is left after a second."""
    made = lease_of(plan, ns.name, 0)
    made["spec"]["leaseDurationSeconds"] = 1
    found = ns.admin.create(LEASES, ns.name, made)["metadata"]
    return Held(found["name"], found["uid"], found["resourceVersion"], plan.run.uuid)


def test_who_made_no_job_and_says_nothing_has_lost_its_place(ns: Space) -> None:
    gone, waiting = planned(1, "silent"), Slots(ns.admin, ns.name, planned(2, "silent"))
    held = short(gone, ns)
    assert waiting.take() is None
    assert eventually(waiting.take).run != held.run
    with pytest.raises(ClusterError) as caught:
        ns.admin.patch(LEASES, ns.name, held.lease, renewal(held))
    assert caught.value.why in (Why.CONFLICT, Why.INVALID), "it may not keep what is another's"


def test_who_says_that_it_is_there_keeps_its_place(ns: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots_module, "DURATION", 0.6)
    slow, waiting = planned(1, "slow"), Slots(ns.admin, ns.name, planned(2, "slow"))
    held = short(slow, ns)
    versions = set()

    def lease() -> bool:
        assert waiting.take() is None
        versions.add(waiting.holders[0].version)
        return len(versions) > 12  # more than two seconds

    with kept(ns.admin, ns.name, held):
        eventually(lease)
    assert eventually(waiting.take).run != held.run


class Machine:
    """Runs that wait in one home; ``turn``: the next one, accepted after all others."""

    def __init__(self, ns: Space, root: Path, queue: str) -> None:
        self.ns, self.root, self.queue = ns, root, queue
        self.record, self.turns = Record.open(root / "runs.db"), list[Turn]()

    def turn(self, api: Api | None = None) -> Turn:
        plan = planned(len(self.turns), self.queue)
        self.record.accept(replace(new_run(plan, ()), engine="kubernetes"))
        folder = RunFolder(self.root / plan.run.uuid)
        folder.create()
        place = Place(None, self.ns.name)
        place.save(folder)
        self.turns.append(Turn(plan, folder, lambda: self.record, api or self.ns.admin, place, Told(), Controls()))
        return self.turns[-1]

    def status(self, turn: Turn) -> Status:
        return self.record.get(turn.plan.run.uuid).status


@pytest.fixture
def machine(ns: Space, tmp_path: Path) -> Iterator[Callable[[str], Machine]]:
    with ExitStack() as stack:

        def made(queue: str) -> Machine:
            found = Machine(ns, tmp_path, queue)
            stack.callback(found.record.close)
            return found

        yield made


def test_those_of_one_machine_come_in_their_order(ns: Space, machine: Callable[[str], Machine]) -> None:
    here = machine("line")
    first, second, third = here.turn(), here.turn(), here.turn()
    assert first.comes()
    assert not second.comes()
    assert not third.comes()
    told = here.record.get(third.plan.run.uuid)
    assert told.status is Status.QUEUED
    assert told.message == (
        f"it waits for a place in the queue 'line' (at most 1 at once), on this machine after "
        f"{second.plan.run.uuid[:8]} n1"
    )
    first.make([job(first.plan, ns)])
    end(first.plan, ns)
    asked = ns.admin.requests
    assert not third.comes(), "it is not its turn, whoever looks first"
    assert ns.admin.requests == asked, "and it costs the cluster nothing"
    silent = third.folder.root.parent / second.plan.run.uuid / "waits"
    long_ago = silent.stat().st_mtime - STALE - 1
    os.utime(silent, (long_ago, long_ago))
    assert third.comes(), "who says nothing is passed by"
    third.make([job(third.plan, ns)])
    assert not second.comes()
    assert here.record.get(second.plan.run.uuid).message.endswith(f"{third.plan.run.uuid[:8]} n2 has it")


def test_a_stop_that_comes_while_it_is_launched_is_not_lost(ns: Space, machine: Callable[[str], Machine]) -> None:
    here = machine("late")
    turn = here.turn()
    assert turn.comes()
    here.record.request_stop(turn.plan.run.uuid)
    turn.make([job(turn.plan, ns)])
    found = ns.admin.get(JOBS, ns.name, f"tieline-{turn.plan.run.uuid}")
    assert found is not None
    assert "tieline.dev/stopped" in found["metadata"]["annotations"]
    other = here.turn()
    other.controls.stop.set()
    assert not other.launch([job(other.plan, ns)])
    assert ns.admin.get(JOBS, ns.name, f"tieline-{other.plan.run.uuid}") is None


def test_without_rights_nobody_waits_for_ever(ns: Space, machine: Callable[[str], Machine]) -> None:
    with opened(ns.user("no-leases", [])) as api:
        turn = machine("mine").turn(api)
        with pytest.raises(ClusterError, match=r"list leases in namespace"):
            turn.launch([])


def warned(ns: Space, api: Api, plan: Plan) -> list[str]:
    """What the preflight says of rights."""
    try:
        found: Sequence[Any] = preflight(plan, api, ns.name, Sources([MemorySource({}, {})], "default")).warnings
    except Refused as error:
        found = error.problems
    return [str(problem) for problem in found if str(problem).startswith("rights")]


def test_each_right_on_leases_is_needed(ns: Space) -> None:
    """One has all rights but those: a run of a limited queue is refused, and the cluster's own answer to each real
    request names the right that is missing. Another run is accepted."""
    names: dict[Right, Callable[[Api], object]] = {
        QUEUES[0]: lambda api: api.create(LEASES, ns.name, lease_of(planned(1, "rights"), ns.name, 0)),
        QUEUES[1]: lambda api: Slots(api, ns.name, planned(1, "rights")).take(),
        QUEUES[2]: lambda api: api.delete(LEASES, ns.name, "x"),
        QUEUES[3]: lambda api: api.patch(LEASES, ns.name, "x", {}),
    }
    rules = [{"apiGroups": [r.group], "resources": [r.resource], "verbs": [r.verb]} for r in JOB_RIGHTS]
    with opened(ns.user("all-but-leases", rules)) as api:
        free = planned(1, "rights").model_copy(update={"queue_limit": None})
        eventually(lambda: not [line for line in warned(ns, api, free) if "you may not create jobs" in line], 20)
        assert not [line for line in warned(ns, api, free) if "leases" in line]
        here = f"leases.coordination.k8s.io in the namespace {ns.name}"
        assert [line.partition(":")[2] for line in warned(ns, api, planned(1, "rights")) if "leases" in line] == [
            f" you may not {words} {here}: {why}; ask the cluster's admin for the role tieline-queue-submitter "
            "(`tieline roles show submitter`)"
            for words, why in (
                ("create and list", QUEUES[0].why), ("delete", QUEUES[2].why), ("patch", QUEUES[3].why),
            )
        ]  # fmt: skip
        for right, ask in names.items():
            with pytest.raises(ClusterError, match=f"to {right.verb} leases") as caught:
                ask(api)
            assert caught.value.why is Why.FORBIDDEN


STOPPABLE = "trap 'exit 0' TERM; echo begun; while true; do sleep 0.1; done"


def limited(there: There, limit: int = 1) -> None:
    """A queue in the deployment file."""
    file = there.root / "tieline.yaml"
    catalog = {**yaml.safe_load(file.read_text()), "queues": {"one": {"concurrency": limit}}}
    file.write_text(yaml.safe_dump(catalog))


def in_queue(there: There, script: str, name: str) -> str:
    file = there.root / there.job(script, name=name)
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "queue": "one"}))
    return file.name


def begun(there: There, file: str) -> tuple[str, int]:
    """A detached run, and the process that waits for it (0: none)."""
    out, err = there.run(file, "--detach")
    found = re.search(r"it waits for a place in the queue 'one', in a process of its own \((\d+)\)", err)
    return out.strip(), int(found[1]) if found else 0


def test_detached_runs_wait_by_themselves(there: There) -> None:
    """The first ends with nobody looking; the second's process is killed, the third is stopped, the fourth goes on."""
    before = there.there(ALL)
    limited(there)
    first, none = begun(there, in_queue(there, STOPPABLE, "first"))
    second, process = begun(there, in_queue(there, "echo never", "second"))
    third, _ = begun(there, in_queue(there, "echo never", "third"))
    fourth, waiting = begun(there, in_queue(there, "echo its turn", "fourth"))
    assert none == 0
    assert there.show(second)["status"] == "queued"
    assert f"(at most 1 at once): {first[:8]} first has it" in there.show(second)["message"]
    os.kill(process, signal.SIGKILL)
    killed = there.until("failed", second)
    assert killed["message"] == "the tieline process that ran it died; nothing was launched"
    there("runs", "stop", third)
    assert [event["status"] for event in there.show(third)["events"]] == ["created", "queued", "saving", "stopped"]
    assert waiting
    there.ns.admin.patch(JOBS, there.ns.name, f"tieline-{first}", {"spec": {"activeDeadlineSeconds": 1}})
    there.until("succeeded", fourth)
    jobs = {item["metadata"]["name"][8:]: item for item in there.ns.admin.list(JOBS, there.ns.name)["items"]}
    ended = jobs[first]["status"]["conditions"][0]["lastTransitionTime"]
    assert jobs[fourth]["metadata"]["creationTimestamp"] >= ended
    assert there("runs", "logs", fourth)[0] == "its turn\n"
    assert there.there({"leases": LEASES}) == {"leases": before["leases"]}, "who sees the end gives the place back"
    there("runs", "rm", "--keep-artifacts", first, second, third, fourth)
    assert there.becomes(before, ALL)


def test_ctrl_c_while_it_waits_and_a_removal_of_a_run_under_way(there: There) -> None:
    before = there.there(ALL)
    limited(there)
    first, _ = begun(there, in_queue(there, STOPPABLE, "holds"))
    waits = there.start("run", in_queue(there, "echo never", "waits"), "--engine", "kubernetes", "-n", there.ns.name)
    assert waits.stderr is not None
    lines = iter(waits.stderr.readline, b"")
    assert any(f": {first[:8]} holds has it" in line.decode() for line in lines)
    waits.send_signal(signal.SIGINT)
    assert "starting a pod" not in there.ended(waits, 130)[1], "it saved nothing, and so there is nothing to read"
    assert there.show("waits")["status"] == "stopped"
    there("runs", "rm", "--force", "--keep-artifacts", first)
    assert there.becomes(before, ALL)


def test_two_machines_wait_for_one_place(there: There) -> None:
    """Two homes are two machines. Each job looks whether the other is there, on the node's own disk."""
    before = there.there({"leases": LEASES})
    limited(there)
    disk = there.root / "disk"
    disk.mkdir()
    file = there.root / in_queue(there, "mkdir /disk/busy && sleep 1 && rmdir /disk/busy && echo alone", "both")
    form = yaml.safe_load(file.read_text())
    form["run"]["volumes"] = [{"name": "disk", "hostPath": {"path": str(disk)}}]
    form["run"]["container"]["volumeMounts"] = [{"name": "disk", "mountPath": "/disk"}]
    file.write_text(yaml.safe_dump(form))
    words = ("run", file.name, "--engine", "kubernetes", "-n", there.ns.name)
    processes = [there.start(*words, env=env) for env in ({}, there.elsewhere())]
    ended = [there.ended(process) for process in processes]
    assert [out for out, _ in ended] == ["alone\n"] * 2
    assert sum("waits for a place in the queue" in err for _, err in ended) == 1
    assert there.there({"leases": LEASES}) == before


def test_what_a_place_costs(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(there)
    found = counted(there, monkeypatch, in_queue(there, "echo hello", "cost"))
    assert {what: count for what, count in found.items() if "leases" in what} == {
        "list leases": 2, "create leases": 1, "delete leases": 1,
    }  # fmt: skip
