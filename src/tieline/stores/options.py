"""What the clients of all providers are told alike: times, certificates, proxies, and how seldom to try again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tieline.model.access import ObjectStore
from tieline.stores.answers import Server
from tieline.stores.base import StoreTrouble, Why, shown
from tieline.stores.given import address
from tieline.stores.renewing import Renewing

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

SECONDS = 120.0
"""For one request, with all that it carries."""
_RETRIES = 2  # of the library's own: `steps.retrying` decides


def server_of(access: ObjectStore, endpoint: str, login: str, renewing: Renewing | None = None) -> Server:
    """Whom messages are about; ``login``: what proves who we are, empty where nothing does."""
    found = urlsplit(endpoint)
    port = f":{found.port}" if found.port else ""
    plain = f"{found.scheme}://{found.hostname}{port}"
    return Server(address(access), plain, login, access.proxy, renewing.refusal if renewing else None)


def client_options(access: ObjectStore, endpoint: str) -> ClientConfig:
    """How the client speaks to its server."""
    from tieline import __version__

    options: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "allow_invalid_certificates": access.insecure,
        "connect_timeout": timedelta(seconds=5),
        "timeout": timedelta(seconds=SECONDS),
        "user_agent": f"tieline/{__version__}",
    }
    if access.ca_bundle is not None:
        options["root_certificate"] = certificates(access.ca_bundle)
    if access.proxy is not None:
        options["proxy_url"] = access.proxy
    return options


def certificates(path: str) -> bytes:
    """The PEM file of a ``caBundle``. Raises StoreTrouble."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StoreTrouble(
            Why.UNREACHABLE, f"the certificates in {shown(path)!r} can't be read: {error.strerror}", "check the file",
            "caBundle",
        ) from None  # fmt: skip


def retries() -> RetryConfig:
    """The library's own."""
    return {
        "max_retries": _RETRIES,
        "retry_timeout": timedelta(seconds=20),
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
    }
