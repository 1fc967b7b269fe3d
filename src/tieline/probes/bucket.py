"""Buckets: the server is reached and judged like any other; then what its login may do with this one bucket is tried.

By least privilege: nothing is asked that a job would not ask. Other buckets are never listed; of this one the first
objects, under the connection's prefix; a few bytes of one are read; and one small object, under a name of its own, is
written and deleted.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from tieline.model.access import ObjectStore
from tieline.probes.family import Asked, Failed, Family, Skipped, Work, must_have_something
from tieline.probes.hosts import PLAIN, web
from tieline.probes.report import Operation
from tieline.probes.tls import Trust, judge
from tieline.stores import Stat, StoreTrouble, Why, shown
from tieline.stores.clients import endpoint_of, open_client

if TYPE_CHECKING:
    from tieline.stores.bucket import BucketStore

T = TypeVar("T")
MANY = 1_000
SOME = 64 * 1024
"""Bytes that are read of one object."""
_CONTENT = b"Written by `tieline connections test`, which removes it. If it is still here, remove it.\n"
_LOGINS = ("access-key-id", "secret-access-key", "keyfile.json", "account-key", "sas-token", "connection-string")


class BucketFamily(Family):
    """One bucket, and a prefix in it."""

    def __init__(self, access: ObjectStore, asked: Asked) -> None:
        super().__init__(asked)
        self._access, self._is_artifacts = access, asked.makes_folder
        part = "endpoint" if access.endpoint or asked.secrets.get("endpoint") else "bucket"
        trust = Trust(access.ca_bundle, lax="insecure: true" if access.insecure else "")
        self._where = web(endpoint_of(access, asked.secrets), asked, trust, access.proxy, part)
        self._opened: BucketStore | None = None
        self._listed: Sequence[Stat] | StoreTrouble = ()
        self._written = ""

    @property
    def expected(self) -> frozenset[Operation]:
        """A job counts on reading; of the artifacts store, on everything."""
        return frozenset(Operation) if self._is_artifacts else super().expected

    def works(self) -> Mapping[Operation, Work]:
        return {
            Operation.RESOLVE: self._where.way.resolve,
            Operation.REACH: self._where.way.reach,
            Operation.TLS: self._tls if self._where.trust is not None else PLAIN,
            Operation.AUTHENTICATE: self._authenticate,
            Operation.LIST: self._list,
            Operation.READ: self._read,
            Operation.WRITE: self._write,
            Operation.DELETE: self._delete,
        }

    def cut(self) -> None:
        self._where.way.cut()

    def close(self) -> None:
        """Remove the probe's object, whatever happened."""
        try:
            if self._written and self._opened is not None:
                self._opened.delete(self._written)
        finally:
            self.cut()

    def _tls(self) -> str:
        assert self._where.trust is not None  # noqa: S101 - it is asked for with one only
        return judge(self._where.way.open, self._where.host, self._where.trust, self._where.part)

    @property
    def _store(self) -> BucketStore:
        if self._opened is None:
            from tieline.stores.bucket import BucketStore

            self._opened = BucketStore(_told(lambda: open_client(self._access, self.secrets)), self._access.prefix)
        return self._opened

    def _authenticate(self) -> str:
        """A listing: its answer says whether the login is known, whatever that may do. What was listed is kept."""
        if self._access.credentials.method in ("secret", "assume-role"):
            must_have_something(self._access.credentials, self.secrets, *_LOGINS)
        store = self._store
        try:
            self._listed = store.some(MANY + 1)
        except StoreTrouble as error:
            if error.why not in (Why.FORBIDDEN, Why.NOT_FOUND):
                raise _failed(error) from None
            self._listed = error
        if self._access.credentials.method == "anonymous":
            raise Skipped("the connection has no login; the server answers without one")
        may = ", and may not list" if isinstance(self._listed, StoreTrouble) else ""
        return f"the server knows the login{may}"

    def _list(self) -> str:
        if isinstance(self._listed, StoreTrouble):
            raise _failed(self._listed)
        below = f" under {shown(self._access.prefix)}" if self._access.prefix else ""
        count = len(self._listed)
        if count > MANY:
            return f"more than {MANY} objects{below}"
        return f"{count} {'object' if count == 1 else 'objects'}{below}"

    def _read(self) -> str:
        """The beginning of one object; where none is known, the answer to asking for one that is not there."""
        listed = () if isinstance(self._listed, StoreTrouble) else self._listed
        found = next((entry for entry in listed if entry.size), None)
        if found is not None:
            data = _told(lambda: self._store.peek(found.key, SOME))
            return f"{len(data)} bytes of {shown(found.key)} ({found.size} bytes)"
        try:
            self._store.peek(_name(), SOME)
        except StoreTrouble as error:
            if error.why is Why.NOT_FOUND and error.part != "bucket":
                return "reading is allowed (of an object that is not there)"
            if error.why is Why.FORBIDDEN and isinstance(self._listed, StoreTrouble):
                raise Skipped("not proved: whoever may not list is told the same of what is not there") from None
            raise _failed(error) from None
        raise Skipped("there is no object that could be read")

    def _write(self) -> str:
        name = _name()
        self._written = name  # what was sent may be there, even if the answer is lost
        try:
            self._store.save_bytes(_CONTENT, name)
        except StoreTrouble as error:
            if error.why in (Why.FORBIDDEN, Why.NOT_AUTHENTICATED, Why.NOT_FOUND):
                self._written = ""
            raise _failed(error) from None
        return f"an object of {len(_CONTENT)} bytes"

    def _delete(self) -> str:
        if not self._written:
            raise Skipped("nothing was written")
        _told(lambda: self._store.delete(self._written))
        try:
            self._store.peek(self._written, SOME)
        except StoreTrouble as error:
            if error.why not in (Why.NOT_FOUND, Why.FORBIDDEN):
                raise _failed(error) from None
            self._written = ""
            return "that object is gone again"
        raise Failed("the object is still there after its deletion", "remove it by hand", "bucket")


def _name() -> str:
    return f".tieline-probe-{secrets.token_hex(8)}"


def _failed(error: StoreTrouble) -> Failed:
    problem = error.problems[0]
    return Failed(problem.message, problem.hint, error.part)


def _told(work: Callable[[], T]) -> T:
    """What the store refuses, with the part to mend."""
    try:
        return work()
    except StoreTrouble as error:
        raise _failed(error) from None
