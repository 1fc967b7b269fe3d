"""The tree of errors: what every room raises, and the only thing that the command line has to print.

An error says *what* is wrong, *where* (a :class:`Place`), and *what to do*. Its :class:`Code` is stable:
scripts may match on it, and ``docs/errors.md`` has an example of each (a test keeps the two lists equal).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self


class Code(StrEnum):
    """Stable identifiers of everything that can be wrong; see ``docs/errors.md``."""

    # reading a file
    FILE_NOT_FOUND = "file-not-found"
    FILE_UNREADABLE = "file-unreadable"
    BAD_ENCODING = "bad-encoding"
    BAD_SYNTAX = "bad-syntax"
    TOO_LARGE = "too-large"
    TOO_DEEP = "too-deep"
    ALIAS_EXPANSION = "alias-expansion"
    DUPLICATE_KEY = "duplicate-key"
    # the shape of a file
    UNKNOWN_KEY = "unknown-key"
    MISSING_KEY = "missing-key"
    WRONG_TYPE = "wrong-type"
    BAD_VALUE = "bad-value"
    UNSUPPORTED = "unsupported"
    # a catalog
    UNKNOWN_KIND = "unknown-kind"
    BAD_NAME = "bad-name"
    DUPLICATE_NAME = "duplicate-name"
    WRONG_STORE_KIND = "wrong-store-kind"
    UNKNOWN_NAMESPACE = "unknown-namespace"
    UNKNOWN_CLUSTER = "unknown-cluster"
    # a job against a catalog
    UNKNOWN_CONNECTION = "unknown-connection"
    WRONG_KIND = "wrong-kind"
    NOT_ALLOWED = "not-allowed"
    NOTIFICATION_ONLY = "notification-only"
    VARIABLE_COLLISION = "variable-collision"
    MOUNT_COLLISION = "mount-collision"
    PATH_COLLISION = "path-collision"
    BAD_TEMPLATE = "bad-template"
    UNDEFINED_NAME = "undefined-name"
    MISSING_PARAM = "missing-param"
    UNKNOWN_PARAM = "unknown-param"
    BAD_PARAM = "bad-param"
    UNSAFE_PATH = "unsafe-path"
    # the world, before a run is accepted
    PATH_MISSING = "path-missing"
    PROGRAM_MISSING = "program-missing"
    SECRET_MISSING = "secret-missing"  # noqa: S105
    # a step of a run
    CLONE_FAILED = "clone-failed"
    REVISION_MISSING = "revision-missing"
    FETCH_FAILED = "fetch-failed"
    ARTIFACT_MISSING = "artifact-missing"
    STEP_FAILED = "step-failed"
    # how a run ended
    EXIT_CODE = "exit-code"
    SIGNALLED = "signalled"
    TIMEOUT = "timeout"
    STOPPED = "stopped"
    SUPERVISOR_DIED = "supervisor-died"
    OUTPUTS_NOT_SAVED = "outputs-not-saved"
    # runs and this machine
    RUN_NOT_FOUND = "run-not-found"
    NOTIFICATION_NOT_FOUND = "notification-not-found"
    RUN_ACTIVE = "run-active"
    BAD_TRANSITION = "bad-transition"
    STORE_FAILED = "store-failed"
    DAMAGED = "damaged"
    HOME_UNUSABLE = "home-unusable"
    # a cluster
    CLUSTER_FAILED = "cluster-failed"
    NOT_PERMITTED = "not-permitted"
    POD_LOST = "pod-lost"
    OBJECT_MISSING = "object-missing"
    CLAIM_UNUSABLE = "claim-unusable"
    NOT_CHECKED = "not-checked"
    USAGE = "usage"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something is wrong: a file, a 1-based line and column (0: not known), and a field path."""

    file: str = ""
    line: int = 0
    column: int = 0
    field: str = ""

    def __str__(self) -> str:
        spot = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (spot, self.field) if part)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input: ``place: message; hint``."""

    code: Code
    message: str
    hint: str = ""
    place: Place = Place()
    warning: bool = False

    def __str__(self) -> str:
        text = f"{self.message}; {self.hint}" if self.hint else self.message
        place = str(self.place)
        return f"{place}: {text}" if place else text

    def as_json(self) -> dict[str, Any]:
        """The form of ``--output json``: every key is always there."""
        return {
            "code": self.code.value,
            "severity": "warning" if self.warning else "error",
            "message": self.message,
            "hint": self.hint,
            "file": self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "field": self.place.field,
        }


class TielineError(Exception):
    """Anything that Tieline refuses or fails at, told as one or more problems."""

    exit_code: ClassVar[int] = 70

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))

    @classmethod
    def of(cls, code: Code, message: str, hint: str = "", place: Place | None = None) -> Self:
        """An error with a single problem."""
        return cls(Problem(code, message, hint, place or Place()))

    @property
    def code(self) -> Code:
        """The code of the first problem."""
        return self.problems[0].code if self.problems else Code.INTERNAL


class InvalidInput(TielineError):
    """A file, a parameter or a name that cannot be accepted. Nothing was started."""

    exit_code = 65

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*sorted(problems, key=lambda problem: problem.place))


class NotFound(TielineError):
    """A file, a run or a connection that was named and is not there."""

    exit_code = 66


class Refused(TielineError):
    """Preflight: the world cannot carry out an otherwise valid plan. No run was recorded."""

    exit_code = 69


class StepFailed(TielineError):
    """A step beside the user's code failed while the run was under way."""

    exit_code = 74

    @classmethod
    def from_error(cls, error: BaseException) -> StepFailed:
        """What the system said, or what nobody expected, while a step was carried out."""
        if isinstance(error, OSError):
            path = f"{error.filename}: " if error.filename else ""
            return cls(
                Problem(Code.STEP_FAILED, f"{path}{error.strerror or error}", "check the path, its rights and the disk")
            )
        return cls(
            Problem(Code.INTERNAL, f"{type(error).__name__}: {error}", "this is a defect in Tieline; please report it")
        )


class StoreFailed(TielineError):
    """Saving to, or reading from, the artifacts store failed."""

    exit_code = 73


class Damaged(StoreFailed):
    """A store does not have what was saved to it."""

    exit_code = 76


class RecordError(TielineError):
    """The record of runs does not allow what was asked."""

    exit_code = 70


LONG_WORD = 100
MANY_NAMES = 500


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that a misspelt one most probably means, if any comes near.

    Among many (a catalog of 100,000 names, which difflib would look at for seconds) only one slip of the keys is near.
    """
    from difflib import get_close_matches

    names = known if isinstance(known, (Mapping, Set)) else dict.fromkeys(known)  # in their own order
    if len(word) > LONG_WORD:
        return None
    if len(names) > MANY_NAMES:
        return next((slip for slip in _slips(word.lower()) if slip in names), None)
    candidates = {item.lower().replace("_", "").replace("-", ""): item for item in names}
    plain = word.lower().replace("_", "").replace("-", "")
    found = get_close_matches(plain, candidates, n=1, cutoff=0.6)
    return candidates[found[0]] if found else None


def _slips(word: str) -> Iterator[str]:
    """The word with one letter more, less or another, two exchanged, or the other mark between its parts."""
    yield from (word, word.replace("_", "-"), word.replace("-", "_"))
    for at in range(len(word) + 1):
        head, tail = word[:at], word[at:]
        yield head + tail[1:]
        yield head + tail[1:2] + tail[:1] + tail[2:]
        for letter in "abcdefghijklmnopqrstuvwxyz0123456789-_.":
            yield head + letter + tail
            yield head + letter + tail[1:]


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """A hint: the nearest known word, or ``otherwise``."""
    near = nearest(word, known)
    return f"did you mean {near!r}?" if near else otherwise
