"""Bringing the one wanted revision here, with as much around it as ``git clone`` would bring.

The revision is always fetched as ``refs/tieline/checkout``, a name of our own, together with the branches and tags that
the options ask for: so what is checked out is what was fetched, even when a branch moves at that very moment.
"""

from __future__ import annotations

import shutil
from contextlib import suppress

from tieline.errors import Code, StepFailed
from tieline.git.command import Git, GitFailed
from tieline.git.flags import Options
from tieline.git.revision import Refs, Wanted, ambiguous, choose, missing, parse_refs
from tieline.git.url import clean

HERE = "refs/tieline/checkout"
_BRANCHES = "+refs/heads/*:refs/remotes/origin/*"


class Fetcher:
    """An empty repository in ``git.folder`` that is to hold ``url`` at ``revision`` (None: the default branch)."""

    def __init__(self, git: Git, url: str, revision: str | None, options: Options) -> None:
        self._git, self._run = git, git.run
        self._url, self._revision, self._options = url, revision, options
        self._refs = Refs()

    def fetch(self) -> tuple[Wanted, str]:
        """What the revision is at the remote, and its commit, which is here now as :data:`HERE`."""
        self._refs = self._begin()
        wanted = choose(self._revision, self._refs, self._url)
        if wanted.short:
            self._fetch_all(limited=False)
            self._run("update-ref", HERE, self._whole(wanted.short))
        elif wanted.commit:
            self._fetch_commit(wanted.commit)
        elif self._options.is_narrow:
            self._fetch_only(wanted.ref)
        else:
            self._fetch_all(f"+{wanted.ref}:{HERE}")
        return wanted, self._peeled()

    def _begin(self) -> Refs:
        """Make the repository with its remote ``origin``, and ask what that has."""
        self._init("sha1")
        refs = parse_refs(self._run("ls-remote", "--symref", "origin"))
        if any(len(commit) == 64 for commit in refs.named.values()):
            shutil.rmtree(self._git.folder / ".git")
            self._init("sha256")
        return refs

    def _init(self, object_format: str) -> None:
        self._run("init", "--quiet", "--template=", "--initial-branch=tieline", f"--object-format={object_format}")
        self._run("config", "remote.origin.url", self._url)
        if not self._options.tags:
            self._run("config", "remote.origin.tagOpt", "--no-tags")

    def _fetch_all(self, *more: str, limited: bool = True) -> None:
        """All branches (and tags), and ``more``."""
        self._run("config", "remote.origin.fetch", _BRANCHES)
        flags = ["--tags"] if self._options.tags else []
        if limited:
            flags += self._limits()
        elif (self._git.folder / ".git" / "shallow").exists():
            flags.append("--unshallow")
        self._fetch(flags, [_BRANCHES, *more])

    def _fetch_only(self, ref: str) -> None:
        """One ref, under its usual name too."""
        refspecs = [f"+{ref}:{HERE}"]
        if ref.startswith("refs/heads/"):
            refspecs.append(f"+{ref}:refs/remotes/origin/{ref.removeprefix('refs/heads/')}")
            self._run("config", "remote.origin.fetch", refspecs[-1])
        elif ref.startswith("refs/tags/"):
            refspecs.append(f"+{ref}:{ref}")
        self._fetch(self._limits(), refspecs)

    def _fetch_commit(self, commit: str) -> None:
        """A commit by its id: alone where that is wanted and the server allows it, else with all branches."""
        if not self._options.is_narrow:
            self._fetch_all()
            if self._has(commit):
                self._run("update-ref", HERE, commit)
                return
        with suppress(GitFailed):  # the server may allow only what it advertises: that is tried next
            self._fetch(self._limits(), [f"+{commit}:{HERE}"])
            return
        if self._options.is_narrow or self._options.is_shallow:
            self._fetch_all(limited=False)
        if not self._has(commit):
            raise missing(commit, self._refs, self._url)
        self._run("update-ref", HERE, commit)

    def _fetch(self, flags: list[str], refspecs: list[str]) -> None:
        options = self._options
        if options.filter:
            flags = [*flags, f"--filter={options.filter}"]
        if options.jobs:
            flags = [*flags, f"--jobs={options.jobs}"]
        self._run("fetch", "--quiet", *options.extra, *flags, "origin", *refspecs)

    def _limits(self) -> list[str]:
        options = self._options
        return [
            *([f"--depth={options.depth}"] if options.depth else []),
            *([f"--shallow-since={options.shallow_since}"] if options.shallow_since else []),
            *(f"--shallow-exclude={ref}" for ref in options.shallow_exclude),
        ]

    def _has(self, commit: str) -> bool:
        try:
            self._run("cat-file", "-e", commit)
        except GitFailed:
            return False
        return True

    def _whole(self, short: str) -> str:
        """The one commit whose id begins with ``short``."""
        commits = set()
        for found in self._run("rev-parse", f"--disambiguate={short}").split():
            with suppress(GitFailed):  # a tree or a blob
                commits.add(self._run("rev-parse", "--verify", "--quiet", found + "^{commit}").strip())
        if not commits:
            raise missing(self._revision or short, self._refs, self._url)
        if len(commits) > 1:
            raise ambiguous(short, sorted(commits), self._url)
        return commits.pop()

    def _peeled(self) -> str:
        try:
            return self._run("rev-parse", "--verify", "--quiet", HERE + "^{commit}").strip()
        except GitFailed:
            raise StepFailed.of(
                Code.REVISION_MISSING,
                f"the revision {clean(self._revision or 'HEAD')!r} of {clean(self._url)} is not a commit",
                "write a branch, a tag or a commit",
            ) from None
