"""A job's code: a repository checked out at exactly the commit that was asked for, or an error and nothing on the disk.

Not ``git clone``, which takes a branch or a tag and no commit. The remote is asked what it has, the revision is
chosen from that (:mod:`tieline.git.revision`), fetched under a name of our own, and checked out. All of it happens in
a folder beside the target, which becomes the target when it is whole. What a ``git clone`` would have left is left:
the remote ``origin``, its branches (one only, if shallow), the tags, the branch itself.

A local repository that another user owns is refused by git, and it stays so: the error says how to trust it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tieline.errors import Code, StepFailed, did_you_mean
from tieline.git.command import Git, GitFailed
from tieline.git.fetching import HERE, Fetcher
from tieline.git.flags import Options, options_of
from tieline.git.login import Login
from tieline.git.reasons import clone_failed
from tieline.git.revision import check_revision
from tieline.git.url import check_url, clean, http_origin, is_local, is_ssh
from tieline.model.access import GitRemote

_LFS_ON = {
    "filter.lfs.clean": "git-lfs clean -- %f",
    "filter.lfs.smudge": "git-lfs smudge -- %f",
    "filter.lfs.process": "git-lfs filter-process",
    "filter.lfs.required": "true",
}
_LFS_OFF = {"filter.lfs.smudge": "", "filter.lfs.process": "", "filter.lfs.required": "false"}


@dataclass(frozen=True, slots=True)
class Checked:
    """What was checked out. ``ref`` is empty for a commit by its id; ``describe`` is what ``git describe`` says."""

    commit: str
    ref: str
    describe: str


def checkout(
    remote: GitRemote,
    target: Path,
    *,
    cancel: threading.Event | None = None,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    login: Login | None = None,
) -> Checked:
    """Check ``remote`` out at its revision into ``target``, which must not exist or be an empty folder.

    ``timeout``: seconds for each git command. ``env``: more environment for git. ``login``: how to log in
    (:func:`~tieline.git.credentials.credentials`); without it, as the user's own git does, but nobody is asked.
    Raises :class:`StepFailed`: CLONE_FAILED, REVISION_MISSING, PROGRAM_MISSING, ARTIFACT_MISSING (a sparse path) or
    STOPPED. Afterwards the checkout is whole, or ``target`` is as it was.
    """
    check_url(remote.url)
    if remote.revision is not None:
        check_revision(remote.revision)
    options = options_of(remote)
    login, folder = login or Login(), _beside(target)
    try:
        checked = _Checkout(_git(folder, remote, options, login, env or {}, cancel, timeout), remote, options).run()
        folder.rename(target)
    except GitFailed as error:
        raise login.hidden_in(clone_failed(error, remote.url, login.refusal)) from None
    except StepFailed as error:
        raise login.hidden_in(error) from None
    except OSError as error:
        raise StepFailed.of(
            Code.CLONE_FAILED, f"cannot write {clean(str(target))}: {error.strerror}", "check its rights and space"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return checked


def _beside(target: Path) -> Path:
    """A new folder beside ``target``, after a look whether ``target`` is free."""
    try:
        if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
            raise StepFailed.of(
                Code.CLONE_FAILED,
                f"the checkout's folder {clean(str(target))} is there and is not empty",
                "give this init entry a path of its own",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = target.parent / f".tieline-{secrets.token_hex(8)}.clone"
        folder.mkdir()
    except OSError as error:
        raise StepFailed.of(
            Code.CLONE_FAILED, f"cannot make {clean(str(target))}: {error.strerror}", "check the rights to its folder"
        ) from error
    return folder


def _git(
    folder: Path,
    remote: GitRemote,
    options: Options,
    login: Login,
    env: Mapping[str, str],
    cancel: threading.Event | None,
    timeout: float | None,
) -> Git:
    config = [*(_LFS_ON if remote.lfs else _LFS_OFF).items(), *_network(remote), *login.config]
    if options.submodules and is_local(remote.url):
        config.append(("protocol.file.allow", "always"))
    skip = {} if remote.lfs else {"GIT_LFS_SKIP_SMUDGE": "1"}
    without = ["GIT_SSL_CAINFO"] if remote.ca_bundle else []  # it would win over the configuration
    return Git(folder, config, {**skip, **login.env, **env}, cancel, timeout, without)


def _network(remote: GitRemote) -> list[tuple[str, str]]:
    """The proxy, and the certificates to trust: for the connection's server; others are asked as always."""
    config = []
    if remote.proxy:
        if is_ssh(remote.url):
            raise StepFailed.of(
                Code.CLONE_FAILED,
                f"the connection names a proxy, which is for http, and {clean(remote.url)} is reached by ssh",
                "take the proxy out, or use the repository's https address",
            )
        config.append(("http.proxy", remote.proxy))
    origin = http_origin(remote.url)
    if remote.ca_bundle and origin:
        if not os.access(remote.ca_bundle, os.R_OK):
            raise StepFailed.of(
                Code.CLONE_FAILED, f"the caBundle {clean(remote.ca_bundle)} cannot be read", "check its path and rights"
            )
        if own := os.environ.get("GIT_SSL_CAINFO"):
            config.append(("http.sslCAInfo", own))
        config.append((f"http.{origin}.sslCAInfo", remote.ca_bundle))
    return config


class _Checkout:
    """One checkout under way in ``git.folder``."""

    def __init__(self, git: Git, remote: GitRemote, options: Options) -> None:
        self._git, self._run = git, git.run
        self._remote, self._url, self._options = remote, remote.url, options

    def run(self) -> Checked:
        """Everything in its order."""
        if self._remote.lfs:
            self._need_lfs()
        wanted, commit = Fetcher(self._git, self._url, self._remote.revision, self._options).fetch()
        self._choose_folders(commit)
        self._check_out(wanted.ref, commit)
        self._run("update-ref", "-d", HERE)
        if self._options.submodules:
            self._submodules()
        if self._remote.lfs:
            self._run("lfs", "install", "--local", "--skip-repo")
        ref = wanted.ref if wanted.ref != "HEAD" else ""
        return Checked(commit, ref, self._run("describe", "--tags", "--always", commit).strip())

    def _need_lfs(self) -> None:
        try:
            self._run("lfs", "version")
        except GitFailed:
            raise StepFailed.of(
                Code.PROGRAM_MISSING,
                f"{clean(self._url)} asks for lfs, and the program git-lfs is not on this machine's PATH",
                "install git-lfs, or take lfs out of the connection",
            ) from None

    def _choose_folders(self, commit: str) -> None:
        """Prepare a sparse checkout (cone mode: whole folders, and the files of every folder above them)."""
        if self._options.sparse is None:
            return
        folders = [self._folder_in(commit, path) for path in self._options.sparse]
        self._run("sparse-checkout", "set", "--cone", *folders)

    def _folder_in(self, commit: str, path: str) -> str:
        plain = path.strip("/")
        if not plain or plain.startswith("-") or any(part in ("", ".", "..") for part in plain.split("/")):
            raise StepFailed.of(
                Code.UNSAFE_PATH, f"the sparse path {clean(path)!r} is not a folder of the repository", "write a/b"
            )
        try:
            kind = self._run("cat-file", "-t", f"{commit}:{plain}").strip()
        except GitFailed:
            kind = ""
        if kind == "tree":
            return plain
        told = "is a file: sparse takes folders" if kind else "is not in the repository at that revision"
        folders = self._run("ls-tree", "-r", "-d", "-z", "--name-only", commit).split("\0")
        hint = did_you_mean(plain, filter(None, folders), "look at the names of its folders")
        raise StepFailed.of(Code.ARTIFACT_MISSING, f"the sparse path {clean(path)!r} {told}", clean(hint))

    def _check_out(self, ref: str, commit: str) -> None:
        if ref.startswith("refs/heads/"):
            branch = ref.removeprefix("refs/heads/")
            self._run("checkout", "--quiet", "--track", "-B", branch, f"refs/remotes/origin/{branch}")
        else:
            self._run("checkout", "--quiet", "--detach", commit)
        here = self._run("rev-parse", "HEAD").strip()
        if here != commit:
            raise StepFailed.of(
                Code.CLONE_FAILED, f"{clean(self._url)}: checked out {here}, but {commit} was asked for", "try again"
            )

    def _submodules(self) -> None:
        flags = ["--depth=1"] if self._options.shallow_submodules else []
        if self._options.jobs:
            flags.append(f"--jobs={self._options.jobs}")
        self._run("submodule", "--quiet", "update", "--init", "--recursive", *flags)
