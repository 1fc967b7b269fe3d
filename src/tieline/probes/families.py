"""Which family probes which access: the one table, and :func:`probe`, which is all that others need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from tieline.model.access import (
    Access,
    Channel,
    Database,
    GitRemote,
    Http,
    ObjectStore,
    Registry,
    Socket,
    SshHost,
    Volume,
)
from tieline.model.binding import Value
from tieline.probes.family import Asked, Failed, Family, credentials_of, is_secret
from tieline.probes.leftovers import under_way
from tieline.probes.report import Limits, Operation, Outcome, Report, Result
from tieline.probes.running import carry_out, unexpected
from tieline.secrets.scrub import Scrubber
from tieline.secrets.secret import Secret

FAMILIES: Mapping[type[Any], str] = {
    Volume: "volume:VolumeFamily",
    GitRemote: "git:GitFamily",
    SshHost: "ssh:SshFamily",
    Http: "http:HttpFamily",
    ObjectStore: "bucket:BucketFamily",
    Registry: "hosts:registry",
    Channel: "channel:channel",
    Socket: "hosts:plain",
}
"""Where each access's family is: a module of this room, imported when it is needed."""
DATABASES: Mapping[str, str] = {
    "postgresql": "postgres:PostgresFamily",
    "mysql": "mysql:MysqlFamily",
    "redis": "redis:RedisFamily",
    "sqlite": "sqlite:SqliteFamily",
}
"""The same for databases, by their protocol; another is a host and a port here."""
OTHER_DATABASE = "hosts:database"


def probe(
    access: Access,
    secrets: Mapping[str, Secret],
    limits: Limits,
    *,
    claims: Mapping[str, str] | None = None,
    known_hosts: Path | None = None,
    makes_folder: bool = False,
    sends: bool = False,
) -> Report:
    """Ask an external system, one operation after the other. It takes ``limits.total`` seconds at most, and raises
    nothing.

    ``secrets``: the values of ``access.credentials.values`` that there are; none of them is in the report. ``claims``:
    the local folder that stands for each claim. ``known_hosts``: the file of the connection's ssh servers whose keys
    were accepted before; it is read only. ``makes_folder``: a run makes the folder where it is missing.
    ``sends``: a channel is sent a marked test message.
    """
    values = credential_values(access)
    hidden = [secret for name, secret in secrets.items() if name not in values or is_secret(values[name])]
    scrub = Scrubber(hidden)
    try:
        family = _family(access)(access, Asked(secrets, limits, claims or {}, known_hosts, makes_folder, sends))
    except Failed as error:
        return _at_once(error, scrub)
    except Exception as error:
        return _at_once(unexpected(error), scrub)
    with under_way(family):
        return carry_out(family, limits, scrub)


def credential_values(access: Access) -> dict[str, Value]:
    """Where each credential is, by its name; of a repository behind ssh, the server's too."""
    ssh = access.ssh.credentials.values if isinstance(access, GitRemote) and access.ssh is not None else {}
    return {**ssh, **credentials_of(access).values}


def _family(access: Access) -> Callable[[Any, Asked], Family]:
    place = DATABASES.get(access.protocol, OTHER_DATABASE) if isinstance(access, Database) else FAMILIES[type(access)]
    module, _, name = place.partition(":")
    found: Callable[[Any, Asked], Family] = getattr(import_module(f"tieline.probes.{module}"), name)
    return found


def _at_once(error: Failed, scrub: Scrubber) -> Report:
    """The report of an access that can't even be asked: its address is none."""
    first = Result(Operation.RESOLVE, Outcome.FAIL, scrub(error.reason), None, scrub(error.hint), error.part)
    rest = (Result(operation, Outcome.SKIPPED, "resolve failed") for operation in list(Operation)[1:])
    return Report((first, *rest), frozenset(Operation))
