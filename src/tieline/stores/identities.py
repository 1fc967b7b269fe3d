"""The identity of a workload with Azure and with Google: a token for a while, for whoever runs there.

**Azure**: the token that a cluster writes into a file for its service account is exchanged for one of Azure's (OAuth
2.0 client credentials with a client assertion, RFC 7523): what AKS calls workload identity, and sets the variables for.

**Google**: the metadata server of the node says who we are: what GKE calls workload identity. It is asked where a
connection says ``workload-identity``, and nowhere else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from tieline.model.access import ObjectStore
from tieline.stores.asking import Answer, Way, ask
from tieline.stores.base import StoreTrouble, Why
from tieline.stores.given import Secrets, address, no_login, text_of, token_of
from tieline.stores.renewing import Lease, Renewing

CLIENT, TENANT, TOKEN_FILE, AUTHORITY = (
    "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
)  # fmt: skip
METADATA = "GCE_METADATA_HOST"
"""Where Google's metadata server is, if not at its usual name: the variable that Google's own libraries read."""
_STORAGE = "https://storage.azure.com/.default"
_POD = "run in a pod whose service account has an identity there, or log in by a secret"


def check_azure(access: ObjectStore) -> None:
    """Raise StoreTrouble where nothing can say who we are. Asks nobody."""
    no_roles(access)
    for name in (CLIENT, TOKEN_FILE, *(() if "tenant-id" in access.credentials.values else (TENANT,))):
        if not os.environ.get(name):
            raise no_login(access, f"and the variable {name} is not set", _POD, "auth.method")


def no_roles(access: ObjectStore) -> None:
    """Raise StoreTrouble for a role: only Amazon has them."""
    if access.credentials.method == "assume-role":
        raise StoreTrouble(
            Why.UNSUPPORTED,
            f"the bucket {address(access)} has auth.method assume-role, and there are no roles",
            "log in by a secret, or say auth.method: workload-identity",
            "auth.method",
        )


def azure_identity(access: ObjectStore, secrets: Secrets) -> Renewing:
    """A token for Azure's storage. Raises StoreTrouble."""
    check_azure(access)
    tenant = text_of(secrets, "tenant-id") or os.environ.get(TENANT)
    if not tenant:
        raise no_login(access, f"and the variable {TENANT} is not set", _POD, "auth.method")
    authority = os.environ.get(AUTHORITY) or "https://login.microsoftonline.com"
    url = f"{authority.rstrip('/')}/{quote(tenant, safe='')}/oauth2/v2.0/token"

    def asked() -> Answer:
        form = {
            "grant_type": "client_credentials",
            "client_id": os.environ.get(CLIENT, ""),
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": token_of(access, TOKEN_FILE),
            "scope": _STORAGE,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        way = Way("the server that gives Azure's tokens", "auth.method")
        return ask("POST", url, headers, urlencode(form).encode(), way)

    hint = f"check {CLIENT} and {TENANT}, and that the identity trusts the service account (a federated credential)"
    return Renewing(partial(_token, access, asked, hint))


def google_identity(access: ObjectStore) -> Renewing:
    """A token of the node's, or the pod's, service account."""
    host = os.environ.get(METADATA) or "metadata.google.internal"
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"

    def asked() -> Answer:
        way = Way("Google's metadata server", "auth.method", direct=True)
        answer = ask("GET", url, {"Metadata-Flavor": "Google", "Accept": "application/json"}, b"", way)
        if answer.headers.get("metadata-flavor") != "Google":  # somebody else answers for that name
            raise no_login(access, "and what answers is not Google's metadata server", _POD, "auth.method")
        return answer

    hint = "bind the pod's Kubernetes service account to one of Google's"
    return Renewing(partial(_token, access, asked, hint))


def _token(access: ObjectStore, asked: Callable[[], Answer], hint: str) -> Lease:
    """OAuth 2.0's answer (RFC 6749, section 5) as credentials."""
    now, answer = datetime.now(UTC), asked()
    told: Any = None
    if answer.status == 200:
        try:
            told = json.loads(answer.body)
            token, seconds = told["access_token"], float(told["expires_in"])
        except (ValueError, TypeError, KeyError):  # no answer of that form
            raise _refused(answer, access, hint) from None
        if isinstance(token, str) and token:
            return Lease({"token": token}, now + timedelta(seconds=seconds))
    raise _refused(answer, access, hint)


def _refused(answer: Answer, access: ObjectStore, hint: str) -> StoreTrouble:
    told = f"no token for {address(access)} is given to us ({answer.status})"
    if answer.status >= 500 or answer.status == 429:
        return StoreTrouble(Why.BROKEN, told, "try again later", "auth.method")
    return StoreTrouble(Why.NOT_AUTHENTICATED, told, hint, "auth.method")
