"""The supervisor of a detached run: ``python -m tieline.app.detached UUID FD``, started by :mod:`tieline.app.submit`.

FD is the run's lock, handed over. TERM and HUP stop the run properly; what goes wrong is in the run's
``supervisor.log``.
"""

from __future__ import annotations

import os
import signal
import sys

import tieline.starting  # noqa: F401 - before what takes long
from tieline.app.home import HomeFolder
from tieline.app.submit import Accepted, carry_out
from tieline.engines.base import Controls, Silent
from tieline.engines.folders import RunFolder
from tieline.engines.process.opening import sources_of
from tieline.model.plan import Plan
from tieline.runs.locks import RunLock
from tieline.runs.record import Record


def main(uuid: str, fd: int) -> None:
    """Carry one recorded run out to its end."""
    controls = Controls()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: controls.stop.set())
    home = HomeFolder.find()
    lock = RunLock.adopt(fd)
    with Record.open(home.database) as record:
        plan = Plan.model_validate(record.plan(uuid))
        folder = RunFolder(home.runs / uuid)
        sources = sources_of(plan)
        accepted = Accepted(plan, folder, home, lock, record, sources)
        if plan.notifications:
            from tieline.app.announcing import Announcer

            with Announcer(accepted, Silent()) as announcer:
                carry_out(accepted, announcer, controls)
                announcer.finish()
        else:
            carry_out(accepted, Silent(), controls)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
    os._exit(0)  # the run has ended: what was being fetched when it was stopped is waited for by nobody
