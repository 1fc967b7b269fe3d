"""``tieline`` and ``python -m tieline``. The version is told before anything is imported, because shells and
scripts ask for it all the time."""

from __future__ import annotations

import sys

import tieline.starting  # noqa: F401 - before what takes long


def main() -> None:
    """Carry one command line out, and exit with its code (:mod:`tieline.cli.exits`)."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from tieline import __version__

        print(f"tieline {__version__}")
        return
    from tieline.cli.entry import enter, leave

    leave(enter(sys.argv[1:]))


if __name__ == "__main__":
    main()
