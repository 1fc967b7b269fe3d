"""``python -m tieline.engines.kubernetes.inside steps FIRST END [--first [CONNECTION …]]``, or ``… collect``.

The first container also writes the binding directories of the connections that are named.
"""

from __future__ import annotations

import os
import signal
import sys

import tieline.starting  # noqa: F401 - before what takes long
from tieline.engines.base import Flag

USAGE = 64


def main(argv: list[str]) -> int:
    """Do what the container's command says; its exit code."""
    stop = Flag()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    match argv:
        case ["steps", first, end, *rest] if rest[:1] in ([], ["--first"]):
            from tieline.engines.kubernetes.inside.steps import run_steps

            return run_steps(int(first), int(end), rest[1:] if rest else None, stop)
        case ["collect"]:
            from tieline.engines.kubernetes.inside.opaque import hide

            hide()  # before the long imports
            from tieline.engines.kubernetes.inside.collect import run_collector

            return run_collector(os.environ, stop)
    sys.stderr.write(f"{__doc__}\n")
    return USAGE


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # a thread that waits for a server keeps nothing from ending
