"""From what a user calls a revision to what the remote has by that name: exactly that, or an error with the nearest.

Never the default branch in place of a revision that is missing (trap 2 of the field).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tieline.errors import Code, StepFailed, TielineError, nearest
from tieline.git.url import clean

_FULL = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
_SHORT = re.compile(r"[0-9a-fA-F]{4,63}")
_DESCRIBED = re.compile(r".+-\d+-g([0-9a-fA-F]{4,64})")  # what git describe says, and so do we
_NAME = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\]+")  # git-check-ref-format(1), as far as one pattern can say it


@dataclass(frozen=True)
class Refs:
    """What a remote has: ``named`` maps every ref to its commit (an annotated tag to what it is of)."""

    named: Mapping[str, str] = field(default_factory=dict)
    head: str | None = None  # the ref that HEAD stands for
    head_commit: str | None = None

    def names(self) -> list[str]:
        """Branches and tags by their short names."""
        return [ref.split("/", 2)[2] for ref in self.named if ref.startswith(("refs/heads/", "refs/tags/"))]


@dataclass(frozen=True)
class Wanted:
    """What to fetch: a ref, a whole commit id, or the beginning of one."""

    ref: str = ""
    commit: str = ""
    short: str = ""


def parse_refs(listing: str) -> Refs:
    """Read the output of ``git ls-remote --symref``."""
    named: dict[str, str] = {}
    head = head_commit = None
    for line in listing.split("\n"):
        left, _, ref = line.partition("\t")
        if left.startswith("ref: "):
            head = left.removeprefix("ref: ") if ref == "HEAD" else head
        elif ref == "HEAD":
            head_commit = left
        elif ref.startswith("refs/"):
            named[ref.removesuffix("^{}")] = left
    return Refs(named, head, head_commit)


def check_revision(revision: str) -> None:
    """Refuse what could be an option, or an expression rather than a name."""
    if revision.startswith("-"):
        raise _missing(f"the revision {clean(revision)!r} begins with '-'", "a revision is a branch, a tag or a commit")
    if not _NAME.fullmatch(revision) or ".." in revision or "@{" in revision or revision.endswith((".", "/", ".lock")):
        raise _missing(
            f"the revision {clean(revision)!r} is not the name of a branch, a tag or a commit",
            "write one of these; expressions such as main~1 are not taken",
        )


def choose(revision: str | None, refs: Refs, url: str) -> Wanted:
    """What ``revision`` means at this remote; None: its default branch."""
    if not refs.named and refs.head_commit is None:
        raise _missing(f"the repository {clean(url)} is empty", "push a commit to it first")
    if revision is None:
        return _default(refs, url)
    if _FULL.fullmatch(revision):  # before the names: a branch may be called like a commit that somebody pinned
        return Wanted(commit=revision.lower())
    candidates = dict.fromkeys((f"refs/heads/{revision}", f"refs/tags/{revision}", f"refs/{revision}", revision))
    found = [ref for ref in candidates if ref in refs.named]
    if len({refs.named[ref] for ref in found}) > 1:
        raise StepFailed.of(
            Code.REVISION_MISSING,
            f"the revision {clean(revision)!r} is ambiguous in {clean(url)}: {' and '.join(map(clean, found))} differ",
            f"write {clean(found[0])} or {clean(found[1])}",
        )
    if found:
        return Wanted(ref=found[0])
    if revision == "HEAD":
        return _default(refs, url)
    described = _DESCRIBED.fullmatch(revision)
    if described or _SHORT.fullmatch(revision):
        return Wanted(short=(described[1] if described else revision).lower())
    raise missing(revision, refs, url)


def _default(refs: Refs, url: str) -> Wanted:
    if refs.head_commit is None:
        raise _missing(
            f"the default branch of {clean(url)} has no commit yet",
            f"write revision: one of {', '.join(map(clean, refs.names()[:8]))}",
        )
    return Wanted(ref=refs.head) if refs.head else Wanted(ref="HEAD")


def missing(revision: str, refs: Refs, url: str) -> TielineError:
    """The error for a revision that the remote does not have: it names the nearest, or some that there are."""
    names = refs.names()
    near = nearest(revision.removeprefix("origin/").removeprefix("refs/heads/"), names)
    some = ", ".join(map(clean, names[:8])) + (" …" if len(names) > 8 else "")
    hint = f"did you mean {clean(near)!r}?" if near else f"it has {some}" if names else ""
    return _missing(f"the revision {clean(revision)!r} is not in {clean(url)}", hint)


def ambiguous(revision: str, commits: list[str], url: str) -> TielineError:
    """The error for the beginning of more than one commit id."""
    return StepFailed.of(
        Code.REVISION_MISSING,
        f"the revision {revision!r} is ambiguous in {clean(url)}: it begins {', '.join(c[:16] for c in commits[:5])}",
        "write more of the commit's id",
    )


def _missing(message: str, hint: str) -> TielineError:
    return StepFailed.of(Code.REVISION_MISSING, message, hint)
