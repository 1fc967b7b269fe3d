"""What one may do with notifications beside delivering them: wait for them, and send them over another channel."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path

from tieline.app.catalogs import find, view_of
from tieline.app.deployment import load_deployment
from tieline.app.home import HomeFolder
from tieline.app.pinning import pin_of
from tieline.app.secrets import source_settings
from tieline.compile.channels import channel_of
from tieline.errors import Code, Refused
from tieline.model.notification import Notification
from tieline.model.run import ChannelPin
from tieline.runs.outbox import Outbox

PAUSE = 0.1


def current_pin(told: Notification, config: Path | None, home: HomeFolder) -> ChannelPin:
    """The notification's connection as the catalog has it now. Raises NotFound, and Refused where it is no channel."""
    deployment = load_deployment(config, home)
    connection = find(view_of(deployment, told.namespace), told.connection)
    channel = channel_of(connection)
    if channel is None:
        message = f"{told.connection!r} is of kind {connection.kind} now, which tells nobody"
        raise Refused.of(Code.WRONG_KIND, message, "leave out --from-catalog, or mend the catalog")
    return pin_of(told.connection, told.namespace, channel, source_settings(deployment, told.namespace))


def wait_for(
    outbox: Outbox,
    seconds: float,
    only: Collection[int] | None = None,
    given_up: Callable[[], bool] = lambda: False,
    *,
    forever: bool = False,
) -> None:
    """Until these notifications (or all) are over, or so many seconds have passed, or it is given up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not given_up():
        if not forever and not _is_left(outbox, only):
            return
        time.sleep(PAUSE)


def _is_left(outbox: Outbox, only: Collection[int] | None) -> bool:
    return bool(outbox.waiting()) if only is None else outbox.are_waiting(only)
