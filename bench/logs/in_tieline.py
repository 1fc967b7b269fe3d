"""Tieline's redactor alone: ``python in_tieline.py LINES SECRETS`` (two files), prints JSON. As a run feeds it: in
portions."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tieline.secrets.needles import all_needles
from tieline.secrets.redactor import Masker
from tieline.steps.spools import PORTION

if __name__ == "__main__":
    data = Path(sys.argv[1]).read_bytes()
    values = Path(sys.argv[2]).read_bytes().splitlines()
    began = time.process_time()
    masker = Masker(needles := all_needles(values))
    masker.mask(values[-1])  # the automaton that is made with the first hit
    registering = time.process_time() - began
    redactor = masker.redactor()
    began = time.process_time()
    given = 0
    for at in range(0, len(data), PORTION):
        given += len(redactor.feed(data[at : at + PORTION]))
    given += len(redactor.flush())
    taken = time.process_time() - began
    assert given == len(masker.mask(data)), "what is given in portions is what is given at once"
    print(json.dumps({
        "register_s": registering, "needles": len(needles), "mb_s": len(data) / 1e6 / taken,
    }))  # fmt: skip
