"""Who asks which bucket: what has to be the same for two runs to share what was fetched.

The login is told by its name (the secret, and the namespace that it is looked up in), never by its values: whoever may
list a bucket and not read it is somebody else than who may, and credentials that expire every hour are the same login.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from tieline.model.access import ObjectStore
from tieline.secrets.secret import Secret
from tieline.stores.base import Stat


@dataclass(frozen=True, slots=True)
class Scope:
    """``digest``: of who asks whom; ``address``: the bucket, as people are told it; ``prefix``: where the store begins
    in it; ``connection`` and ``namespace``: of the run that asks, for people."""

    digest: str
    address: str
    prefix: str
    connection: str = ""
    namespace: str = ""

    def path(self, key: str) -> str:
        """A key's whole path in the bucket."""
        return "/".join(part for part in (self.prefix, key) if part)

    def object_id(self, found: Stat) -> str | None:
        """What stands for one version of one object; None where the server does not tell versions apart."""
        tag = tag_of(found)
        if not tag or tag.startswith("W/"):
            return None
        return self._id("object", self.path(found.key), tag, str(found.size), str(found.written_ns // 10**9))

    def record_id(self, what: str, key: str) -> str:
        """What stands for a folder, or a file, that was asked for, whatever is in it by now."""
        return self._id(what, self.path(key))

    def _id(self, *parts: str) -> str:
        return hashlib.sha256("\0".join((self.digest, *parts)).encode("utf-8", "surrogateescape")).hexdigest()


def tag_of(found: Stat) -> str:
    """The server's name for the contents, the same in a listing and with a GET: some quote it in one of them only, and
    tell a version in one of them only."""
    return found.tag.partition(" ")[0].strip('"')


def scope_of(access: ObjectStore, secrets: Mapping[str, Secret], connection: str, namespace: str) -> Scope:
    """The scope of a connection to a bucket, in a run's namespace."""
    from tieline.stores.clients import endpoint_of
    from tieline.stores.given import address

    login = access.credentials
    who = None if login.method == "anonymous" else [login.method, namespace, login.secret, login.role, login.audience]
    whom = [access.provider, endpoint_of(access, secrets), access.account, access.bucket, access.proxy, access.insecure]
    digest = hashlib.sha256(json.dumps([whom, who]).encode()).hexdigest()
    shown = address(access.model_copy(update={"prefix": ""}))
    return Scope(digest, shown, access.prefix.strip("/"), connection, namespace)
