"""Ending what runs beside the collector, in a process namespace of the test's own: a pod's containers share theirs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, os, subprocess, sys, time
from tieline.engines.kubernetes.others import end_others
mine = subprocess.Popen(["sleep", "60"])
if os.fork() == 0:  # not this one's child: its parent ends, and the first process inherits it
    deaf, polite = "trap '' TERM; while :; do sleep 0.1; done", "trap 'echo ended > gone; exit' TERM; sleep 60 & wait"
    for script in ("sleep 60", deaf, polite):
        subprocess.Popen(["sh", "-c", script], start_new_session=True)
    os._exit(0)
os.wait()
time.sleep(0.5)
count = end_others(1.0)
time.sleep(0.3)
states = {}
for name in filter(str.isdigit, os.listdir("/proc")):
    try:
        text = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()
    except OSError:
        continue
    if text[0] not in "ZX":
        states[int(name)] = int(text[1])
print(json.dumps({"count": count, "mine": mine.poll(), "left": sorted(set(states) - {1, os.getpid(), mine.pid})}))
mine.kill()
"""


def test_all_but_its_own_are_ended(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        pytest.skip("a process namespace of one's own needs unshare and root")
    (tmp_path / "script.py").write_text(SCRIPT)
    shell = f'"{sys.executable}" script.py; true'
    done = subprocess.run(
        [unshare, "--pid", "--fork", "--mount-proc", "sh", "-c", shell],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["count"] >= 3
    assert found["mine"] is None, "the collector's own processes go on"
    assert found["left"] == []
    assert (tmp_path / "gone").read_text() == "ended\n", "each is asked first"
