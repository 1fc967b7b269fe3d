"""What is left of a run's outputs and lines when its pod ends badly: by its memory limit, deleted, evicted, or with all
its processes killed at once. The job writes numbered files and lines, and beside them the truth, outside of the pod.

How many seconds' worth was lost in each case stands at the end of pytest's output. ``TIELINE_SOAK=1``: fifty times.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from kube_runs import There, ns, there
from secrets_kube import kube

from servers.processes import eventually
from tieline.engines.kubernetes.api import PODS, Kind, Object
from tieline.engines.kubernetes.names import RUN

__all__ = ["kube", "ns", "there"]
SOAK = "TIELINE_SOAK" in os.environ
AT_ONCE = 3
"""So many pods side by side."""
ONCE = AT_ONCE if SOAK else 1
BATCHES = 17 if SOAK else 1
INTERVAL = 2
"""The job's ``syncInterval``: seconds between two looks at its outputs."""
SLACK = 4.0
"""Beside the interval: looking and saving take a moment, too, on a machine that does much else."""
LONG = 5.0
SCRIPT = """\
[ -e /truth/all ] && exit 0
trap 'exit 9' TERM
i=0
while [ ! -e /truth/enough ]; do
  read now rest < /proc/uptime
  echo $i $now > $TIELINE_OUTPUTS/f$i
  echo line $i $now
  echo $i $now >> /truth/all
  i=$((i+1))
  usleep 20000
done
exec tail /dev/zero
"""


Figure = Callable[[str], None]


@dataclass
class Victim:
    """A run whose pod is about to end. ``truth``: a folder of this machine, which the job writes to as well."""

    there: There
    run: str
    truth: Path

    @property
    def pod(self) -> Object:
        """Its first pod."""
        found = self.there.ns.admin.list(PODS, self.there.ns.name, {RUN: self.run})["items"]
        return dict(min(found, key=lambda pod: pod["metadata"]["creationTimestamp"]))

    def wrote(self) -> dict[int, float]:
        """All that the job wrote: number and time."""
        return _numbers((self.truth / "all").read_text())

    def processes(self) -> list[int]:
        """Those of the pod's containers that have its uid, or its run's, in their environment."""
        marks = (self.pod["metadata"]["uid"].encode(), f"TIELINE_RUN_UUID={self.run}".encode())
        found = []
        for entry in Path("/proc").iterdir():
            try:
                environ = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
            except OSError:  # it has ended meanwhile
                continue
            found += [int(entry.name)] if any(mark in environ for mark in marks) else []
        return found


End = Callable[[Victim], None]


def out_of_memory(victim: Victim) -> None:
    (victim.truth / "enough").touch()


def deleted(victim: Victim) -> None:
    victim.there.ns.admin.delete(PODS, victim.there.ns.name, victim.pod["metadata"]["name"])


def deleted_at_once(victim: Victim) -> None:
    victim.there.ns.admin.delete(PODS, victim.there.ns.name, victim.pod["metadata"]["name"], grace=0)


def evicted(victim: Victim) -> None:
    name = victim.pod["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": name}}
    victim.there.ns.admin.create(Kind("v1", f"pods/{name}/eviction"), victim.there.ns.name, eviction)


def killed(victim: Victim) -> None:
    """As if the node had lost its power: main and the collector, in one moment."""
    for pid in victim.processes():
        with suppress(ProcessLookupError):  # its parent's end was its own
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("batch", range(BATCHES))
@pytest.mark.parametrize(
    ("end", "times", "is_whole"),
    [
        (out_of_memory, ONCE, True), (deleted, AT_ONCE, True), (evicted, AT_ONCE, True),
        (deleted_at_once, AT_ONCE, False), (killed, ONCE, False),
    ],
)  # fmt: skip
def test_what_is_lost(
    there: There, tmp_path: Path, end: End, times: int, is_whole: bool, batch: int, figure: Figure
) -> None:
    del batch
    victims = begun(there, [tmp_path / f"truth-{number}" for number in range(times)])
    uids = {victim.run: victim.pod["metadata"]["uid"] for victim in victims}
    for victim in victims:
        end(victim)
    losses = []
    for victim in victims:
        eventually(partial(_has_ended, victim, uids[victim.run]), patience=120, every=0.5)
        losses.append(lost(victim, is_whole))
        figure(f"{end.__name__}: {losses[-1]}")
    for loss in losses:
        assert loss.files <= INTERVAL + SLACK
        assert loss.lines <= INTERVAL + SLACK  # logs are saved more often, as long as they are so young


@dataclass
class Loss:
    """How many seconds' worth was lost."""

    files: float
    lines: float
    told: str

    def __str__(self) -> str:
        return f"lost {self.files:.2f} s of files, {self.lines:.2f} s of lines {self.told}"


def lost(victim: Victim, is_whole: bool) -> Loss:
    """What is lost of one run; there is no hole in what is left, and where the end was in time, nothing is lost."""
    there = victim.there
    shown = there.shown(lambda run: run["status"] in ENDED, victim.run)
    wrote = victim.wrote()
    (attempt,) = (path for path in there.store.rglob("attempt-1") if victim.run in path.parts)
    files = _numbers("".join(path.read_text() for path in attempt.joinpath("outputs").iterdir()))
    lines = _numbers(there("runs", "logs", victim.run, "--attempt", "1")[0].replace("line ", ""))
    assert list(lines) == list(range(len(lines))), "what is there is the beginning, without a hole"
    assert files, "some of each were written long before the end"
    assert lines, "some of each were written long before the end"
    if is_whole:
        assert wrote.items() <= files.items()  # there may be one more than the job came to write down
        assert wrote.items() <= lines.items()
    counts = f"({len(wrote.keys() - files)} and {len(wrote.keys() - lines)} of {len(wrote)})"
    return Loss(_lost(wrote, files), _lost(wrote, lines), f"{counts}; {shown['status']}, {shown['message']!r}")


ENDED = ("succeeded", "failed", "stopped")


def begun(there: There, truths: Sequence[Path]) -> list[Victim]:
    """Runs that have written for a while, side by side."""
    processes = []
    for truth in truths:
        truth.mkdir()
        file = there.job(
            SCRIPT,
            name=truth.name,
            container={
                "volumeMounts": [{"name": "truth", "mountPath": "/truth"}],
                "resources": {"limits": {"memory": "40Mi"}},
            },
            volumes=[{"name": "truth", "hostPath": {"path": str(truth)}}],
            plugins={"sidecar": {"syncInterval": INTERVAL}},
        )
        processes.append(there.start("run", file, "--engine", "kubernetes", "-n", there.ns.name, "--detach"))
    runs = [there.ended(process)[0].strip() for process in processes]
    victims = [Victim(there, run, truth) for run, truth in zip(runs, truths, strict=True)]
    for victim in victims:
        eventually((victim.truth / "all").exists, every=0.2)
        eventually(lambda run=victim.run: any(there.store.rglob(f"{run}/attempt-1/outputs/f*")), every=0.2)
    time.sleep(LONG)
    return victims


def _has_ended(victim: Victim, uid: str) -> bool:
    """Whether the pod has gone, or none of its containers goes on."""
    found = victim.there.ns.admin.list(PODS, victim.there.ns.name, {RUN: victim.run})["items"]
    pod = next((one for one in found if one["metadata"]["uid"] == uid), None)
    return (pod is None or pod["status"]["phase"] in ("Succeeded", "Failed")) and not _is_writing(victim)


def _is_writing(victim: Victim) -> bool:
    before = victim.wrote()
    time.sleep(0.5)
    return victim.wrote() != before


def _numbers(text: str) -> dict[int, float]:
    """``NUMBER TIME``, a line each; the last one may be cut."""
    lines = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return {int(number): float(at) for number, at in lines}


def _lost(wrote: dict[int, float], kept: dict[int, float]) -> float:
    """How many seconds lie between the first thing that is missing and the last that was written."""
    missing = [at for number, at in wrote.items() if number not in kept]
    return max(wrote.values()) - min(missing) if missing else 0.0
