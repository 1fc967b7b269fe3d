"""A deliverer in a process of its own, for tests that kill it: ``python deliver_harness.py HOME``. It delivers until
nothing is waiting."""

from __future__ import annotations

import sys
from pathlib import Path

from tieline.app.delivering import Deliverer
from tieline.app.home import HomeFolder
from tieline.app.notifications import wait_for
from tieline.runs.record import Record

NEEDS = ("tieline.app.delivering", "tieline.channels.slack", "tieline.channels.pagerduty", "httpx2")
"""What it imports sooner or later."""


def main(home: HomeFolder) -> None:
    with Record.open(home.database) as record, Deliverer(home, record, unlimited=True):
        wait_for(record.outbox, 60.0)


if __name__ == "__main__":
    main(HomeFolder(Path(sys.argv[1])))
