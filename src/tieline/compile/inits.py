"""``init``: each entry of the file becomes one step. An override in an entry belongs to that entry alone."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tieline.compile.context import inside_context
from tieline.documents.document import FieldPath
from tieline.documents.forms import Issue
from tieline.errors import Code
from tieline.kinds import registry
from tieline.kinds.code import FLAG, GIT_URL, REVISION
from tieline.kinds.fields import Shape
from tieline.model.access import GitRemote, ObjectStore, SshHost, Volume
from tieline.model.catalog import View
from tieline.model.connection import Connection
from tieline.model.container import Container
from tieline.model.job import ArtifactsForm, Init
from tieline.model.origin import http_origin
from tieline.model.plan import CloneStep, FetchItem, FetchStep, FileStep, Layout, Program, ProgramStep, Step

HANDLERS = (
    "artifacts",
    "paths",
    "git",
    "dockerfile",
    "file",
    "tensorboard",
    "lineage_ref",
    "artifact_ref",
    "model_ref",
)


class Refusal(Exception):
    """One entry cannot become a step."""

    def __init__(self, field: FieldPath, code: Code, message: str, hint: str = "") -> None:
        self.field, self.code, self.message, self.hint = field, code, message, hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Inits:
    """What turning entries into steps needs to know."""

    view: View
    layout: Layout
    find: Callable[[str], Connection]  # raises Refusal
    program: Callable[[Container, str], Program]
    base: str  # the folder of the job file, for a repository that is written ./like/this

    def steps(self, entries: tuple[Init, ...], path: FieldPath) -> tuple[list[Step], list[Issue]]:
        steps: list[tuple[int, Step]] = []
        issues: list[Issue] = []
        for index, entry in enumerate(entries):
            try:
                steps.append((index, self._step(entry, index)))
            except Refusal as refusal:
                where = (*path, index, *refusal.field)
                issues.append(Issue(where, refusal.code, refusal.message, refusal.hint))
        issues += _collisions(steps, path, self.layout.artifacts_path)
        return [step for _, step in steps], issues

    def target(self, entry: Init) -> str:
        """Where an entry's files go: its ``path``, else the artifacts path (and the connection's name)."""
        if entry.path:
            joined = posixpath.normpath(posixpath.join(self.layout.artifacts_path, entry.path))
            below = f"{joined}/".startswith(f"{self.layout.artifacts_path}/")
            if not posixpath.isabs(entry.path) and not below:
                raise Refusal(("path",), Code.UNSAFE_PATH, f"{entry.path!r} leaves the artifacts path", "no '..' here")
            return inside_context(joined, self.layout)
        if entry.connection and entry.connection != self.view.store.name:
            return f"{self.layout.artifacts_path}/{entry.connection}"
        if entry.git and entry.git.url:
            return f"{self.layout.artifacts_path}/{_repository_name(entry.git.url)}"
        return self.layout.artifacts_path

    def _step(self, entry: Init, index: int) -> Step:
        given = [name for name in HANDLERS if getattr(entry, name) is not None]
        if len(given) > 1:
            raise Refusal((), Code.BAD_VALUE, f"{' and '.join(given)} are given", "one handler in an entry")
        if not given and entry.container is not None:
            return self._program(entry, entry.container, index)
        if not given and not entry.connection:
            raise Refusal(
                (), Code.MISSING_KEY, "the entry says nothing to do", f"give a connection or {', '.join(HANDLERS[:5])}"
            )
        if given == ["file"]:
            return self._file(entry, index)
        if given == ["dockerfile"]:
            return self._dockerfile(entry, index)
        if given == ["git"]:
            return self._clone(entry, self._git_access(entry), index)
        return self._from_connection(entry, index)

    def _from_connection(self, entry: Init, index: int) -> Step:
        connection = self.find(entry.connection) if entry.connection else self.view.store
        access = _access(connection)
        if isinstance(access, GitRemote) and entry.artifacts is None and entry.paths is None:
            return self._clone(entry, access, index)
        if not isinstance(access, (Volume, ObjectStore)):
            raise Refusal(
                ("connection",),
                Code.WRONG_KIND,
                f"{connection.name!r} is of kind {connection.kind}, which has no files to bring",
                "ask for it under run.connections",
            )
        items = _items(entry)
        return FetchStep(
            name=_name(entry, index), connection=connection.name, source=access, items=items, path=self.target(entry)
        )

    def _git_access(self, entry: Init) -> GitRemote:
        git = entry.git
        if git is None:  # pragma: no cover - the caller has looked
            raise Refusal((), Code.MISSING_KEY, "no git")
        _shaped(git.url, GIT_URL, ("git", "url"))
        _shaped(git.revision, REVISION, ("git", "revision"))
        for index, flag in enumerate(git.flags or ()):
            _shaped(flag, FLAG, ("git", "flags", index))
        if git.url and (git.url in (".", "..") or git.url.startswith(("./", "../"))):
            git = git.model_copy(update={"url": posixpath.normpath(posixpath.join(self.base, git.url))})
        if not entry.connection:
            if not git.url:
                raise Refusal(("git",), Code.MISSING_KEY, "neither a connection nor a url is given", "give one of them")
            return GitRemote(url=git.url, revision=git.revision, flags=git.flags or ())
        access = _access(self.find(entry.connection))
        if isinstance(access, SshHost):
            url = git.url or access.url
            if not url:
                raise Refusal(
                    ("git", "url"), Code.MISSING_KEY, "the ssh connection names no repository", "give git.url"
                )
            access = GitRemote(url=url, ssh=access, credentials=access.credentials)
        if not isinstance(access, GitRemote):
            raise Refusal(
                ("connection",),
                Code.WRONG_KIND,
                f"{entry.connection!r} is no git connection",
                "name one of kind git or ssh",
            )
        if git.url:
            _same_origin(access, git.url)
        own = (("url", git.url), ("revision", git.revision), ("flags", git.flags))
        changed = {key: value for key, value in own if value is not None}
        return access.model_copy(update=changed)

    def _clone(self, entry: Init, remote: GitRemote, index: int) -> CloneStep:
        # "" and not None, which a stored plan leaves out
        connection = entry.connection or ""
        return CloneStep(name=_name(entry, index), connection=connection, remote=remote, path=self.target(entry))

    def _file(self, entry: Init, index: int) -> FileStep:
        file = entry.file
        if file is None:  # pragma: no cover - the caller has looked
            raise Refusal((), Code.MISSING_KEY, "no file")
        name = file.filename or file.name
        if not name:
            raise Refusal(("file",), Code.MISSING_KEY, "the file has no name", "give filename")
        path = f"{self.target(entry)}/{_relative(name, ('file', 'filename' if file.filename else 'name'))}"
        return FileStep(name=_name(entry, index), path=path, content=file.content, mode=_mode(file.chmod))

    def _dockerfile(self, entry: Init, index: int) -> FileStep:
        form = entry.dockerfile
        if form is None:  # pragma: no cover - the caller has looked
            raise Refusal((), Code.MISSING_KEY, "no dockerfile")
        from tieline.compile.dockerfile import dockerfile

        name = _relative(form.filename or "Dockerfile", ("dockerfile", "filename"))
        try:
            content = dockerfile(form)
        except ValueError as error:
            raise Refusal(("dockerfile",), Code.BAD_VALUE, str(error), "see docs/jobs.md") from None
        return FileStep(name=_name(entry, index), path=f"{self.target(entry)}/{name}", content=content)

    def _program(self, entry: Init, container: Container, index: int) -> ProgramStep:
        name = container.name or _name(entry, index)
        if entry.connection:
            self.find(entry.connection)
        return ProgramStep(name=name, program=self.program(container, name))


def _same_origin(remote: GitRemote, url: str) -> None:
    """A job may name another repository of the connection's server. Another server would be sent its token."""
    theirs, wanted = http_origin(remote.url), http_origin(url)
    if theirs is None or wanted in (None, theirs) or not remote.credentials.values:
        return
    message = f"the connection's credentials are for {theirs}, and this is {wanted}"
    raise Refusal(("git", "url"), Code.NOT_ALLOWED, message, "name a connection for this server, or none")


def _shaped(text: str | None, shape: Shape, field: FieldPath) -> None:
    """The same rules as the catalog's own fields have."""
    try:
        if text is not None:
            shape.check(text)
    except ValueError as error:
        message, _, hint = str(error).partition("|")
        raise Refusal(field, Code.BAD_VALUE, message, hint) from None


def _access(connection: Connection) -> Any:
    kind = registry.get(connection.kind)
    return kind.access(connection) if kind else None


def _name(entry: Init, index: int) -> str:
    return entry.connection or f"init-{index}"


def _repository_name(url: str) -> str:
    name = re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git")
    return name or "repo"


def _relative(name: str, field: FieldPath) -> str:
    normal = posixpath.normpath(name)
    if posixpath.isabs(name) or normal.startswith("..") or "\0" in name or normal in (".", ""):
        raise Refusal(
            field, Code.UNSAFE_PATH, f"{name!r} is not a name inside the step's folder", "use a relative path"
        )
    return normal


def _items(entry: Init) -> tuple[FetchItem, ...]:
    if entry.artifacts is not None:
        found = _artifact_items(entry.artifacts)
        if not found:
            raise Refusal(("artifacts",), Code.MISSING_KEY, "neither files nor dirs are given", "name some")
        return found
    if entry.paths is not None:
        return tuple(_item(item, "any", ("paths", index)) for index, item in enumerate(entry.paths))
    return (FetchItem(source="", target="", what="dir"),)


def _artifact_items(form: ArtifactsForm) -> tuple[FetchItem, ...]:
    files = [_item(item, "file", ("artifacts", "files", index)) for index, item in enumerate(form.files or ())]
    dirs = [_item(item, "dir", ("artifacts", "dirs", index)) for index, item in enumerate(form.dirs or ())]
    return (*files, *dirs)


def _item(value: Any, what: Any, field: FieldPath) -> FetchItem:
    """A name, or a ``[from, to]`` pair."""
    pair = value if isinstance(value, (list, tuple)) else [value, value]
    if len(pair) != 2 or not all(isinstance(part, str) and part for part in pair):
        raise Refusal(field, Code.BAD_VALUE, "is neither a path nor a [from, to] pair", "write a path")
    source, target = (_clean(part, field) for part in pair)
    return FetchItem(source=source, target=target, what=what)


def _clean(path: str, field: FieldPath) -> str:
    normal = posixpath.normpath(path.lstrip("/")) if path.strip("/") else ""
    if normal.startswith("../") or normal == ".." or "\0" in path:
        raise Refusal(field, Code.UNSAFE_PATH, f"{path!r} leaves the store", "no '..' here")
    return "" if normal == "." else normal


def _mode(text: str | None) -> int:
    """``chmod``: octal digits, or symbols like ``+x`` and ``u+rwx,go-w``."""
    mode = 0o644
    if text is None:
        return mode
    if re.fullmatch(r"0?[0-7]{3}", text):
        return int(text, 8)
    for clause in text.split(","):
        match = re.fullmatch(r"([ugoa]*)([+=-])([rwx]*)", clause.strip())
        if match is None:
            raise Refusal(("file", "chmod"), Code.BAD_VALUE, f"{text!r} is no mode", "use +x or 0755")
        mode = _change(mode, *match.groups())
    return mode


def _change(mode: int, who: str, sign: str, what: str) -> int:
    shifts = {"u": 6, "g": 3, "o": 0}
    everyone = "ugo" if not who or "a" in who else who
    bits = sum({"r": 4, "w": 2, "x": 1}[letter] for letter in set(what))
    for person in everyone:
        shifted = bits << shifts[person]
        if sign == "=":
            mode = mode & ~(7 << shifts[person]) | shifted
        else:
            mode = mode | shifted if sign == "+" else mode & ~shifted
    return mode


def _collisions(steps: list[tuple[int, Step]], path: FieldPath, root: str) -> list[Issue]:
    """Two clones (or a clone and anything that fills a folder) at one path."""
    taken: dict[str, tuple[int, str]] = {}
    issues = []
    for index, step in steps:
        if not isinstance(step, (CloneStep, FetchStep)):
            continue
        if isinstance(step, FetchStep) and all(item.target for item in step.items):
            continue
        before = taken.get(step.path)
        if before and "clone" in (step.type, before[1]):
            message = f"entries {before[0]} and {index} both fill {posixpath.relpath(step.path, root)}"
            issues.append(Issue((*path, index), Code.PATH_COLLISION, message, "give one of them a path"))
        taken[step.path] = (index, step.type)
    return issues
