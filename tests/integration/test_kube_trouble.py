"""Runs while the API server is away, busy or slow: nothing is lost, it is told once, and the end is the right one.

``TIELINE_SOAK=1``: for a minute.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import yaml
from kube_pods import server_of
from kube_runs import There, ns, there
from secrets_kube import kube

from servers.kube_front import front
from servers.wire import wire

__all__ = ["kube", "ns", "there"]
AWAY = 60.0 if "TIELINE_SOAK" in os.environ else 6.0
EVERY = 0.02
NOW = "cannot be seen now"


def lines(there: There) -> tuple[str, str]:
    """A job that prints numbered lines for longer than the trouble lasts, and what it prints."""
    count = int((AWAY + 4) / EVERY)
    file = there.job(f"i=0; while [ $i -lt {count} ]; do echo line $i; i=$((i+1)); usleep {int(EVERY * 1e6)}; done")
    return file, "".join(f"line {number}\n" for number in range(count))


def config(there: There, server: str) -> str:
    """The kubeconfig, with another way to the server."""
    data = yaml.safe_load(there.ns.config.read_text())
    for cluster in data["clusters"]:
        cluster["cluster"]["server"] = server
    path = there.root / "kubeconfig"
    path.touch(0o600)
    path.write_text(yaml.safe_dump(data))
    return str(path)


def begun(there: There, file: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """``tieline run``, whose job has printed: its first byte is taken from the output."""
    process = there.start("run", file, "--engine", "kubernetes", "-n", there.ns.name, env=env)
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 1) == b"l"
    return process


def test_the_api_server_is_away(there: There) -> None:
    """For the command and for the collector inside: both have the same line to it."""
    file, wanted = lines(there)
    with wire(server_of(there.ns.config)[1]) as line:
        env = {"KUBECONFIG": config(there, f"https://127.0.0.1:{line.port}"), "TIELINE_KUBERNETES_PORT": str(line.port)}
        process = begun(there, file, env)
        line.is_cut = True
        line.cut()
        until = time.monotonic() + AWAY
        listed, said = there("runs", "list", env=env)
        assert "running" in listed
        assert "stand is not known now" in said, said
        time.sleep(max(0.0, until - time.monotonic()))
        line.is_cut = False
        out, err = there.ended(process)
    assert f"l{out}" == wanted
    assert err.count(NOW) == 1, err
    assert there("runs", "logs", "last")[0] == wanted
    assert there.show()["status"] == "succeeded"


def test_the_api_server_is_busy_and_slow(there: There) -> None:
    """For the command: first every request is refused with a 429, then with a 500, then answered late."""
    file, wanted = lines(there)
    server = yaml.safe_load(there.ns.config.read_text())["clusters"][0]["cluster"]
    with front(server_of(there.ns.config)[1], Path(server["certificate-authority"])) as before:
        process = begun(there, file, {"KUBECONFIG": config(there, before.endpoint)})
        for status in (429, 500):
            before.status = status
            before.cut()
            time.sleep(AWAY / 2)
        before.slow, before.status = 2.0, None
        out, err = there.ended(process)
    assert before.answered[429]
    assert before.answered[500]
    assert f"l{out}" == wanted
    assert 1 <= err.count(NOW) <= len(("broken off", "refused")), err
    assert there.show()["status"] == "succeeded"
