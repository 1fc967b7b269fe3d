"""Tieline's redactor alone: ``python in_tieline.py LINES SECRETS`` (two files), prints JSON. As a run feeds it: whole
lines, up to 8 MiB at once."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tieline.secrets.needles import all_needles
from tieline.secrets.redactor import Masker
from tieline.steps.spools import CAP

if __name__ == "__main__":
    data = Path(sys.argv[1]).read_bytes()
    values = Path(sys.argv[2]).read_bytes().splitlines()
    began = time.process_time()
    masker = Masker(needles := all_needles(values))
    masker.mask(values[-1])  # the automaton that is made with the first hit
    registering = time.process_time() - began
    redactor = masker.redactor()
    began = time.process_time()
    out = [redactor.feed(data[at : at + CAP]) for at in range(0, len(data), CAP)]
    out.append(redactor.flush())
    taken = time.process_time() - began
    assert all(value not in part for value in values[:100] for part in out)
    print(json.dumps({
        "register_s": registering, "needles": len(needles), "mb_s": len(data) / 1e6 / taken,
    }))  # fmt: skip
