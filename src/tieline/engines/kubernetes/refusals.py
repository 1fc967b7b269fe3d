"""What a cluster answers when it does not do what it was asked for, told apart: for the code, and for people.

Nothing of what was sent is in a message; what the API says of it is, on one line and cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar

from tieline.errors import Code, Problem, TielineError
from tieline.secrets.kubeconfig import INSTALL

NETWORK = ("httpx", "httpx2", "httpcore", "httpcore2")
"""Libraries whose errors are about the network."""
CONNECTION = "check the network, and the server of the context (`kubectl cluster-info` asks it too)"
CONTEXT = "set KUBECONFIG, or correct `context:` under `clusters:` in the deployment file"


class Why(Enum):
    """Why a request failed."""

    NO_CLIENT = "no client"
    UNREACHABLE = "unreachable"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    EXISTS = "exists"
    CONFLICT = "conflict"
    INVALID = "invalid"
    GONE = "gone"  # a resource version that is too old
    BROKEN = "broken"  # whatever else: 5xx, 429, a proxy's own page

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be answered well a little later."""
        return self in (Why.UNREACHABLE, Why.BROKEN, Why.CONFLICT)


class ClusterError(TielineError):
    """A cluster did not do what it was asked for."""

    exit_code: ClassVar[int] = 69

    def __init__(self, why: Why, problem: Problem) -> None:
        super().__init__(problem)
        self.why = why


def no_client(context: str | None) -> ClusterError:
    """lightkube is not installed."""
    message = f"{_named(context)} cannot be asked: its client is not installed"
    return ClusterError(Why.NO_CLIENT, Problem(Code.PROGRAM_MISSING, message, INSTALL))


def not_reached(error: Exception, context: str | None, server: str = "") -> ClusterError:
    """No answer came, or there is nobody to ask; of anything unexpected only the type is told."""
    module, name = type(error).__module__.partition(".")[0], type(error).__name__
    where = f"the cluster {server}" if server else _named(context)
    if module in NETWORK or isinstance(error, OSError) or name == "ConfigError":
        said, hint = _said(str(error)) or name, CONNECTION if server else CONTEXT
    else:
        said, hint = name, "check the context with kubectl"
    return ClusterError(Why.UNREACHABLE, Problem(Code.CLUSTER_FAILED, f"{where} cannot be reached: {said}", hint))


def answered(status: int, body: Mapping[str, Any], doing: str, server: str) -> ClusterError:
    """An answer that is a refusal. ``doing``: ``create jobs in namespace a``."""
    reason, said = str(body.get("reason") or ""), _said(str(body.get("message") or ""))
    why = _why(status, reason)
    if why is Why.FORBIDDEN:
        return ClusterError(why, _forbidden(doing, said, server))
    if why is Why.UNAUTHENTICATED:
        message = f"the cluster {server} does not know you ({status}), so you cannot {doing}"
        return ClusterError(why, Problem(Code.NOT_PERMITTED, message, "log in again, or mend the context's user"))
    hint = {
        Why.MISSING: "check the name and the namespace",
        Why.INVALID: "if this is not what the job's file says, it is a defect in Tieline; please report it",
        Why.BROKEN: "try again, or ask the cluster's admin",
        Why.CONFLICT: "somebody else changed it at the same moment: try again",
    }.get(why, "")
    message = f"the cluster {server} answered {status} to the request to {doing}{f': {said}' if said else ''}"
    return ClusterError(why, Problem(Code.CLUSTER_FAILED, message, hint))


def _why(status: int, reason: str) -> Why:
    if status == 409:
        return Why.EXISTS if reason == "AlreadyExists" else Why.CONFLICT
    if status == 404 and reason != "NotFound":
        return Why.BROKEN  # a proxy's page, or a resource that this server does not have
    known = {400: Why.INVALID, 401: Why.UNAUTHENTICATED, 403: Why.FORBIDDEN, 404: Why.MISSING, 410: Why.GONE,
             422: Why.INVALID}  # fmt: skip
    return known.get(status, Why.BROKEN)


def _forbidden(doing: str, said: str, server: str) -> Problem:
    """A right that is missing, by its verb and resource; or what an admission check has against it (a quota)."""
    if said and " cannot " not in said:
        return Problem(Code.NOT_PERMITTED, f"the cluster {server} refused to {doing}: {said}", "ask its admin")
    verb, _, resource = doing.partition(" ")
    what, _, where = resource.partition(" in ")
    hint = f"ask its admin for the right to `{verb}` `{what}`{f' in {where}' if where else ''}"
    return Problem(Code.NOT_PERMITTED, f"the cluster {server} does not allow you to {doing}", hint)


def _named(context: str | None) -> str:
    return f"the cluster of the context {context!r}" if context else "the cluster of the current context"


def _said(text: str) -> str:
    """Somebody's own words, on one line."""
    return " ".join(text.split())[:300]
