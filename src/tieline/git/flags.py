"""The ``flags`` of a git connection or init: which of git's own are taken, and what each comes to.

A list of what is allowed, because a flag may name a program to run (``--upload-pack``), write configuration, or make
the result something else than a checkout of one commit. An entry is one flag or several, with ``=`` or a space before
its value: ``--depth=1``, ``--depth 1``. Where a flag and a field of the connection say the same thing, the flag wins:
it is written nearer to the job. ``--experimental-fetch`` is the field's own: fetch the one revision only.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace

from tieline.errors import Code, StepFailed, TielineError, did_you_mean
from tieline.git.url import clean
from tieline.model.access import GitRemote


@dataclass(frozen=True)
class Options:
    """How to fetch: ``single`` is one branch or revision only; None leaves it to ``depth`` and its like."""

    depth: int | None = None
    shallow_since: str | None = None
    shallow_exclude: tuple[str, ...] = ()
    single: bool | None = None
    tags: bool = True
    filter: str | None = None
    sparse: tuple[str, ...] | None = None  # (): only the files of the top folder
    submodules: bool = False
    shallow_submodules: bool = False
    jobs: int | None = None
    extra: tuple[str, ...] = ()

    @property
    def is_shallow(self) -> bool:
        return bool(self.depth or self.shallow_since or self.shallow_exclude)

    @property
    def is_narrow(self) -> bool:
        """Whether only the wanted revision is fetched; as ``git clone`` does, a shallow clone is narrow."""
        return self.is_shallow if self.single is None else self.single


_Apply = Callable[[Options, str], Options]

_PLAIN: dict[str, _Apply] = {
    "--single-branch": lambda o, _: replace(o, single=True),
    "--no-single-branch": lambda o, _: replace(o, single=False),
    "--experimental-fetch": lambda o, _: replace(o, single=True),
    "--no-tags": lambda o, _: replace(o, tags=False),
    "--tags": lambda o, _: replace(o, tags=True),
    "--sparse": lambda o, _: replace(o, sparse=o.sparse or ()),
    "--recurse-submodules": lambda o, _: replace(o, submodules=True),
    "--recursive": lambda o, _: replace(o, submodules=True),
    "--no-recurse-submodules": lambda o, _: replace(o, submodules=False),
    "--shallow-submodules": lambda o, _: replace(o, shallow_submodules=True),
    "--no-shallow-submodules": lambda o, _: replace(o, shallow_submodules=False),
    "--ipv4": lambda o, _: replace(o, extra=(*o.extra, "--ipv4")),
    "--ipv6": lambda o, _: replace(o, extra=(*o.extra, "--ipv6")),
    # Of no consequence here: the output is not shown, and nothing is ever linked to the source.
    **dict.fromkeys(
        ("--quiet", "--verbose", "--progress", "--no-progress", "--no-local", "--no-hardlinks"), lambda o, _: o
    ),
}
_VALUED: dict[str, _Apply] = {
    "--depth": lambda o, value: replace(o, depth=_count("--depth", value)),
    "--jobs": lambda o, value: replace(o, jobs=_count("--jobs", value)),
    "--shallow-since": lambda o, value: replace(o, shallow_since=value),
    "--shallow-exclude": lambda o, value: replace(o, shallow_exclude=(*o.shallow_exclude, value)),
    "--filter": lambda o, value: replace(o, filter=value),
}
_SHORT = {"-q": "--quiet", "-v": "--verbose", "-4": "--ipv4", "-6": "--ipv6", "-j": "--jobs"}

ALLOWED = (*_PLAIN, *_VALUED)

_REFUSED = {
    ("--upload-pack", "-u"): ("names a program to run", "use the git that the server has"),
    ("--config", "-c"): ("sets git configuration, which can run programs", "use the connection's own fields"),
    ("--template",): ("can bring hooks", "leave it out: no template is used"),
    ("--branch", "-b"): ("chooses the revision", "write it as revision"),
    ("--origin", "-o"): ("renames the remote, which is always origin", "leave it out"),
    ("--no-checkout", "-n", "--bare", "--mirror"): ("leaves no files to run", "leave it out"),
    ("--remote-submodules",): ("takes submodules at other commits than the repository names", "leave it out"),
    ("--separate-git-dir", "--reference", "--reference-if-able", "--shared", "-s", "--local", "-l"): (
        "makes the checkout depend on files elsewhere",
        "leave it out",
    ),
}


def options_of(remote: GitRemote) -> Options:
    """The remote's fields and flags as one. Raises :class:`StepFailed` for a flag that is not allowed."""
    options = Options(
        depth=remote.depth,
        filter=remote.filter,
        sparse=remote.sparse or None,
        submodules=remote.submodules,
    )
    words = [word for entry in remote.flags for word in _words(entry)]
    while words:
        options = _apply(options, words.pop(0), words)
    for value in (options.filter, options.shallow_since, *options.shallow_exclude):
        if value is not None and (not value or value.startswith("-")):
            raise _wrong(value, "is not a value for that flag", "write the value after the flag's name")
    return options


def _words(entry: str) -> list[str]:
    try:
        return shlex.split(entry)
    except ValueError as error:
        raise _wrong(entry, f"cannot be read: {error}", "close the quotation") from None


def _apply(options: Options, word: str, rest: list[str]) -> Options:
    name, equals, value = word.partition("=")
    name = _SHORT.get(name, name)
    if name in _PLAIN:
        if equals:
            raise _wrong(word, "takes no value here", f"write {name}")
        return _PLAIN[name](options, "")
    if name in _VALUED:
        if not equals and not rest:
            raise _wrong(word, "needs a value", f"write {name}=…")
        return _VALUED[name](options, value if equals else rest.pop(0))
    for names, (reason, hint) in _REFUSED.items():
        if name in names or any(len(n) == 2 and word.startswith(n) and not word.startswith("--") for n in names):
            raise _wrong(word, reason, hint)
    if not word.startswith("-"):
        raise _wrong(word, "is not a flag", "a flag begins with '-'; the repository and revision have their own fields")
    raise _wrong(word, "is not one that is taken", did_you_mean(name, ALLOWED, f"these are: {', '.join(ALLOWED)}"))


def _count(name: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise _wrong(f"{name}={value}", "needs a whole number from 1", f"write {name}=1")
    return int(value)


def _wrong(word: str, reason: str, hint: str) -> TielineError:
    return StepFailed.of(Code.CLONE_FAILED, f"the git flag {clean(word)!r} {reason}", hint)
