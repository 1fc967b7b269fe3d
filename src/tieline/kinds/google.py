"""A Google service account's key, which is a file for every SDK: shared by the bucket and the cloud kinds."""

from __future__ import annotations

from collections.abc import Mapping

from tieline.kinds import keys
from tieline.kinds.bindings import from_secret
from tieline.kinds.derived import GOOGLE_KEYFILE, derive, entry_path, first
from tieline.model.binding import Value
from tieline.model.connection import Connection


def google_credentials(connection: Connection) -> dict[str, Value | None]:
    """A service account's key: its text, and a path that the secret may name instead."""
    keyfile = from_secret(connection, keys.GOOGLE_KEYFILE)
    return {
        "keyfile.json": derive(GOOGLE_KEYFILE, {"json": keyfile}) if keyfile else None,
        "key-path": from_secret(connection, keys.GOOGLE_KEY_PATH),
    }


def google_variables(connection: Connection, entries: Mapping[str, Value | None]) -> dict[str, str | Value | None]:
    """``GOOGLE_APPLICATION_CREDENTIALS`` is the key's file in the binding directory, else the path in the secret."""
    keyfile = entries["keyfile.json"]
    path = entry_path(connection.name, "keyfile.json", keyfile) if keyfile else None
    return {
        "GOOGLE_APPLICATION_CREDENTIALS": first(path, entries["key-path"]),
        "GOOGLE_CLOUD_PROJECT": "project",
    }
