"""What the probes of SQL servers share: the tables that there are, and a refused login in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tieline.model.access import Credentials
from tieline.probes.family import Failed, Skipped, no_credential
from tieline.probes.place import Place

INSTALL = "the driver {driver} is not installed: pip install 'tieline[{extra}]'"
MANY = 1000
"""Tables that are looked at."""
_TOLD = (
    (r"no password supplied|using password: NO", "", "", ""),
    (r"permission denied for database|Access denied for user .* to database",
     "this user may not use that database, or it is not there", "check its name, or GRANT the right", "database"),
    (r"password authentication failed|Access denied for user|SASL authentication failed|authentication failed",
     "the server does not take the user and password", "check the secret", "password"),
    (r'role "[^"]*" does not exist', "the server knows no such user", "check the user's name", "username"),
    (r'database "[^"]*" does not exist|Unknown database', "there is no such database", "check its name", "database"),
    (r"no pg_hba.conf entry|is not allowed to connect|pg_hba.conf rejects",
     "the server lets nobody in from here as this user", "allow this host there (pg_hba.conf, the account's host)",
     "username"),
    (r"invalid connection option|invalid sslmode|invalid .* value",
     "the client does not know one of the options", "correct it", "options"),
    (r"too many (clients|connections)|remaining connection slots", "the server has no room for one more",
     "try again, or allow it more connections", ""),
    (r"starting up|shutting down", "the server is starting or stopping", "try again", ""),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """A table, by schema and name, and what this login may do with it."""

    name: tuple[str, ...]
    readable: bool
    writable: bool


def table_words(tables: Sequence[Table], database: str) -> str:
    """``12 tables, 11 of them readable``."""
    if not tables:
        return f"no table in {database} yet"
    count = f"more than {MANY - 1}" if len(tables) >= MANY else str(len(tables))
    readable = sum(table.readable for table in tables)
    return f"{count} {'table' if len(tables) == 1 else 'tables'} in {database}, {readable} of them readable"


def first_readable(tables: Sequence[Table], part: str) -> Table:
    """A table to read from. Raises Skipped where there is none, Failed where none may be read."""
    if not tables:
        raise Skipped("there is no table yet that could be read; the server answers queries")
    table = next((table for table in tables if table.readable), None)
    if table is None:
        raise Failed(f"this user may read none of the {len(tables)} tables", "GRANT it SELECT", part)
    return table


def refusal_of(said: str, credentials: Credentials, place: Place) -> Failed:
    """Why a login was refused; the driver's own words are kept behind ours."""
    lines = [line for line in said.strip().splitlines() if line.strip()]
    last = re.sub(r"^.*(?:FATAL|ERROR): +", "", lines[-1].strip()) if lines else "no reason given"
    for pattern, reason, hint, part in _TOLD:
        if not re.search(pattern, said):
            continue
        if not reason:
            return no_credential(credentials, "the server asks for a password", "password")
        named = f" ({place.username})" if place.username and part in ("password", "username") else ""
        return Failed(f"{reason}{named}: {last}", hint, part)
    if "timeout" in said:
        raise TimeoutError
    return Failed(f"no connection: {last}", "see the server's log", "host")
