"""Who a job's main container runs as, where its file says so, and what follows from that for the modes of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tieline.model.binding import ResourceSource
from tieline.model.plan import Plan, Program

ROOTS_RIGHTS = ("DAC_READ_SEARCH", "DAC_OVERRIDE", "CHOWN", "FOWNER")
"""With these alone root can read what a job's own root wrote with mode 0600, and hand files to another user."""
NOBODY = 65533
"""A user that no image has. (The one of our own image is 65532, as that of many others.)"""
FOR_ALL, FOR_GROUP, FOR_ROOT = 0o644, 0o640, 0o600


@dataclass(frozen=True, slots=True)
class User:
    """``uid`` None: the image's own, which nobody here knows. ``fs_group``: what is mounted is its files too.
    ``non_root``: nothing in the pod is to run as root.
    """

    uid: int | None = None
    gid: int | None = None
    fs_group: int | None = None
    non_root: bool = False

    @property
    def ours(self) -> int:
        """Whom Tieline's own containers run as. Root, where the job's user is not known: it can read all that the job
        writes; where the pod has no root, somebody who can read what the job leaves readable."""
        return self.uid if self.uid is not None else NOBODY if self.non_root else 0

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    def mode(self, source: ResourceSource) -> int:
        """The mode of a mounted secret's files: as the catalog says; else one that this user can read.

        A known root gets them to itself (ssh refuses a key that others may read); files of another user are the
        cluster's own root's, so all may read them.
        """
        if source.mode is not None:
            return source.mode
        return FOR_ROOT if source.resource == "secret" and self.is_root else FOR_ALL

    @property
    def entry_mode(self) -> int:
        """The mode of a binding directory's files that are a volume's: as closed as this user can still read."""
        if self.is_root:
            return FOR_ROOT
        return FOR_ALL if self.fs_group is None else FOR_GROUP

    def can_read(self, mode: int) -> bool:
        """Whether files of root with this mode can be read, as far as that is known."""
        return not self.uid or self.fs_group is not None or bool(mode & 0o004)


def user_of(plan: Plan) -> User:
    """Of the main container; what it says itself wins over what the pod says."""
    pod: Mapping[str, Any] = plan.environment.get("securityContext") or {}
    own: Mapping[str, Any] = plan.main.container.get("securityContext") or {}
    uid, gid = _number("runAsUser", own, pod), _number("runAsGroup", own, pod)
    return User(uid, gid, _number("fsGroup", pod), pod.get("runAsNonRoot") is True)


def uid_of(plan: Plan, program: Program) -> int | None:
    """Whom one of the user's containers runs as; None: its image says it."""
    pod, own = plan.environment.get("securityContext") or {}, program.container.get("securityContext") or {}
    return _number("runAsUser", own, pod)


def _number(name: str, *contexts: Mapping[str, Any]) -> int | None:
    """Of the first of these that says it."""
    value = next((context[name] for context in contexts if name in context), None)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def own_security(user: User, *, ends_others: bool = False) -> dict[str, Any]:
    """The ``securityContext`` of Tieline's own containers. ``ends_others``: processes of any user of the pod."""
    uid = 0 if ends_others and not user.non_root else user.ours
    context: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "capabilities": {"drop": ["ALL"]},
        "runAsUser": uid,
        "runAsNonRoot": bool(uid),
    }
    if not uid:
        context["capabilities"]["add"] = [*ROOTS_RIGHTS, *(["KILL"] if ends_others else [])]
    if user.gid is not None:
        context["runAsGroup"] = user.gid
    elif uid == NOBODY:
        context["runAsGroup"] = NOBODY
    return context
