"""git: what the remote has, by the real git program with the connection's credentials, and the revision among it.

The server is asked without the credentials first: a repository that everyone may read proves nothing about them.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from tieline.errors import StepFailed, TielineError
from tieline.git.command import GitFailed
from tieline.git.credentials import credentials
from tieline.git.login import Login
from tieline.git.reasons import condense, hint_for
from tieline.git.revision import Refs, Wanted, check_revision, choose, parse_refs
from tieline.git.url import check_url, clean, http_origin, is_local, ssh_place
from tieline.model.access import GitRemote
from tieline.probes.asking import Answer, get
from tieline.probes.family import Asked, Failed, Family, Skipped, Work, must_have, no_credential
from tieline.probes.leftovers import new_mark
from tieline.probes.line import Line
from tieline.probes.programs import ShortGit
from tieline.probes.report import Operation
from tieline.probes.route import Route, target_of
from tieline.probes.ssh import KEY, SshWay
from tieline.probes.tls import Trust, judge

GIT_PORT = 9418
_TURNS = 3
_ASK = "/info/refs?service=git-upload-pack"  # git-scm.com/docs/http-protocol
_ADVERTISES = "application/x-git-upload-pack-advertisement"
_ASKING = (401, 403)
_NOT_THERE = re.compile(r"error: 404|not found", re.IGNORECASE)


class GitFamily(Family):
    """One repository."""

    def __init__(self, access: GitRemote, asked: Asked) -> None:
        super().__init__(asked)
        self._remote, self._asked = access, asked
        self._stack, self._stop = ExitStack(), threading.Event()
        self._refs: Refs | None = None
        self._logged: Login | None = None
        try:
            check_url(access.url)
        except TielineError as error:
            raise Failed(error.problems[0].message, error.problems[0].hint, "url") from None
        place = ssh_place(access.url)
        self._ssh = SshWay(access, place.host, self._port(place.port), self._user(place.user), asked) if place else None
        self._web: Route | None = None
        self._line: Line | None = None
        if http_origin(access.url):
            self._web = Route(target_of(access.url), self.limits, proxy=access.proxy)
        elif self._ssh is not None:
            self._line = self._ssh.line
        elif not is_local(access.url):
            found = urlsplit(access.url)
            self._line = Line(found.hostname or "", found.port or GIT_PORT, self.limits, "url")

    def _port(self, given: int | None) -> int:
        own = self._remote.ssh
        return given or (own.port if own else None) or 22

    def _user(self, given: str | None) -> str | None:
        return (self._remote.ssh.user if self._remote.ssh else None) or given

    def works(self) -> Mapping[Operation, Work]:
        no_write = "jobs only read a repository"
        rest: dict[Operation, Work] = {
            Operation.LIST: self._list,
            Operation.READ: self._read,
            Operation.WRITE: no_write,
            Operation.DELETE: no_write,
        }
        if self._web is not None:
            return {
                Operation.RESOLVE: self._web.resolve,
                Operation.REACH: self._web.reach,
                Operation.TLS: self._tls,
                Operation.AUTHENTICATE: self._authenticate,
                **rest,
            }
        if self._line is None:
            return {**self._local(), **rest}
        nobody = "git:// has neither encryption nor logins"
        return {
            Operation.RESOLVE: self._line.resolve,
            Operation.REACH: self._ssh.reach if self._ssh else self._line.reach,
            Operation.TLS: self._ssh.host_key if self._ssh else nobody,
            Operation.AUTHENTICATE: self._by_key if self._ssh else nobody,
            **rest,
        }

    def cut(self) -> None:
        self._stop.set()
        for way in (self._web, self._line, self._ssh):
            if way is not None:
                way.cut()

    def close(self) -> None:
        self.cut()
        if self._ssh is not None:
            self._ssh.close()
        self._stack.close()

    def _local(self) -> dict[Operation, Work]:
        path = Path(self._remote.url.removeprefix("file://"))

        def resolve() -> str:
            if not os.path.lexists(path):
                raise Failed(f"{path} is not there", "correct the path", "url")
            return f"{path} is on this machine"

        def reach() -> str:
            if not path.is_dir():
                raise Failed(f"{path} is a file, and no repository", "correct the path", "url")
            if not os.access(path, os.R_OK | os.X_OK):
                raise Failed(f"this user may not read {path}", "give it the right to", "url")
            return "a folder that this user may read"

        return {
            Operation.RESOLVE: resolve,
            Operation.REACH: reach,
            Operation.TLS: "a folder has no TLS",
            Operation.AUTHENTICATE: "a folder has no login: this user's rights decide",
        }

    # --- over http

    @property
    def _trust(self) -> Trust:
        return Trust(self._remote.ca_bundle or os.environ.get("GIT_SSL_CAINFO"))

    def _tls(self) -> str:
        assert self._web is not None  # noqa: S101 - the only one who asks
        if not self._web.target.secure:
            raise Skipped("the address is plain http: nothing is encrypted, and the server not identified")
        return judge(self._web.open, self._web.target.host, self._trust, "url")

    def _ask(self) -> Answer:
        """What the server says without a login. A redirect is followed on the same server only."""
        assert self._web is not None  # noqa: S101 - the only one who asks
        path = self._web.target.path.partition("?")[0].rstrip("/")
        for _ in range(_TURNS):
            answer = get(self._web, self._trust, self.limits.max_bytes, path=f"{path}{_ASK}")
            if not 300 <= answer.status < 400:
                break
            if http_origin(answer.location) != http_origin(self._remote.url):
                raise Failed(f"the server redirects to {answer.location}, which is not followed", "name it", "url")
            path = urlsplit(answer.location).path.removesuffix("/info/refs").rstrip("/")
            self._remote = self._remote.model_copy(update={"url": urljoin(self._remote.url, path)})
        if answer.status >= 500:
            raise Failed(f"the server failed: {answer.said}", "see the server's log", "url")
        return answer

    def _authenticate(self) -> str:
        given = "password" in self.secrets
        if not given:
            must_have(self._remote.credentials, "password")
        plain = self._ask()
        if plain.ok and plain.type != _ADVERTISES:
            raise Failed(f"what answers there is no git server: {plain.amount()}", "check the path", "url")
        if plain.ok:
            proves = "not proved: the credentials were not asked for; " if given else ""
            raise Skipped(f"{proves}everyone may read this repository")
        try:
            self._refs = self._ls_remote("password")
        except Failed:
            if not given and plain.status in _ASKING:
                asks = f"the server asks for a login ({plain.said})"
                raise no_credential(self._remote.credentials, asks, "password") from None
            raise
        if not given:
            raise Skipped("this user's own git had credentials for it; a job on another machine may not")
        return f"the credentials made the difference: git reads it, and {plain.said} without"

    # --- over ssh

    def _by_key(self) -> str:
        assert self._ssh is not None  # noqa: S101 - the only one who asks
        if KEY not in self.secrets:
            own = self._remote.ssh
            if own is not None:
                must_have(own.credentials, KEY)
            raise Skipped("the connection has no key: this user's own ssh decides")
        return self._ssh.log_in()

    # --- git

    def _list(self) -> str:
        self._refs = refs = self._refs or self._ls_remote("url")
        branches = sum(ref.startswith("refs/heads/") for ref in refs.named)
        tags = sum(ref.startswith("refs/tags/") for ref in refs.named)
        return f"{branches} {'branch' if branches == 1 else 'branches'}, {tags} {'tag' if tags == 1 else 'tags'}"

    def _read(self) -> str:
        if self._refs is None:
            raise Skipped("list failed")
        revision = self._remote.revision
        try:
            if revision is not None:
                check_revision(revision)
            wanted = choose(revision, self._refs, self._remote.url)
        except StepFailed as error:
            raise Failed(error.problems[0].message, error.problems[0].hint, "revision") from None
        return self._found(wanted)

    def _found(self, wanted: Wanted) -> str:
        assert self._refs is not None  # noqa: S101 - just read
        if wanted.short:
            raise Skipped(
                f"{wanted.short} is the beginning of a commit's id: only a clone can tell whether it is there"
            )
        if not wanted.commit:
            commit = self._refs.named.get(wanted.ref, self._refs.head_commit) or ""
            return f"{wanted.ref} is {commit[:12]}"
        if wanted.commit in (*self._refs.named.values(), self._refs.head_commit):
            return f"{wanted.commit[:12]} is the tip of a branch or tag"
        return self._fetch(wanted.commit)

    def _fetch(self, commit: str) -> str:
        """A commit that no ref names: whether the server gives it is seen by asking for that commit alone."""
        git = self._git()
        try:
            git.run("init", "--quiet", "--bare", "--template=", ".")
            git.run("fetch", "--quiet", "--depth=1", "--filter=tree:0", "--no-tags", self._remote.url, commit)
        except GitFailed as error:
            if "not our ref" not in error.said and "no such remote ref" not in error.said.lower():
                raise self._told(error, "revision") from None
            reason = f"the server does not give the commit {commit[:12]}: it is not there, or not at a ref's tip"
            raise Failed(reason, "name a branch or a tag", "revision") from None
        return f"the server gives the commit {commit[:12]}"

    def _ls_remote(self, part: str) -> Refs:
        try:
            return parse_refs(self._git().run("ls-remote", "--symref", "--", self._remote.url))
        except GitFailed as error:
            raise self._told(error, part) from None

    def _told(self, error: GitFailed, part: str) -> Failed:
        refusal = self._login().refusal(error.said)
        if refusal is not None:
            return Failed(refusal.reason, refusal.hint, "url" if _NOT_THERE.search(error.said) else part)
        shown = clean(self._remote.url).removeprefix("file://")
        return Failed(f"git says: {condense(error.said)}", hint_for(error.said, shown), "url")

    def _login(self) -> Login:
        if self._ssh is not None:
            return self._ssh.login
        if self._logged is None:
            folder = self._folder()
            known = folder / "known_hosts"
            opened = credentials(self._remote, self.secrets, folder, known_hosts=known, mark=new_mark())
            try:
                self._logged = self._stack.enter_context(opened)
            except TielineError as error:
                raise Failed(error.problems[0].message, error.problems[0].hint, "password") from None
        return self._logged

    def _folder(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tieline-probe-")))

    def _git(self) -> ShortGit:
        """git in an empty folder, with the connection's login, at the address that was judged."""
        login, remote = self._login(), self._remote
        config = [*login.config, ("http.followRedirects", "false")]
        env = dict(login.env)
        if remote.proxy:
            config.append(("http.proxy", remote.proxy))
        if remote.ca_bundle:
            env["GIT_SSL_CAINFO"] = remote.ca_bundle
        if self._web is not None and self._web.proxy is None:
            ip = self._web.line.address.ip
            shown = f"[{ip}]" if ":" in ip else ip
            config.append(("http.curloptResolve", f"{self._web.target.host}:{self._web.target.port}:{shown}"))
        if self._ssh is not None:
            env |= {"GIT_SSH_COMMAND": self._ssh.command(), "GIT_SSH_VARIANT": "ssh"}
        return ShortGit(self._folder(), config, env, self._stop, self.limits.timeout)
