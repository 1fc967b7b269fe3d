"""What a kind of connection is: three pure answers. Nobody outside this package knows a kind by name.

A kind says its **schema** (what the catalog may write), what it **binds** into a job, and the **access** that adapters
and probes need to open it. A new kind is one new module here, or a third-party package that names a
:class:`Kind` in the entry point group ``tieline.kinds``; nothing else changes.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tieline.kinds.bindings import SAFE_ENTRY
from tieline.kinds.fields import HTTP_URL
from tieline.model.access import Access
from tieline.model.binding import Binding
from tieline.model.connection import Auth, Connection
from tieline.model.form import Form

Complaint = tuple[str, str, str]
"""A field (``secret.mountPath``), what is wrong with it, what to do."""


class Kind(ABC):
    """One kind of external system. Instances have no state."""

    name: ClassVar[str]
    """The word in the catalog: ``kind: s3``."""
    family: ClassVar[str]
    """volumes, buckets, code, images, clouds, databases, services, channels or custom."""
    title: ClassVar[str]
    """One line for people: what it connects to."""
    schema: ClassVar[type[Form]]
    """The typed form of the connection's ``schema``. One that allows extra keys makes them extra entries, with a
    warning that names the nearest known key."""
    needs_schema: ClassVar[bool] = True
    """Whether a connection without a ``schema`` is an error."""
    own_keys: ClassVar[bool] = False
    """Whether the keys of a schema are the user's own, so that none of them is a mistake."""
    relative_paths: ClassVar[tuple[str, ...]] = ()
    """Schema fields (spelt as in the file: ``hostPath``) that are paths of this machine, or may be (git's ``url``).
    A relative path there is relative to the catalog's file: the reader makes it absolute, and then validates."""
    auth_methods: ClassVar[tuple[str, ...]] = ("secret", "anonymous")
    """What ``auth.method`` may say."""
    logins: ClassVar[str] = ""
    """How Tieline itself logs in where ``auth`` says something else than a secret: a paragraph of the docs."""
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    """Connections as a catalog has them: a minimal one first, a full one last. Shown in the docs."""

    @abstractmethod
    def bind(self, connection: Connection) -> Binding:
        """What the connection puts into the main program; pure."""

    @abstractmethod
    def access(self, connection: Connection) -> Access:
        """How to open it; pure."""

    def check(self, connection: Connection) -> list[Complaint]:
        """Rules that the schema alone can't say: ``(field, what is wrong, what to do)`` for each that is broken."""
        return [
            *_auth(connection, self.name, self.auth_methods),
            *_twice(connection),
            *_resources(connection),
            *_extra_entries(connection, self.name),
        ]


def _auth(connection: Connection, kind: str, methods: tuple[str, ...]) -> Iterator[Complaint]:
    auth = connection.auth
    if auth is None:
        return
    if auth.method not in methods:
        known = ", ".join(methods) if methods else "no auth at all"
        yield "auth.method", f"the kind {kind} can't use {auth.method}", f"it takes {known}"
    elif auth.method == "secret" and connection.secret is None:
        yield "auth.method", "it says secret, and the connection names none", "add secret: {name: …}"
    elif auth.method == "assume-role" and not auth.role:
        yield "auth.role", "assume-role needs the role to take on", "add role: to auth"
    yield from _role(auth, "assume-role" in methods)


def _role(auth: Auth, has_roles: bool) -> Iterator[Complaint]:
    """What only goes with a role; ``has_roles``: whether the kind has any."""
    takes_on = has_roles and auth.method in ("assume-role", "workload-identity")
    for field, value in (("duration", auth.duration), ("endpoint", auth.endpoint)):
        if value is not None and not takes_on:
            yield f"auth.{field}", f"without a role to take on, {field} means nothing", "leave it out"
    if auth.external_id is not None and auth.method != "assume-role":
        yield "auth.externalId", f"{auth.method} has no external id", "leave it out"
    if auth.endpoint is not None:
        try:
            HTTP_URL.check(auth.endpoint)
        except ValueError as error:
            wrong, _, right = str(error).partition("|")
            yield "auth.endpoint", wrong, right


def _twice(connection: Connection) -> Iterator[Complaint]:
    names: set[str] = set()
    for number, variable in enumerate(connection.env):
        if variable.name in names:
            yield f"env.{number}.name", f"{variable.name} is already in this list", "keep one of them"
        names.add(variable.name)
    taken = getattr(connection.schema_, "mount_path", None)
    for field, ref in (("secret", connection.secret), ("configMap", connection.config_map)):
        if ref is None or ref.mount_path is None:
            continue
        if ref.mount_path == taken:
            yield f"{field}.mountPath", f"something else of this connection is at {taken}", "use another path"
        taken = taken or ref.mount_path


_LINE_END = ("it ends with a line break", "write it on one line, without '|'")  # which an expression's `$` lets pass


def _resources(connection: Connection) -> Iterator[Complaint]:
    """A key of a secret becomes the name of a file or of a variable, and is looked for in a folder on a laptop."""
    if connection.env_prefix.endswith("\n"):
        yield "envPrefix", *_LINE_END
    for field, ref in (("secret", connection.secret), ("configMap", connection.config_map)):
        if ref is None:
            continue
        if ref.name.endswith("\n"):
            yield f"{field}.name", *_LINE_END
        if ref.mount_path and ".." in ref.mount_path.split("/"):
            yield f"{field}.mountPath", "this is no absolute path without '..'", "write one like /etc/secrets"
        for number, key in enumerate(ref.items or ()):
            if not SAFE_ENTRY.match(key):
                right = "use letters, digits, '.', '_' and '-', as Kubernetes does"
                yield f"{field}.items.{number}", "this can't be the name of a key", right


_CREDENTIAL = re.compile(
    r"(?:password|passwd|pwd|passphrase|token|secret|api_?key|access_?key|secret_?key|private_?key|client_?secret)",
    re.IGNORECASE,
)


def _extra_entries(connection: Connection, kind: str) -> Iterator[Complaint]:
    for name in getattr(connection.schema_, "model_extra", None) or {}:
        if _CREDENTIAL.fullmatch(name):
            yield (
                f"schema.{name}",
                "a credential in the catalog would be seen by everyone who reads a plan or a record",
                "put it into a secret, and name that in 'secret'",
            )
        elif not SAFE_ENTRY.match(name):
            yield (
                f"schema.{name}",
                "this key can't be the name of a file",
                "use letters, digits, '.', '_' and '-': every key becomes a file of the binding directory",
            )
        elif name in ("type", "provider"):
            yield (
                f"schema.{name}",
                f"the file {name} of the binding directory says what the connection is: {kind}",
                "use another key",
            )
