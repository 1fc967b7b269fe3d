"""A client for S3: of Amazon, or of a server that speaks like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tieline.model.access import ObjectStore
from tieline.stores.answers import Server
from tieline.stores.given import Secrets, lacking, text_of
from tieline.stores.options import client_options, retries, server_of
from tieline.stores.renewing import Renewing
from tieline.stores.roles import taking_on

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store


def open_s3(access: ObjectStore, secrets: Secrets) -> tuple[S3Store, Server, Renewing | None]:
    """The client, whom messages are about, and what renews its login. Raises StoreTrouble."""
    from obstore.store import S3Store

    given, region = access.endpoint or text_of(secrets, "endpoint"), _region(access, secrets)
    endpoint, virtual = _endpoint(access, given, region)
    method = access.credentials.method
    config: S3Config = {
        "endpoint": endpoint,
        "aws_endpoint_url_s3": endpoint,
        "region": region,
        "virtual_hosted_style_request": virtual,
        "skip_signature": method == "anonymous",
        "unsigned_payload": False,
        "s3_express": False,
        "request_payer": False,
        "disable_tagging": False,
        "disable_bulk_delete": False,
        "conditional_put": "etag",
        "checksum_algorithm": "SHA256",
    }
    renewing = taking_on(access, secrets, given, region) if method in ("assume-role", "workload-identity") else None
    login: Any = renewing or (_static(access, secrets) if method == "secret" else None)
    client = S3Store(
        access.bucket, config=config, client_options=client_options(access, endpoint), retry_config=retries(),
        credential_provider=login,
    )  # fmt: skip
    part = {"secret": "secret-access-key", "anonymous": ""}.get(method, "auth.role")
    return client, server_of(access, endpoint, part, renewing), renewing


def s3_endpoint(access: ObjectStore, secrets: Secrets) -> str:
    """Where requests go to."""
    return _endpoint(access, access.endpoint or text_of(secrets, "endpoint"), _region(access, secrets))[0]


def _static(access: ObjectStore, secrets: Secrets) -> Callable[[], dict[str, Any]]:
    key, secret = text_of(secrets, "access-key-id"), text_of(secrets, "secret-access-key")
    missing = [name for name, value in (("access-key-id", key), ("secret-access-key", secret)) if value is None]
    if missing:
        raise lacking(access, *missing)
    token = text_of(secrets, "session-token")
    return lambda: {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}


def _region(access: ObjectStore, secrets: Secrets) -> str:
    return access.region or text_of(secrets, "region") or "us-east-1"


def _endpoint(access: ObjectStore, given: str | None, region: str) -> tuple[str, bool]:
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
