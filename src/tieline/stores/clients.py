"""From a bucket's access and its secrets to a client of the library, which uses nothing but what these say.

Left alone, the library takes from the environment whatever it finds there, and asks a cloud's metadata service who it
is. So every setting that a variable could change is given; a login is given too, or there is none; and the few
variables that nothing can be put against are refused. What each provider needs is in a module of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tieline.model.access import Credentials, ObjectStore
from tieline.stores.amazon import open_s3, s3_endpoint
from tieline.stores.answers import Server
from tieline.stores.azure import azure_endpoint, open_azure
from tieline.stores.base import StoreTrouble, Why
from tieline.stores.given import Secrets, address
from tieline.stores.google import gcs_endpoint, open_gcs
from tieline.stores.identities import check_azure, no_roles
from tieline.stores.options import certificates
from tieline.stores.renewing import Renewing
from tieline.stores.roles import check_role

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

    Client = S3Store | GCSStore | AzureStore

_UNAVOIDABLE = {
    "s3": ("AWS_SERVER_SIDE_ENCRYPTION",),
    "gcs": ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_BEARER_TOKEN"),
    "azure": ("AZURE_ENCRYPTION_KEY", "AZURE_STORAGE_ENCRYPTION_KEY"),
}
_CHECKING = frozenset({"s3"})


@dataclass(frozen=True, slots=True)
class Opened:
    """A client, and whom its messages are about. ``renew``: lets go of a login that the server says has ended
    (:func:`tieline.stores.answers.has_ended`), so that the next request gets a new one; None: it has only one.
    ``checks``: whether the server compares what it gets with the SHA-256 that comes with it."""

    client: Client
    server: Server
    renew: Callable[[], None] | None = None
    checks: bool = False


def open_client(access: ObjectStore, secrets: Secrets) -> Opened:
    """Open a client; nothing is asked of any server yet. Raises StoreTrouble for what cannot be used."""
    check_access(access)
    try:
        client, server, renewing = _PROVIDERS[access.provider](access, secrets)
    except StoreTrouble:
        raise
    except Exception as error:  # the library's own errors: it could not use a setting, and may repeat it
        raise _unusable(access, error) from None
    return Opened(client, server, renewing.renew if renewing else None, access.provider in _CHECKING)


def check_access(access: ObjectStore) -> None:
    """Raise StoreTrouble for what no secret could open. Asks nobody."""
    if access.credentials.method in ("assume-role", "workload-identity"):
        _IDENTITIES[access.provider](access)
    _nothing_in_the_environment(access.provider)
    if access.ca_bundle is not None:
        certificates(access.ca_bundle)


def endpoint_of(access: ObjectStore, secrets: Secrets) -> str:
    """Where the bucket's server is, as far as that can be known without a login that works."""
    try:
        return _ENDPOINTS[access.provider](access, secrets)
    except StoreTrouble:  # the secret is of no use, which whoever logs in is told
        return _ENDPOINTS[access.provider](access.model_copy(update={"credentials": Credentials()}), secrets)


def _unusable(access: ObjectStore, error: Exception) -> StoreTrouble:
    return StoreTrouble(
        Why.UNSUPPORTED,
        f"the bucket {address(access)} cannot be opened: a setting or credential is none ({type(error).__name__})",
        "check the endpoint, caBundle, proxy and the secret's values",
        "secret" if access.credentials.secret else "endpoint",
    )


def _nothing_in_the_environment(provider: str) -> None:
    found = [name for name in _UNAVOIDABLE[provider] if os.environ.get(name)]
    if found:
        raise StoreTrouble(
            Why.UNSUPPORTED,
            f"the variable {found[0]} would change how a bucket is used, whatever its connection says",
            f"unset {found[0]} for Tieline",
        )


_IDENTITIES: Mapping[str, Callable[[ObjectStore], None]] = {
    "s3": check_role,
    "gcs": no_roles,
    "azure": check_azure,
}
_ENDPOINTS: Mapping[str, Callable[[ObjectStore, Secrets], str]] = {
    "s3": s3_endpoint,
    "gcs": gcs_endpoint,
    "azure": azure_endpoint,
}
_PROVIDERS: Mapping[str, Callable[[ObjectStore, Secrets], tuple[Client, Server, Renewing | None]]] = {
    "s3": open_s3,
    "gcs": open_gcs,
    "azure": open_azure,
}
