"""The origin of an http address: whose credentials they are. Another host, another port, or the same host without
encryption is another origin, and is not sent what is this one's.
"""

from __future__ import annotations

import re

_HTTP = re.compile(
    r"(https?)://(?:[^@/?#]*@)?([^/?#:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]*))?(?:[/?#]|$)", re.IGNORECASE
)
_USUAL_PORTS = {"https": "443", "http": "80"}


def http_origin(url: str) -> str | None:
    """Scheme, host and port of an http address (RFC 6454), the usual port left out; None for other addresses."""
    found = _HTTP.match(url)
    if found is None:
        return None
    scheme, host, port = found[1].lower(), found[2].lower(), found[3]
    return f"{scheme}://{host}" + (f":{port}" if port and port != _USUAL_PORTS[scheme] else "")
