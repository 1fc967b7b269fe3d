"""The noun ``runs``: what was run on this machine."""

from __future__ import annotations

from tieline.cli.lazy import Entry, LazyGroup

HELP = """Runs: what was run on this machine, and what is running. `tieline runs` alone lists them.

A RUN is an id, the beginning of one (4 characters or more), a name (the newest of that name), or `last`.
"""

runs = LazyGroup(
    "runs",
    HELP,
    {
        "list": Entry("runs_look:list_", "List runs, the newest first."),
        "show": Entry("runs_look:show", "Show everything about a run."),
        "logs": Entry("runs_logs:logs", "Print what a run printed; -f follows it."),
        "outputs": Entry("runs_outputs:outputs", "A run's outputs: list, get, push, path."),
        "stop": Entry("runs_end:stop", "Stop runs."),
        "rm": Entry("runs_end:rm", "Forget runs, with their outputs and logs."),
    },
    default="list",
)
