"""What a bucket's server said, or why nobody did: told as a reason, the field to mend, and something to do.

The library's errors carry addresses, the server's whole answer, and more. Nothing of that is passed on but the status
and the server's own code for what was wrong: a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tieline.stores.base import StoreTrouble, Why

_STATUS = re.compile(r"status code: (\d{3})[^:\n]*(?::|\n)(.*)", re.DOTALL)
_CODE = re.compile(r"<Code>\s*([A-Za-z][A-Za-z0-9.]{1,60})\s*</Code>|\(code: (\w{2,60})\)")
_LOGIN = frozenset(
    {
        "AuthenticationFailed", "AuthenticationRequired", "AuthFailure", "ExpiredToken", "InvalidAccessKeyId",
        "InvalidAuthenticationInfo", "InvalidSecurity", "InvalidToken", "MissingSecurityHeader",
        "NoAuthenticationInformation", "SignatureDoesNotMatch", "TokenRefreshRequired",
    }
)  # fmt: skip
_OTHER_PARTS = {
    "InvalidAccessKeyId": "access-key-id",
    "ExpiredToken": "session-token",
    "InvalidToken": "session-token",
    "TokenRefreshRequired": "session-token",
}
"""What to mend, where it is not what a login is usually wrong in."""
_ENDED = frozenset(
    {
        "AuthenticationFailed", "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId",
        "InvalidAuthenticationInfo", "InvalidToken", "TokenRefreshRequired",
    }
)  # fmt: skip
"""What is said of credentials that were for a while and have ended; some servers forget the key then."""
NO_LOGIN = "tieline: no login"
"""What an error says of a request for which there were no credentials; :attr:`Server.refusal` says why."""
_ANONYMOUS = frozenset({"PublicAccessNotPermitted", "ResourceNotFound"})
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "InvalidBucketName"})
_REGION = frozenset(
    {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"}
)
_FULL = frozenset({"QuotaExceeded", "EntityTooLarge", "InsufficientStorage", "XMinioStorageFull"})
_BUSY = frozenset(
    {"OperationAborted", "RequestTimeout", "ServerBusy", "ServiceUnavailable", "SlowDown", "TooManyRequests"}
)
_FAILED = frozenset({"InternalError", "InternalServerError", "OperationTimedOut"})
_DAMAGED = frozenset(
    {
        "BadDigest", "Crc64Mismatch", "EntityTooSmall", "IncompleteBody", "InvalidBlockList", "InvalidDigest",
        "InvalidPart", "InvalidPartOrder", "InvalidXmlDocument", "MalformedXML", "Md5Mismatch", "NoSuchUpload",
        "XAmzContentSHA256Mismatch",
    }
)  # fmt: skip
"""What we never send: it came to be on the way, or parts went missing. ``NoSuchUpload`` is also what a server says that
is asked a second time to put parts together, because its first answer was lost."""
_EXPIRED = frozenset({"ExpiredToken", "TokenRefreshRequired"})
_SETTLED = (
    "InvalidCertificate", "InvalidContentType", "incorrectly configured region", "invalid peer certificate",
    "received corrupt message",
)  # fmt: skip
"""Where no server answered, words of what somebody has to mend."""
_NO_CONNECTION = re.compile(r"kind: Connect\b|tcp connect error|ConnectError")


@dataclass(frozen=True, slots=True)
class Server:
    """Whom messages are about. ``shown``: the bucket's address; ``endpoint``: the server's, without its path;
    ``login``: the credential that proves who we are, empty where nothing does, or a field of ``auth``; ``refusal``: why
    there were no credentials for a request."""

    shown: str
    endpoint: str
    login: str = ""
    proxy: str | None = None
    refusal: Callable[[], StoreTrouble | None] | None = field(default=None, compare=False, repr=False)

    @property
    def lends(self) -> bool:
        """Whether its login is one for a while, which ``auth`` says how to get."""
        return self.login.startswith("auth.")


@dataclass(frozen=True, slots=True)
class Said:
    """A server's answer: its status, and its word for what is wrong."""

    status: int
    code: str
    login_failed: bool = False

    @property
    def words(self) -> str:
        return f"{self.status} {self.code}".strip()


def said(error: BaseException) -> Said | None:
    """The server's answer that an error tells; None where there was none."""
    text = str(error).partition("\n\nDebug source:")[0]
    found = _STATUS.search(text)
    code = _CODE.search(found[2] if found else text)
    word = (code[1] or code[2]) if code else ""
    if found:
        return Said(int(found[1]), word, word in _LOGIN or "failed to authenticate" in found[2])
    if "Wanted range starting at" in text:
        return Said(416, "InvalidRange")
    if isinstance(error, FileNotFoundError):
        return Said(404, word)
    if word.isdigit():  # of one object among many
        return Said(int(word), "")
    return Said(403, word) if word == "AccessDenied" else Said(400, word) if word else None


def trouble(error: BaseException, doing: str, what: str, server: Server) -> StoreTrouble:
    """``error`` as a :class:`StoreTrouble`: "cannot <doing> <what>: …"."""
    refused = server.refusal() if server.refusal is not None and NO_LOGIN in str(error) else None
    if refused is not None:
        problem = refused.problems[0]
        told = f"cannot {doing} {what}: {problem.message}"
        return StoreTrouble(refused.why, told, problem.hint, refused.part, again=refused.again)
    answer = said(error)
    why, told, hint, part = _judged(answer, server) if answer else _unanswered(error, server)
    is_settled = any(word in str(error) for word in _SETTLED)
    again = _is_worth_again(answer) if answer else False if is_settled else None
    if server.lends and has_ended(error):
        again = True
    return StoreTrouble(why, f"cannot {doing} {what}: {told}", hint, part, again=again)


def _is_worth_again(answer: Said) -> bool:
    """Whether the same request may be answered otherwise soon. A login that has expired may: who gives it out is asked
    for another."""
    if answer.code in _BUSY | _FAILED | _DAMAGED | _EXPIRED or answer.status in (408, 412, 429):
        return True
    return answer.status >= 500 and answer.status not in (501, 505)


def has_ended(error: BaseException) -> bool:
    """Whether the server says that a login for a while has ended: a new one may do."""
    answer = said(error)
    return answer is not None and (answer.code in _ENDED or answer.status == 401)


_Told = tuple[Why, str, str, str]


def _judged(answer: Said, server: Server) -> _Told:
    code, status = answer.code, answer.status
    if code in _NO_BUCKET:
        hint = "check the bucket's name and the endpoint, or make the bucket"
        return Why.NOT_FOUND, f"there is no such bucket ({answer.words})", hint, "bucket"
    if code in _REGION or status in (301, 307):
        return Why.BROKEN, f"the bucket is in another region ({answer.words})", "name its region", "region"
    if code == "RequestTimeTooSkewed":
        told = f"this machine's clock and the server's differ too much ({answer.words})"
        return Why.NOT_AUTHENTICATED, told, "set the clock right", ""
    if not server.login and (status in (401, 403) or code in _ANONYMOUS):
        hint = "name a secret to log in with, or let everybody in"
        return Why.NOT_AUTHENTICATED, f"nobody is let in without a login ({answer.words})", hint, "secret"
    if answer.login_failed or status == 401:
        part = server.login if server.lends else _OTHER_PARTS.get(code, server.login)
        hint = f"check {part}" if server.lends else f"check {part} in the connection's secret"
        return Why.NOT_AUTHENTICATED, f"the server does not take the login ({answer.words})", hint, part
    if status == 403:
        other = f"check {server.login}" if server.lends else "name another secret"
        hint, part = f"give this login the right to it, or {other}", server.login if server.lends else "secret"
        return Why.FORBIDDEN, f"this login may not do that ({answer.words})", hint, part
    return _other(answer)


def _other(answer: Said) -> _Told:
    code, status = answer.code, answer.status
    if code in _DAMAGED:
        hint = "try again; if it stays so, see what is between this machine and the server"
        return Why.DAMAGED, f"it did not arrive as it was sent ({answer.words})", hint, ""
    if status == 404:
        return Why.NOT_FOUND, "it is not there", "check the name", ""
    if status == 412:
        return Why.CHANGED, "it was written anew meanwhile", "try again", ""
    if code in _FULL or status == 507:
        return Why.FULL, f"there is no room for it ({answer.words})", "free some space, or ask for a larger quota", ""
    if code in _BUSY or status in (429, 503):
        return Why.BROKEN, f"the server is busy ({answer.words})", "try again later", ""
    if code == "KeyTooLongError":
        return Why.UNSUPPORTED, f"its name is too long for a bucket ({answer.words})", "give it a shorter one", ""
    if code in _FAILED or status >= 500:
        return Why.BROKEN, f"the server failed ({answer.words})", "see the server's log", ""
    return Why.BROKEN, f"the server says {answer.words}", "check that the endpoint speaks this protocol", "endpoint"


def _untrusted(text: str, way: str) -> _Told:
    if "NotValidForName" in text:
        return Why.UNREACHABLE, f"the certificate of {way} is for another host", "use a name that it is for", "endpoint"
    if "Expired" in text or "NotValidYet" in text:
        told = f"the certificate of {way} has expired, or is not valid yet"
        return Why.UNREACHABLE, told, "it has to be renewed on the server", ""
    hint = "name its authority's certificate in caBundle, if it is to be trusted"
    return Why.UNREACHABLE, f"the certificate of {way} is not trusted", hint, "caBundle"


def _unanswered(error: BaseException, server: Server) -> _Told:
    """Nothing came back: as far as the library tells, why."""
    text = str(error)
    way = f"{server.endpoint} (through a proxy)" if server.proxy else server.endpoint
    part = "proxy" if server.proxy else "endpoint"
    if "incorrectly configured region" in text:
        return Why.BROKEN, "the bucket is in another region", "name its region", "region"
    if "dns error" in text:
        return Why.UNREACHABLE, f"the host of {way} has no address", "check the endpoint", part
    if "InvalidCertificate" in text or "invalid peer certificate" in text:
        return _untrusted(text, way)
    if "InvalidContentType" in text or "received corrupt message" in text:
        return Why.UNREACHABLE, f"{way} does not answer with TLS", "check the endpoint's port and scheme", "endpoint"
    if "TimedOut" in text or "kind: Timeout" in text or "timed out" in text:
        return Why.UNREACHABLE, f"{way} did not answer in time", "check the network, or try again later", part
    if _NO_CONNECTION.search(text):
        return Why.UNREACHABLE, f"nothing answers at {way}", "check the endpoint, and that the server runs", part
    if "HttpError" in text:
        return Why.UNREACHABLE, f"the connection to {way} broke", "try again; else see the server's log", part
    if "NotSupported" in text or isinstance(error, NotImplementedError):
        return Why.UNSUPPORTED, "the server cannot do that", "see what it supports", ""
    told = f"the answer of {way} cannot be read ({type(error).__name__})"
    return Why.BROKEN, told, "see the server's log", "endpoint"
