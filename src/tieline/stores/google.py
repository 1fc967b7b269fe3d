"""A client for Google Cloud Storage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tieline.model.access import ObjectStore
from tieline.stores.answers import Server
from tieline.stores.base import StoreTrouble, Why
from tieline.stores.given import Secrets, lacking, text_of
from tieline.stores.identities import google_identity
from tieline.stores.options import client_options, retries, server_of
from tieline.stores.renewing import Renewing

if TYPE_CHECKING:
    from obstore.store import GCSConfig, GCSStore

_NOBODY = '{"client_email": "", "private_key_id": "", "private_key": "", "disable_oauth": true}'
"""A key of nobody: without one, the library would look for this machine's, and then ask the metadata service."""


def open_gcs(access: ObjectStore, secrets: Secrets) -> tuple[GCSStore, Server, Renewing | None]:
    """The client, whom messages are about, and what renews its login. Raises StoreTrouble."""
    from obstore.store import GCSStore

    endpoint, method = gcs_endpoint(access, secrets), access.credentials.method
    config: GCSConfig = {
        "base_url": endpoint,
        "skip_signature": method == "anonymous",
        "service_account_key": _key(access, secrets) if method == "secret" else _NOBODY,
    }
    renewing = google_identity(access) if method == "workload-identity" else None
    login: Any = renewing
    client = GCSStore(
        access.bucket, config=config, client_options=client_options(access, endpoint), retry_config=retries(),
        credential_provider=login,
    )  # fmt: skip
    part = {"secret": "keyfile.json", "anonymous": ""}.get(method, "auth.method")
    return client, server_of(access, endpoint, part, renewing), renewing


def gcs_endpoint(access: ObjectStore, secrets: Secrets) -> str:
    """Where requests go to."""
    del secrets
    return (access.endpoint or "https://storage.googleapis.com").rstrip("/")


def _key(access: ObjectStore, secrets: Secrets) -> str:
    text, path = text_of(secrets, "keyfile.json"), text_of(secrets, "key-path")
    if text is not None:
        return text
    if path is None:
        raise lacking(access, "keyfile.json")
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise StoreTrouble(
            Why.NOT_AUTHENTICATED,
            f"the key file that the secret {access.credentials.secret!r} names cannot be read on this machine",
            "put the key itself into the secret",
            "key-path",
        ) from None
