"""ssh: the server shows the host key that is pinned, and takes the connection's key and no other of this user's.

The ssh program does both, with the configuration that a job's git would have (:mod:`tieline.git.ssh`); no command is
run over there. A host key that would be met for the first time is accepted into a copy that is thrown away: a test
decides nothing for the jobs that come after it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tieline.errors import TielineError
from tieline.git.credentials import credentials
from tieline.git.known_hosts import is_recorded, name_of
from tieline.git.login import Login
from tieline.git.ssh_key import private_key
from tieline.model.access import GitRemote, SshHost
from tieline.probes.family import Asked, Failed, Family, Skipped, Work, looked_for, must_have
from tieline.probes.leftovers import new_mark
from tieline.probes.line import Line
from tieline.probes.programs import Watched
from tieline.probes.report import Operation
from tieline.secrets.environment import without_values

KEY, KNOWN_HOSTS = "private-key", "known-hosts"
USER = "git"
_BANNER = 255
_ENDS = re.compile(
    r'Authenticated to [^\n]* using "([^"]+)"|Permission denied \(|Host key verification failed'
    r"|Connection (?:closed|reset)"
)
_SERVER_KEY = re.compile(r"Server host key: (\S+) (SHA256:\S+)")
_TAKEN = re.compile(r"Server accepts key: .* (\S+) (SHA256:\S+)")
_UNVERIFIED = re.compile(r"Host key verification failed")
_IN = re.compile(r'Authenticated to [^\n]* using "([^"]+)"')
_DENIED = re.compile(r"Permission denied \(")


class SshWay:
    """One ssh server, and how to log in at it, for as long as a probe takes."""

    def __init__(self, remote: GitRemote, host: str, port: int, user: str | None, asked: Asked) -> None:
        self.remote, self.user = remote, user or USER
        self.line = Line(host, port, asked.limits)
        self._asked, self._host, self._port = asked, host, port
        self._stack = ExitStack()
        self._program: Watched | None = None
        self._login: Login | None = None
        self._said = ""
        self.pinned = KNOWN_HOSTS in asked.secrets
        self.recorded = False

    @property
    def login(self) -> Login:
        """The private folder with the key and what ssh is to be told. Raises Failed."""
        if self._login is None:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tieline-probe-")))
            known = folder / "known_hosts"
            theirs = self._asked.known_hosts
            if theirs is not None and theirs.is_file():
                shutil.copyfile(theirs, known)
                self.recorded = is_recorded(known, name_of(self._host, self._port))
            login = credentials(self.remote, self._asked.secrets, folder, known_hosts=known, mark=new_mark())
            try:
                self._login = self._stack.enter_context(login)
            except TielineError as error:
                problem = error.problems[0]
                part = "knownHosts" if "knownHosts" in problem.message else KEY
                raise Failed(problem.message, problem.hint, part) from None
        return self._login

    def command(self) -> str:
        """``GIT_SSH_COMMAND``: the connection's, to the address that was judged."""
        given = self.login.env.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        return f"{given} {shlex.join(self._pins())}"

    def _pins(self) -> list[str]:
        alias = name_of(self._host, self._port)
        seconds = max(1, round(self._asked.limits.timeout))
        pins = (f"HostName={self.line.address.ip}", f"HostKeyAlias={alias}", f"ConnectTimeout={seconds}")
        return [word for pin in pins for word in ("-o", pin)]

    def reach(self) -> str:
        """Connect, and hear what it calls itself (RFC 4253, section 4.2)."""
        said = self.line.reach()
        with self.line.open() as connection, connection.makefile("rb") as stream:
            for _ in range(20):
                line = stream.readline(_BANNER + 1)
                if line.startswith(b"SSH-"):
                    return f"{said}, and is {line.decode('ascii', 'replace').strip()}"
                if not line.endswith(b"\n"):
                    break
        raise Failed("what answers there is no ssh server", "check the host and the port", "port")

    def host_key(self) -> str:
        """The server is who knownHosts says. Raises Failed."""
        try:
            said = self._said = self.ask("PreferredAuthentications=none")
        except Failed as error:
            if error.part == KEY:
                raise Skipped("not looked at: there is no key to log in with afterwards") from None
            raise
        found = _SERVER_KEY.search(said)
        shown = f"{found[1]} {found[2]}" if found else "its key"
        if _UNVERIFIED.search(said):
            raise self._unknown(said, shown)
        if not (_DENIED.search(said) or _IN.search(said)):
            raise self._broken(said)
        if self.pinned:
            return f"the host key {shown} is one of knownHosts"
        if self.recorded:
            return f"the host key {shown} is the one that was recorded before; nothing is pinned in knownHosts"
        raise Skipped(f"the host key {shown} is not pinned: a job would accept it at its first connection (knownHosts)")

    def log_in(self) -> str:
        """The server takes the connection's key. Raises Failed, or Skipped where it asks for none."""
        if _IN.search(self._said):
            raise Skipped(f"not proved: the server lets {self.user} in without any key")
        said = self.ask()
        accepted = _IN.search(said)
        if accepted is None:
            raise self._refused(said)
        taken = _TAKEN.search(said)
        return f"logged in as {self.user} by {accepted[1]}" + (f" with the key {taken[2]}" if taken else "")

    def ask(self, *options: str) -> str:
        """Begin to log in, with these options; what ssh said about it."""
        words = [word for option in options for word in ("-o", option)]
        argv = [*shlex.split(self.login.env["GIT_SSH_COMMAND"]), "-v", "-N", "-T", *self._pins(), *words]
        argv += ["-p", str(self._port), "-l", self.user, "--", self._host]
        self._program = Watched(argv, {**without_values(os.environ), "LC_ALL": "C"})
        return self._program.until(_ENDS, self._asked.limits.timeout)

    def _unknown(self, said: str, shown: str) -> Failed:
        refusal = self.login.refusal(said)
        reason = refusal.reason if refusal else f"the host key {shown} is none that is known"
        return Failed(reason, refusal.hint if refusal else "compare it with its owner, and pin it", "knownHosts")

    def _refused(self, said: str) -> Failed:
        refusal = self.login.refusal(_plain(said))
        if refusal:
            return Failed(refusal.reason, refusal.hint, KEY)
        if _DENIED.search(said):
            return Failed(f"the server refuses the key for the user {self.user}", "add its public key there", KEY)
        return self._broken(said)

    def _broken(self, said: str) -> Failed:
        lines = [line for line in _plain(said).splitlines() if line.strip()]
        return Failed(f"ssh says: {lines[-1] if lines else 'nothing'}", "see the server's log")

    def cut(self) -> None:
        self.line.cut()
        if self._program is not None:
            self._program.end()

    def close(self) -> None:
        self.cut()
        self._stack.close()


def _plain(said: str) -> str:
    """Without what ``-v`` adds."""
    return "\n".join(line for line in said.splitlines() if not re.match(r"debug\d: |OpenSSH_", line))


class SshFamily(Family):
    """One ssh server; or none, where each job gives the repository's address."""

    def __init__(self, access: SshHost, asked: Asked) -> None:
        super().__init__(asked)
        self._access = access
        self._way: SshWay | None = None
        if access.host is not None:
            host = f"[{access.host}]" if ":" in access.host else access.host
            remote = GitRemote(url=f"ssh://{access.user or USER}@{host}:{access.port}/", ssh=access)
            self._way = SshWay(remote, access.host, access.port, access.user, asked)

    def works(self) -> Mapping[Operation, Work]:
        rest = "ssh is a way to log in here; what is behind it is tested where a git connection names it"
        works: dict[Operation, Work] = dict.fromkeys(Operation, rest)
        if self._way is None:
            nowhere = "the connection names no server: each job gives the address"
            first = (Operation.RESOLVE, Operation.REACH, Operation.TLS)
            return {**works, **dict.fromkeys(first, nowhere), Operation.AUTHENTICATE: self._key_alone}
        return {
            **works,
            Operation.RESOLVE: self._way.line.resolve,
            Operation.REACH: self._way.reach,
            Operation.TLS: self._way.host_key,
            Operation.AUTHENTICATE: self._way.log_in,
        }

    def cut(self) -> None:
        if self._way is not None:
            self._way.cut()

    def close(self) -> None:
        if self._way is not None:
            self._way.close()

    def _key_alone(self) -> str:
        """Without a server there is the key to look at. Raises Failed where it is none, and Skipped otherwise."""
        must_be = self.secrets.get(KEY)
        if must_be is None:
            must_have(self._access.credentials, KEY)
            raise Skipped("the connection has no key, and names no server")
        try:
            private_key(must_be, looked_for(self._access.credentials, KEY) or "the secret")
        except TielineError as error:
            raise Failed(error.problems[0].message, error.problems[0].hint, KEY) from None
        raise Skipped("the key is one that ssh can read; the connection names no server to show it to")
