"""Amazon's roles: credentials for a while, from its Security Token Service (STS) or a server that speaks like it.

**assume-role** asks with the connection's own keys (AssumeRole); **workload-identity** with the token that a cluster
writes into a file for its service account (AssumeRoleWithWebIdentity). The file is read anew each time: its token ends
too. Nothing else is tried when that fails.

The form is that of STS's query interface, version 2011-06-15.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from html import unescape
from urllib.parse import urlencode, urlsplit

from tieline.model.access import ObjectStore
from tieline.stores.asking import Answer, Way, ask
from tieline.stores.base import StoreTrouble, Why, shown
from tieline.stores.given import Secrets, address, lacking, no_login, text_of, token_of
from tieline.stores.renewing import Lease, Renewing
from tieline.stores.signing import Keys, signed

SESSION = "tieline"
"""The session's name: what an audit trail shows beside the role."""
ROLE, TOKEN_FILE = "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"
"""What a cluster sets for a service account that has a role."""
_AMAZON = re.compile(r"\.amazonaws\.com(?:\.cn)?$")
_CODE = re.compile(r"<Code>\s*([A-Za-z][A-Za-z0-9.]{1,60})\s*</Code>")


@dataclass(frozen=True, slots=True)
class _Asks:
    """One way to take on a role. ``login``: the parts that prove who asks, by what STS may say against them."""

    access: ObjectStore
    role: str
    url: str
    region: str
    form: Callable[[], Mapping[str, str]]
    keys: Keys | None
    wrong: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def check_role(access: ObjectStore) -> None:
    """Raise StoreTrouble for a role that can't be taken on, whatever a secret holds."""
    if access.credentials.method == "assume-role":
        if access.credentials.secret is None:
            raise no_login(access, "and no secret to take on its role with", "name a secret that has keys", "secret")
        if not access.credentials.role:
            raise no_login(access, "and no role", "name it in auth.role", "auth.role")
        return
    if not _web_role(access):
        hint = f"name the role in auth.role, or run where {ROLE} says it: a pod whose service account has a role"
        raise no_login(access, f"and neither it nor the variable {ROLE} names a role", hint, "auth.role")
    if not os.environ.get(TOKEN_FILE):
        hint = "run in a pod whose service account has a role, or log in by a secret"
        raise no_login(access, f"and there is no token: the variable {TOKEN_FILE} is not set", hint, "auth.method")


def taking_on(access: ObjectStore, secrets: Secrets, endpoint: str | None, region: str) -> Renewing:
    """The credentials of the connection's role. ``endpoint``: the bucket's server, where it is not Amazon's. Asks
    nobody yet. Raises StoreTrouble."""
    check_role(access)
    url = _sts(access, endpoint, region)
    if access.credentials.method == "assume-role":
        asks = _by_keys(access, secrets, url, region)
    else:
        role = _web_role(access)
        asks = _Asks(access, role, url, region, partial(_web_form, access, role), None, _TOKEN_IS_WRONG)
    return Renewing(partial(_take_on, asks))


def _by_keys(access: ObjectStore, secrets: Secrets, url: str, region: str) -> _Asks:
    found = [text_of(secrets, name) for name in ("access-key-id", "secret-access-key")]
    missing = [name for name, value in zip(("access-key-id", "secret-access-key"), found, strict=True) if not value]
    if missing:
        raise lacking(access, *missing)
    keys = Keys(found[0] or "", found[1] or "", text_of(secrets, "session-token"))
    role, external = access.credentials.role or "", access.credentials.external_id
    form = {**_form(access, "AssumeRole", role), **({"ExternalId": external} if external else {})}
    return _Asks(access, role, url, region, lambda: form, keys, _KEYS_ARE_WRONG)


def _web_role(access: ObjectStore) -> str:
    return access.credentials.role or os.environ.get(ROLE, "")


def _form(access: ObjectStore, action: str, role: str) -> dict[str, str]:
    duration = access.credentials.duration
    lasting = {"DurationSeconds": str(duration)} if duration is not None else {}
    return {"Action": action, "Version": "2011-06-15", "RoleArn": role, "RoleSessionName": SESSION, **lasting}


def _web_form(access: ObjectStore, role: str) -> dict[str, str]:
    return {
        **_form(access, "AssumeRoleWithWebIdentity", role),
        "WebIdentityToken": token_of(access, TOKEN_FILE),
    }


def _sts(access: ObjectStore, endpoint: str | None, region: str) -> str:
    """Where the role is taken on. A server of one's own answers for itself: Amazon hears nothing of it."""
    given = access.credentials.endpoint
    if given is not None:
        return given
    if endpoint is not None and not _AMAZON.search(urlsplit(endpoint).hostname or ""):
        return endpoint
    return f"https://sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def _take_on(asks: _Asks) -> Lease:
    access, now = asks.access, datetime.now(UTC)
    body = urlencode(asks.form()).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    if asks.keys is not None:
        headers = signed(asks.url, body, asks.keys, asks.region, "sts", now)
    part = "auth.endpoint" if access.credentials.endpoint or not access.endpoint else "endpoint"
    insecure = access.insecure and not _AMAZON.search(urlsplit(asks.url).hostname or "")
    way = Way("the server that gives the role's credentials (STS)", part, access.ca_bundle, access.proxy, insecure)
    answer = ask("POST", asks.url, {**headers, "Accept": "application/xml"}, body, way)
    lease = _lease(answer) if answer.status == 200 else None
    if lease is None:
        raise _refused(answer, asks, part)
    return lease


def _lease(answer: Answer) -> Lease | None:
    """The credentials in an answer; None where it has none that can be read."""
    text = answer.body.decode("utf-8", "replace")

    def one(name: str) -> str:
        found = re.search(rf"<{name}>\s*([^<]*?)\s*</{name}>", text)
        return unescape(found[1]) if found else ""

    keys = {"access_key_id": one("AccessKeyId"), "secret_access_key": one("SecretAccessKey")}
    try:
        until = datetime.fromisoformat(one("Expiration"))
    except ValueError:
        return None
    if not all(keys.values()):
        return None
    return Lease({**keys, "token": one("SessionToken") or None}, until if until.tzinfo else until.replace(tzinfo=UTC))


_KEYS = "check {} in the connection's secret"
_KEYS_ARE_WRONG = {
    "InvalidClientTokenId": ("access-key-id", _KEYS),
    "InvalidAccessKeyId": ("access-key-id", _KEYS),
    "SignatureDoesNotMatch": ("secret-access-key", _KEYS),
    "IncompleteSignature": ("secret-access-key", _KEYS),
    "ExpiredToken": ("session-token", _KEYS),
    "ExpiredTokenException": ("session-token", _KEYS),
}
_WEB = f"see that {TOKEN_FILE} names a token that is not over, and that the role trusts its issuer and audience"
_TOKEN_IS_WRONG = {
    "InvalidIdentityToken": ("auth.method", _WEB),
    "ExpiredTokenException": ("auth.method", _WEB),
    "ExpiredToken": ("auth.method", _WEB),
    "IDPRejectedClaim": ("auth.method", _WEB),
}
_BUSY = frozenset(
    {"Throttling", "ThrottlingException", "IDPCommunicationError", "ServiceUnavailable", "InternalFailure"}
)


def _refused(answer: Answer, asks: _Asks, where: str) -> StoreTrouble:
    found = _CODE.search(answer.body.decode("utf-8", "replace"))
    code, status = (found[1] if found else ""), answer.status
    what = f"the role {shown(asks.role)} of {address(asks.access)} is not given to us ({f'{status} {code}'.strip()})"
    if code in asks.wrong:
        part, hint = asks.wrong[code]
        return StoreTrouble(Why.NOT_AUTHENTICATED, what, hint.format(part), part)
    if code in _BUSY or status >= 500 or status == 429:
        return StoreTrouble(Why.BROKEN, what, "try again later; else see the log of STS", where)
    if code in ("RequestExpired", "RequestTimeTooSkewed"):
        return StoreTrouble(Why.NOT_AUTHENTICATED, what, "set this machine's clock right")
    if code == "RegionDisabledException":
        return StoreTrouble(
            Why.NOT_AUTHENTICATED, what, "activate STS in this region, or name another auth.endpoint", where
        )
    if code == "ValidationError":
        return StoreTrouble(Why.NOT_AUTHENTICATED, what, "check auth.role and auth.duration", "auth.role")
    if status in (401, 403) or code.startswith("AccessDenied"):
        trust = "its trust policy has to name who asks (and auth.externalId, if it wants one)"
        return StoreTrouble(Why.NOT_AUTHENTICATED, what, f"check auth.role; {trust}", "auth.role")
    return StoreTrouble(Why.BROKEN, what, f"check that {where} speaks STS", where)
