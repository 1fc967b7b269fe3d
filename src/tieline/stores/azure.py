"""A client for Azure Blob Storage, and how one logs in there: an account's key, a shared access signature, or a
string that has either; or as a workload (:mod:`tieline.stores.identities`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tieline.model.access import ObjectStore
from tieline.stores.answers import Server
from tieline.stores.base import StoreTrouble, Why
from tieline.stores.given import Secrets
from tieline.stores.identities import azure_identity
from tieline.stores.options import client_options, retries, server_of
from tieline.stores.renewing import Renewing

if TYPE_CHECKING:
    from obstore.store import AzureConfig, AzureCredential, AzureStore

KEY, SIGNATURE, STRING = "account-key", "sas-token", "connection-string"


@dataclass(frozen=True, slots=True)
class Login:
    """``name``: the entry that it comes from; ``endpoint``: what a connection string says about it."""

    name: str
    credential: AzureCredential = field(repr=False)
    endpoint: str | None = None


def open_azure(access: ObjectStore, secrets: Secrets) -> tuple[AzureStore, Server, Renewing | None]:
    """The client, whom messages are about, and what renews its login. Raises StoreTrouble."""
    from obstore.store import AzureStore

    method = access.credentials.method
    login = azure_login(access, secrets) if method == "secret" else None
    endpoint = _endpoint(access, login)
    config: AzureConfig = {
        "account_name": access.account or "",
        "endpoint": endpoint,
        "use_emulator": False,
        "use_fabric_endpoint": False,
        "use_azure_cli": False,
        "disable_tagging": False,
        "skip_signature": method == "anonymous",
    }
    renewing = azure_identity(access, secrets) if method == "workload-identity" else None
    provider: Any = renewing or ((lambda: login.credential) if login else None)
    client = AzureStore(
        access.bucket, config=config, client_options=client_options(access, endpoint), retry_config=retries(),
        credential_provider=provider,
    )  # fmt: skip
    part = login.name if login else "auth.method" if renewing else ""
    return client, server_of(access, endpoint, part, renewing), renewing


def azure_endpoint(access: ObjectStore, secrets: Secrets) -> str:
    """Where requests go to. Raises StoreTrouble."""
    return _endpoint(access, azure_login(access, secrets) if access.credentials.method == "secret" else None)


def _endpoint(access: ObjectStore, login: Login | None) -> str:
    usual = f"https://{access.account}.blob.core.windows.net"
    return (access.endpoint or (login.endpoint if login else None) or usual).rstrip("/")


def azure_login(access: ObjectStore, secrets: Secrets) -> Login:
    """The login that the secret has. Raises StoreTrouble where it has none that can be used."""
    given = {name: secrets[name].reveal_text().strip() for name in (KEY, SIGNATURE, STRING) if secrets.get(name)}
    if KEY in given:
        return Login(KEY, _key(given[KEY]))
    if SIGNATURE in given:
        return Login(SIGNATURE, _signature(given[SIGNATURE]))
    if STRING in given:
        return _from_string(access, given[STRING])
    if "client-secret" in secrets:
        raise _unusable(access, "has a service principal only (client-id), with which this version opens no bucket")
    raise _unusable(access, f"has no {KEY}, {SIGNATURE} or {STRING}")


def _from_string(access: ObjectStore, text: str) -> Login:
    """``AccountName=…;AccountKey=…;EndpointSuffix=…`` as the portal gives it."""
    pairs = (part.partition("=") for part in text.split(";") if part.strip())
    said = {name.strip().lower(): value.strip() for name, _, value in pairs}
    account = said.get("accountname")
    if account is not None and access.account is not None and account != access.account:
        raise _unusable(access, f"has a {STRING} for another account than the bucket's", STRING)
    endpoint = said.get("blobendpoint")
    if endpoint is None and said.get("endpointsuffix"):
        scheme = said.get("defaultendpointsprotocol", "https")
        endpoint = f"{scheme}://{access.account}.blob.{said['endpointsuffix']}"
    if said.get("accountkey"):
        return Login(STRING, _key(said["accountkey"]), endpoint)
    if said.get("sharedaccesssignature"):
        return Login(STRING, _signature(said["sharedaccesssignature"]), endpoint)
    raise _unusable(access, f"has a {STRING} without AccountKey and SharedAccessSignature", STRING)


def _key(text: str) -> AzureCredential:
    return {"access_key": text, "expires_at": None}


def _signature(text: str) -> AzureCredential:
    return {"sas_token": text.removeprefix("?"), "expires_at": None}


def _unusable(access: ObjectStore, what: str, part: str = KEY) -> StoreTrouble:
    return StoreTrouble(
        Why.NOT_AUTHENTICATED,
        f"the secret {access.credentials.secret!r} of the container {access.bucket!r} {what}",
        f"put {KEY}, {SIGNATURE} or {STRING} into it, or say auth.method: anonymous if everybody may read",
        part,
    )
