"""What the tests of the outbox share: a record, channels that lead to a receiver, and runs that come to an end."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tieline.app.home import HomeFolder
from tieline.app.pinning import pin_of
from tieline.app.secrets import keeper
from tieline.compile.catalog import Home, read_catalog
from tieline.compile.channels import channel_of
from tieline.documents.document import parse_document
from tieline.model.notification import Delivery, Notification
from tieline.model.run import ChannelPin, NewRun, Run, Status, Watch
from tieline.runs.record import Record
from tieline.secrets.secret import Secret

ROUTING_KEY = b"0123456789abcdef0123456789abcdef"
WAITING = (Delivery.PENDING, Delivery.SENDING)


@dataclass
class World:
    """A home with a record, and the channels of its runs."""

    home: HomeFolder
    record: Record
    pins: dict[str, ChannelPin] = field(default_factory=dict)

    @classmethod
    def at(cls, folder: Path) -> World:
        home = HomeFolder(folder)
        home.create()
        return cls(home, Record.open(home.database))

    def channel(self, name: str, kind: str, **schema: Any) -> str:
        """A channel of this kind; its name."""
        file = {"notificationConnections": [{"name": name, "kind": kind, "schema": schema}]}
        if kind == "pagerduty":
            file["notificationConnections"][0]["secret"] = {"name": name}
            keeper(self.home, "secret").set("default", name, {"routing_key": Secret(ROUTING_KEY)})
        catalog, _ = read_catalog(parse_document(json.dumps(file), "tieline.yaml"), Home("/a", "/c", "/u"), "/")
        connection = catalog.views["default"].notifications[name]
        access = channel_of(connection)
        assert access is not None
        self.pins[name] = pin_of(name, "default", access, ())
        return name

    def run(
        self, *names: str, trigger: str = "done", name: str = "train", status: Status = Status.CREATED, more: str = ""
    ) -> Run:
        """A run of which these channels are told; brought to a status. ``more``: a second trigger."""
        pins = [self.pins[one] for one in names]
        watches = [
            Watch(pin.connection, word, pin.digest, bool(pin.access.get("resolves")))
            for pin in pins
            for word in (trigger, more)
            if word
        ]
        new = NewRun(
            uuid=uuid.uuid4().hex, name=name, project="penguins", namespace="default", kind="job", engine="process",
            plan={"version": 1}, catalog_digest="d", store="s", store_prefix="p", owner="ann",
            watches=tuple(watches), channels=tuple(pins),
        )  # fmt: skip
        run = self.record.accept(new)
        if status is not Status.CREATED:
            self.record.transition(run.uuid, Status.SAVING)
            run = self.record.transition(run.uuid, status, reason="exit-code", message="the job exited with 3")
        return run

    def ended(self, *names: str, status: Status = Status.FAILED, name: str = "train") -> Run:
        """A run that has ended so, of which these channels are told."""
        return self.run(*names, name=name, status=status)

    def told(self, connection: str | None = None, states: Iterable[Delivery] = ()) -> list[Notification]:
        """The rows, the first first."""
        return self.record.outbox.list(connection=connection, states=states)[::-1]

    def states(self) -> list[tuple[str, str, str]]:
        """Whom, of which status, and how it stands."""
        return [(one.connection, one.facts.status.value, one.state.value) for one in self.told()]

    def waits(self) -> bool:
        return bool(self.record.outbox.list(states=WAITING, limit=1))


def now() -> datetime:
    return datetime.now(UTC)
