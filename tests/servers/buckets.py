"""The servers of buckets that many tests share: each started when the first test of a process asks for it, ended with
the process. A test uses a prefix of its own.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import cache
from pathlib import Path
from typing import TypeVar

from servers.azurite import ACCOUNT, Azurite, azurite
from servers.azurite import KEY as AZURE_KEY
from servers.fake_gcs import FakeGcs, fake_gcs
from servers.seaweedfs import ADMIN, Seaweed, seaweedfs
from tieline.model.access import Credentials, ObjectStore
from tieline.secrets.secret import Secret
from tieline.stores import Store, open_store

T = TypeVar("T")
Login = tuple[str, str]
_running = ExitStack()
atexit.register(_running.close)


def _shared(start: Callable[[Path], AbstractContextManager[T]]) -> T:
    folder = Path(tempfile.mkdtemp(prefix="tieline-buckets-"))
    _running.callback(shutil.rmtree, folder, ignore_errors=True)
    return _running.enter_context(start(folder))


@cache
def weed() -> Seaweed:
    """SeaweedFS."""
    return _shared(seaweedfs)


@cache
def blobs() -> Azurite:
    """Azurite."""
    return _shared(azurite)


@cache
def google() -> FakeGcs:
    """fake-gcs-server, behind our test gear."""
    return _shared(fake_gcs)


def credentials() -> Credentials:
    """Those of a connection with a secret."""
    return Credentials(secret="bucket-secret", method="secret")


def s3_access(prefix: str = "", bucket: str = "data", login: Login | None = ADMIN, **more: object) -> ObjectStore:
    """A bucket of SeaweedFS; ``login`` None: anonymous."""
    given = {"endpoint": weed().endpoint, "region": "us-east-1", **more}
    return ObjectStore(
        provider="s3", bucket=bucket, prefix=prefix, credentials=credentials() if login else Credentials(), **given
    )  # type: ignore[arg-type]


def s3_secrets(login: Login | None = ADMIN) -> dict[str, Secret]:
    """What the secret has for a login."""
    return {"access-key-id": Secret(login[0]), "secret-access-key": Secret(login[1])} if login else {}


def s3(prefix: str = "", bucket: str = "data", login: Login | None = ADMIN, **more: object) -> Store:
    """A store in SeaweedFS."""
    return open_store(s3_access(prefix, bucket, login, **more), {}, s3_secrets(login))


def azure_access(prefix: str = "", container: str = "data", *, anonymous: bool = False) -> ObjectStore:
    """A container of Azurite."""
    return ObjectStore(
        provider="azure", bucket=container, prefix=prefix, account=ACCOUNT, endpoint=blobs().endpoint,
        credentials=Credentials() if anonymous else credentials(),
    )  # fmt: skip


def azure(prefix: str = "", container: str = "data", **secrets: str) -> Store:
    """A store in Azurite; ``secrets``: with ``_`` for ``-``; without one, the account's key."""
    given = {name.replace("_", "-"): Secret(value) for name, value in (secrets or {"account_key": AZURE_KEY}).items()}
    return open_store(azure_access(prefix, container), {}, given)


def gcs_access(prefix: str = "", bucket: str = "data", *, anonymous: bool = False) -> ObjectStore:
    """A bucket of fake-gcs-server."""
    given = Credentials() if anonymous else credentials()
    return ObjectStore(provider="gcs", bucket=bucket, prefix=prefix, endpoint=google().endpoint, credentials=given)


def gcs(prefix: str = "", bucket: str = "data", key: str = "") -> Store:
    """A store in fake-gcs-server."""
    return open_store(gcs_access(prefix, bucket), {}, {"keyfile.json": Secret(key or google().key)})
