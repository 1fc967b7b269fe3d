"""One deliverer, until nothing is waiting: ``python deliver.py HOME unlimited|limited``."""

from __future__ import annotations

import sys
from pathlib import Path

from tieline.app.delivering import Deliverer
from tieline.app.home import HomeFolder
from tieline.app.notifications import wait_for
from tieline.runs.record import Record

if __name__ == "__main__":
    home = HomeFolder(Path(sys.argv[1]))
    with Record.open(home.database) as record, Deliverer(home, record, unlimited=sys.argv[2] == "unlimited"):
        wait_for(record.outbox, 3600)
