"""From a bucket's access and its secrets to a client of the library, which uses nothing but what these say.

Left alone, the library takes from the environment whatever it finds there, and asks a cloud's metadata service who it
is. So every setting that a variable could change is given; a login is given too, or there is none; and the few
variables that nothing can be put against are refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tieline.model.access import Credentials, ObjectStore
from tieline.secrets.secret import Secret
from tieline.stores.answers import Server
from tieline.stores.azure import Login, azure_login
from tieline.stores.base import StoreTrouble, Why, shown

if TYPE_CHECKING:
    from obstore.store import AzureConfig, AzureStore, ClientConfig, GCSConfig, GCSStore, RetryConfig, S3Config, S3Store

    Client = S3Store | GCSStore | AzureStore

SCHEMES = {"s3": "s3", "gcs": "gs", "azure": "wasbs"}
SECONDS = 120.0
"""For one request, with all that it carries."""
_RETRIES = 2  # of the library's own: `steps.retrying` decides
_NOBODY = '{"client_email": "", "private_key_id": "", "private_key": "", "disable_oauth": true}'
"""A key of nobody: without one, the library would look for this machine's, and then ask the metadata service."""
_UNAVOIDABLE = {
    "s3": ("AWS_SERVER_SIDE_ENCRYPTION",),
    "gcs": ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_BEARER_TOKEN"),
    "azure": ("AZURE_ENCRYPTION_KEY", "AZURE_STORAGE_ENCRYPTION_KEY"),
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A client, and whom its messages are about. ``checks``: whether the server compares what it gets with the SHA-256
    that comes with it."""

    client: Client
    server: Server
    checks: bool = False


def open_client(access: ObjectStore, secrets: Mapping[str, Secret]) -> Opened:
    """Open a client; nothing is asked of the server yet. Raises StoreTrouble for what cannot be used."""
    check_access(access)
    try:
        return _PROVIDERS[access.provider](access, secrets)
    except StoreTrouble:
        raise
    except Exception as error:  # the library's own errors: it could not use a setting, and may repeat it
        raise _unusable(access, error) from None


def check_access(access: ObjectStore) -> None:
    """Raise StoreTrouble for what no secret could open."""
    _no_other_way_in(access)
    _nothing_in_the_environment(access.provider)
    if access.ca_bundle is not None:
        _certificates(access.ca_bundle)


def _unusable(access: ObjectStore, error: Exception) -> StoreTrouble:
    return StoreTrouble(
        Why.UNSUPPORTED,
        f"the bucket {address(access)} cannot be opened: a setting or credential is none ({type(error).__name__})",
        "check the endpoint, caBundle, proxy and the secret's values",
        "secret" if access.credentials.secret else "endpoint",
    )


def endpoint_of(access: ObjectStore, secrets: Mapping[str, Secret]) -> str:
    """Where the bucket's server is, as far as that can be known without a login that works."""
    try:
        return _ENDPOINTS[access.provider](access, secrets)
    except StoreTrouble:  # the secret is of no use, which whoever logs in is told
        return _ENDPOINTS[access.provider](access.model_copy(update={"credentials": Credentials()}), secrets)


def address(access: ObjectStore) -> str:
    """The bucket as messages name it: ``s3://bucket/prefix``."""
    at = f"@{access.account}.blob.core.windows.net" if access.account else ""
    below = f"/{access.prefix}" if access.prefix else ""
    return shown(f"{SCHEMES[access.provider]}://{access.bucket}{at}{below}")


# --- logins


def _no_other_way_in(access: ObjectStore) -> None:
    method = access.credentials.method
    if method in ("workload-identity", "assume-role"):
        raise StoreTrouble(
            Why.UNSUPPORTED,
            f"the bucket {address(access)} has auth.method {method}, with which this version opens no bucket",
            "log in by a secret, or say auth.method: anonymous if everybody may use it",
            "auth",
        )


def _nothing_in_the_environment(provider: str) -> None:
    found = [name for name in _UNAVOIDABLE[provider] if os.environ.get(name)]
    if found:
        raise StoreTrouble(
            Why.UNSUPPORTED,
            f"the variable {found[0]} would change how a bucket is used, whatever its connection says",
            f"unset {found[0]} for Tieline",
        )


def _lacking(access: ObjectStore, *names: str) -> StoreTrouble:
    """The refusal of a secret that is named and does not have what it takes."""
    wanted = " and ".join(names)
    return StoreTrouble(
        Why.NOT_AUTHENTICATED,
        f"the secret {access.credentials.secret!r} has no {wanted} to open {address(access)} with",
        f"put {wanted} into it, or say auth.method: anonymous if everybody may use the bucket",
        names[0],
    )


def _text(secrets: Mapping[str, Secret], name: str) -> str | None:
    found = secrets.get(name)
    return (found.reveal_text().strip() or None) if found is not None else None


def _logs_in(access: ObjectStore) -> bool:
    return access.credentials.method == "secret"


# --- the three providers


def _s3(access: ObjectStore, secrets: Mapping[str, Secret]) -> Opened:
    from obstore.store import S3Store

    region = _s3_region(access, secrets)
    endpoint, virtual = _s3_endpoint(access, access.endpoint or _text(secrets, "endpoint"), region)
    config: S3Config = {
        "endpoint": endpoint,
        "aws_endpoint_url_s3": endpoint,
        "region": region,
        "virtual_hosted_style_request": virtual,
        "skip_signature": not _logs_in(access),
        "unsigned_payload": False,
        "s3_express": False,
        "request_payer": False,
        "disable_tagging": False,
        "disable_bulk_delete": False,
        "conditional_put": "etag",
        "checksum_algorithm": "SHA256",
    }
    login = _s3_login(access, secrets) if _logs_in(access) else None
    client = S3Store(
        access.bucket, config=config, client_options=_options(access, endpoint), retry_config=_retries(),
        credential_provider=login,
    )  # fmt: skip
    return Opened(client, _server(access, endpoint, "secret-access-key"), checks=True)


def _s3_login(access: ObjectStore, secrets: Mapping[str, Secret]) -> Any:
    key, secret = _text(secrets, "access-key-id"), _text(secrets, "secret-access-key")
    missing = [name for name, value in (("access-key-id", key), ("secret-access-key", secret)) if value is None]
    if missing:
        raise _lacking(access, *missing)
    token = _text(secrets, "session-token")
    return lambda: {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}


def _s3_region(access: ObjectStore, secrets: Mapping[str, Secret]) -> str:
    return access.region or _text(secrets, "region") or "us-east-1"


def _s3_endpoint(access: ObjectStore, given: str | None, region: str) -> tuple[str, bool]:
    """The address that requests go to, and whether it names the bucket."""
    if given is None:
        host = f"s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
        virtual = access.addressing_style != "path" and "." not in access.bucket  # its certificate fits one label only
        return f"https://{access.bucket}.{host}" if virtual else f"https://{host}", virtual
    plain = given.rstrip("/")
    if access.addressing_style != "virtual":
        return plain, False
    scheme, _, rest = plain.partition("://")
    return f"{scheme}://{access.bucket}.{rest}", True


def _gcs(access: ObjectStore, secrets: Mapping[str, Secret]) -> Opened:
    from obstore.store import GCSStore

    endpoint = _gcs_endpoint(access)
    config: GCSConfig = {
        "base_url": endpoint,
        "skip_signature": not _logs_in(access),
        "service_account_key": _google_key(access, secrets) if _logs_in(access) else _NOBODY,
    }
    client = GCSStore(access.bucket, config=config, client_options=_options(access, endpoint), retry_config=_retries())
    return Opened(client, _server(access, endpoint, "keyfile.json"))


def _gcs_endpoint(access: ObjectStore) -> str:
    return (access.endpoint or "https://storage.googleapis.com").rstrip("/")


def _google_key(access: ObjectStore, secrets: Mapping[str, Secret]) -> str:
    text, path = _text(secrets, "keyfile.json"), _text(secrets, "key-path")
    if text is not None:
        return text
    if path is None:
        raise _lacking(access, "keyfile.json")
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise StoreTrouble(
            Why.NOT_AUTHENTICATED,
            f"the key file that the secret {access.credentials.secret!r} names cannot be read on this machine",
            "put the key itself into the secret",
            "key-path",
        ) from None


def _azure(access: ObjectStore, secrets: Mapping[str, Secret]) -> Opened:
    from obstore.store import AzureStore

    login = azure_login(access, secrets) if _logs_in(access) else None
    endpoint = _azure_endpoint(access, login)
    config: AzureConfig = {
        "account_name": access.account or "",
        "endpoint": endpoint,
        "use_emulator": False,
        "use_fabric_endpoint": False,
        "use_azure_cli": False,
        "disable_tagging": False,
        "skip_signature": login is None,
    }
    client = AzureStore(
        access.bucket, config=config, client_options=_options(access, endpoint), retry_config=_retries(),
        credential_provider=(lambda: login.credential) if login else None,
    )  # fmt: skip
    return Opened(client, _server(access, endpoint, login.name if login else ""))


def _azure_endpoint(access: ObjectStore, login: Login | None) -> str:
    usual = f"https://{access.account}.blob.core.windows.net"
    return (access.endpoint or (login.endpoint if login else None) or usual).rstrip("/")


_ENDPOINTS: Mapping[str, Callable[[ObjectStore, Mapping[str, Secret]], str]] = {
    "s3": lambda access, secrets: _s3_endpoint(
        access, access.endpoint or _text(secrets, "endpoint"), _s3_region(access, secrets)
    )[0],
    "gcs": lambda access, _: _gcs_endpoint(access),
    "azure": lambda access, secrets: _azure_endpoint(
        access, azure_login(access, secrets) if _logs_in(access) else None
    ),
}
_PROVIDERS: Mapping[str, Callable[[ObjectStore, Mapping[str, Secret]], Opened]] = {
    "s3": _s3,
    "gcs": _gcs,
    "azure": _azure,
}


# --- what is the same for all


def _server(access: ObjectStore, endpoint: str, login: str) -> Server:
    found = urlsplit(endpoint)
    port = f":{found.port}" if found.port else ""
    plain = f"{found.scheme}://{found.hostname}{port}"
    return Server(address(access), plain, login if _logs_in(access) else "", access.proxy)


def _options(access: ObjectStore, endpoint: str) -> ClientConfig:
    from tieline import __version__

    options: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "allow_invalid_certificates": access.insecure,
        "connect_timeout": timedelta(seconds=5),
        "timeout": timedelta(seconds=SECONDS),
        "user_agent": f"tieline/{__version__}",
    }
    if access.ca_bundle is not None:
        options["root_certificate"] = _certificates(access.ca_bundle)
    if access.proxy is not None:
        options["proxy_url"] = access.proxy
    return options


def _certificates(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StoreTrouble(
            Why.UNREACHABLE, f"the certificates in {shown(path)!r} can't be read: {error.strerror}", "check the file",
            "caBundle",
        ) from None  # fmt: skip


def _retries() -> RetryConfig:
    return {
        "max_retries": _RETRIES,
        "retry_timeout": timedelta(seconds=20),
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
    }
