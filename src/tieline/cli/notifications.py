"""The noun ``notifications``: who was told of what, who was not, and telling them again."""

from __future__ import annotations

from tieline.cli.lazy import Entry, LazyGroup

HELP = """Notifications: who was told of which event of a run, and what became of it. Without more, it lists them.

They are delivered by the command that runs the job; what takes longer is left to a process of its own.
"""

notifications = LazyGroup(
    "notifications",
    HELP,
    {
        "list": Entry("notifications_look:list_", "List notifications, the newest first."),
        "show": Entry("notifications_look:show", "Show one, with each attempt to deliver it."),
        "retry": Entry("notifications_send:retry", "Try again what could not be delivered."),
        "deliver": Entry("notifications_send:deliver", "Deliver what is waiting; --follow goes on."),
    },
    default="list",
)
