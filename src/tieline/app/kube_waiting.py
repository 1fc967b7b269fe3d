"""A detached run of a cluster that waits in its queue: ``python -m tieline.app.kube_waiting UUID FD``.

The process has the run's lock (FD), waits for a place, makes the run's objects, and ends; the cluster goes on alone.
What it makes was decided when the run was accepted, and is in the run's folder meanwhile: no secret's value is in it.
If it is killed, the next command that looks ends the run: nothing was launched. TERM and HUP stop the run; what goes
wrong is in the run's ``supervisor.log``.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import tieline.starting  # noqa: F401 - before what takes long
from tieline.app.home import HomeFolder
from tieline.app.kube import where
from tieline.app.kube_launching import Remote, launch_in_turn
from tieline.app.submit import Accepted, hand_over
from tieline.engines.base import Controls, Silent
from tieline.engines.folders import RunFolder
from tieline.engines.kubernetes.api import Api
from tieline.errors import TielineError
from tieline.model.plan import Plan
from tieline.model.run import Run
from tieline.runs.locks import RunLock
from tieline.runs.record import Record
from tieline.secrets.sources import Sources


def leave_waiting(accepted: Accepted, manifests: Sequence[dict[str, Any]]) -> int:
    """Hand the run to a process that launches it when it is its turn; its pid. Raises OSError."""
    _file(accepted.folder).write_text(json.dumps(manifests), encoding="utf-8")
    return hand_over(accepted, "tieline.app.kube_waiting")


def main(uuid: str, fd: int) -> None:
    """Launch one recorded run."""
    controls = Controls()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: controls.stop.set())
    home = HomeFolder.find()
    with RunLock.adopt(fd) as lock, Record.open(home.database) as record:
        run, folder = record.get(uuid), RunFolder(home.runs / uuid)
        place, plan = where(home, run), Plan.model_validate(record.plan(uuid))
        with Api.open(place.context) as api:
            remote = Remote(api, place, json.loads(_file(folder).read_text(encoding="utf-8")))
            no_secrets = Sources([], plan.run.namespace)  # those of a run are read in its pod
            accepted = Accepted(plan, folder, home, lock, record, no_secrets, remote=remote)
            ended = launch_in_turn(accepted, remote, _Telling(home), controls)
        with suppress(OSError):  # it is no use any more, and does no harm
            _file(folder).unlink(missing_ok=True)
    if ended is not None:
        _log(f"{ended.status.value}: {ended.message}")


class _Telling(Silent):
    """Has people told of what happens while it waits."""

    def __init__(self, home: HomeFolder) -> None:
        self._home = home

    def status(self, run: Run) -> None:
        if run.watches:
            from tieline.app.background import start_background

            start_background(self._home)

    def note(self, message: str) -> None:
        _log(message)


def _log(message: str) -> None:
    sys.stderr.write(f"{message}\n")  # it is the run's supervisor.log


def _file(folder: RunFolder) -> Path:
    return folder.root / "launch.json"


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]))
    except TielineError as error:
        sys.exit(str(error))
