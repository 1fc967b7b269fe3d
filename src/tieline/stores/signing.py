"""A request to one of Amazon's services, signed: Signature Version 4 (the IAM User Guide, "Create a signed request").

Only what a POST without a query needs. Buckets' own requests are signed by the library.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, urlsplit

_SCHEME = "AWS4-HMAC-SHA256"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key; ``token``: of one that was given for a while."""

    id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def signed(url: str, body: bytes, keys: Keys, region: str, service: str, now: datetime) -> dict[str, str]:
    """The headers of a POST of a form to ``url``. ``now`` in UTC."""
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "Host": _host(url),
        "X-Amz-Date": moment,
        **({"X-Amz-Security-Token": keys.token} if keys.token else {}),
    }
    names = ";".join(sorted(name.lower() for name in headers))
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    asked = "\n".join(
        [
            "POST",
            quote(urlsplit(url).path or "/", safe="/-_.~"),
            "",
            *sorted(f"{name.lower()}:{value.strip()}" for name, value in headers.items()),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    text = "\n".join([_SCHEME, moment, scope, hashlib.sha256(asked.encode()).hexdigest()])
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    proof = hmac.digest(key, text.encode(), "sha256").hex()
    told = f"{_SCHEME} Credential={keys.id}/{scope}, SignedHeaders={names}, Signature={proof}"
    return {**headers, "Authorization": told}


def _host(url: str) -> str:
    """The host as a client sends it: without the scheme's usual port."""
    found = urlsplit(url)
    usual = found.port in (None, _PORTS.get(found.scheme))
    host = f"[{found.hostname}]" if ":" in (found.hostname or "") else found.hostname or ""
    return host if usual else f"{host}:{found.port}"
