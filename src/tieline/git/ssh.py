"""Logging in over ssh: the connection's key and nothing else that this user has, at one server only.

ssh reads a configuration of our own (``-F``), not the user's: no agent, no other keys, no questions. Its ``Host`` block
has the key for the repository's server, so a submodule elsewhere is not even offered it; all further rules stand under
``Host *``. git's configuration may rewrite the beginning of the URL where the connection's ``user`` or ``port`` differ
from it, because ssh takes the command line's before ours.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tieline.errors import Code, StepFailed
from tieline.git.known_hosts import USUAL_PORT, name_of, open_recorded, write_pinned
from tieline.git.login import Login, Refusal
from tieline.git.private import write_private
from tieline.git.ssh_key import private_key
from tieline.git.url import SshPlace, clean, ssh_place
from tieline.model.access import GitRemote, SshHost
from tieline.model.binding import FromSecret
from tieline.secrets.secret import Secret

KEY, KNOWN_HOSTS = "private-key", "known-hosts"
USER = "git"

_CONFIG = """\
Host {host}
  IdentityFile {key}
  UserKnownHostsFile {known_hosts}
  StrictHostKeyChecking {checking}
  User {user}{port}

Host *
  BatchMode yes
  IdentitiesOnly yes
  IdentityAgent none
  IdentityFile none
  PreferredAuthentications publickey
  GlobalKnownHostsFile /dev/null
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  HashKnownHosts no
  CheckHostIP no
  ForwardAgent no
  ForwardX11 no
  ClearAllForwardings yes
  ControlMaster no
  ControlPath none
  ConnectTimeout 30
  ServerAliveInterval 15
  ServerAliveCountMax 4
  LogLevel ERROR
"""
_CHANGED = re.compile(r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for \S+ has changed")
_REVOKED = re.compile(r"REVOKED HOST KEY|marked as revoked", re.IGNORECASE)
_UNKNOWN = re.compile(r"No (\S+) host key is known for (\S+) and you have requested strict checking")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{20,}")
_DENIED = re.compile(r"^(?:\S+@)?(\S+): Permission denied \(", re.MULTILINE)
_BAD_KEY = re.compile(r'Load key "[^"]*": (?!Permission denied)|error in libcrypto|invalid format')


def ssh_login(remote: GitRemote, secrets: Mapping[str, Secret], folder: Path, known_hosts: Path) -> Login:
    """How to log in at ``remote`` with the ``private-key``; ``folder``: a private one.

    ``known_hosts``: where the keys of servers are recorded, if the connection names none. Raises :class:`StepFailed`.
    """
    place, ssh = ssh_place(remote.url), remote.ssh
    if ssh is None or place is None or KEY not in ssh.credentials.values:
        return Login()
    source = _source(ssh)
    if KEY not in secrets:
        raise StepFailed.of(Code.SECRET_MISSING, f"there is no private key: {source} is not there", "add the key")
    program = _program()
    target = _Target.of(place, ssh, given_by_job=remote.url != ssh.url)
    pinned = secrets.get(KNOWN_HOSTS)
    checking = _known_hosts(pinned, known_hosts, folder)
    key = write_private(folder / "key", private_key(secrets[KEY], source))
    config = _CONFIG.format(
        host=target.host,
        key=_quoted(key),
        known_hosts=_quoted(folder / "known_hosts"),
        checking=checking,
        user=target.user,
        port=f"\n  Port {target.port}" if target.say_port else "",
    )
    path = write_private(folder / "ssh_config", config.encode())
    return Login(
        config=((f"url.{target.bare}.insteadOf", place.prefix),) if target.bare else (),
        env={"GIT_SSH_COMMAND": f"{shlex.quote(program)} -F {shlex.quote(str(path))}", "GIT_SSH_VARIANT": "ssh"},
        hidden=(secrets[KEY],),
        refusal=_Refusals(target, source, known_hosts if pinned is None else None).of,
    )


def _program() -> str:
    found = shutil.which("ssh")
    if found is None:
        reason = "the program ssh is not on this machine's PATH"
        raise StepFailed.of(Code.PROGRAM_MISSING, reason, "install openssh-client")
    return found


def _source(ssh: SshHost) -> str:
    key = ssh.credentials.values[KEY]
    names = " or ".join(key.keys) if isinstance(key, FromSecret) else "private-key"
    return f"the key {names} of the secret {ssh.credentials.secret!r}"


def _known_hosts(pinned: Secret | None, recorded: Path, folder: Path) -> str:
    """Prepare ``folder/known_hosts``; how strictly ssh is to take it."""
    if pinned is not None:
        write_pinned(pinned, folder / "known_hosts")
        return "yes"
    open_recorded(recorded)
    (folder / "known_hosts").symlink_to(recorded.absolute())  # a name that needs no escapes in ssh's configuration
    return "accept-new"


def _quoted(path: Path) -> str:
    """A path in ssh_config(5): in quotation marks, its percent signs no tokens."""
    text = str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


@dataclass(frozen=True, slots=True)
class _Target:
    """The server, and what has to be said about it beside the URL. ``bare``: the URL's beginning without user and port,
    where the connection has others."""

    host: str
    user: str
    port: int
    say_port: bool
    bare: str = ""

    @classmethod
    def of(cls, place: SshPlace, ssh: SshHost, *, given_by_job: bool) -> _Target:
        """The connection's ``user`` and ``port`` hold at its own host (or at any, if it names none); a url that a job
        gives wins over them, for it is nearer."""
        own = ssh if ssh.host is None or ssh.host.lower() == place.host.lower() else SshHost()
        user, port = own.user or place.user or USER, own.port
        if place.port is not None and (given_by_job or own.port == USUAL_PORT):
            port = place.port
        if given_by_job and place.user is not None:
            user = place.user
        differs = (place.user not in (None, user)) or (place.port not in (None, port))
        host = f"[{place.host}]" if ":" in place.host else place.host
        bare = (f"ssh://{host}/" if place.prefix.lower().startswith("ssh://") else f"{host}:") if differs else ""
        say_port = port != USUAL_PORT and (place.port is None or differs)
        return cls(place.host, user, port, say_port, bare)


@dataclass(frozen=True, slots=True)
class _Refusals:
    """What ssh's refusals mean here. ``recorded``: the file of first keys; None where keys are pinned."""

    target: _Target
    source: str
    recorded: Path | None

    def of(self, said: str) -> Refusal | None:
        """ssh's words, explained; None where they are about something else."""
        if _REVOKED.search(said):
            return Refusal("the server's key is revoked in knownHosts", "do not use it; ask the server's administrator")
        if _CHANGED.search(said):
            return self._changed(said)
        if found := _UNKNOWN.search(said):
            return self._unknown(found[2])
        if _BAD_KEY.search(said):
            return Refusal(f"ssh cannot read {self.source}", "put the whole private key there, as ssh-keygen wrote it")
        if found := _DENIED.search(said):
            if found[1].lower() != self.target.host.lower():
                return self._elsewhere(found[1])
            hint = f"check {self.source}: its public key must be known to the server and may read this repository"
            return Refusal(f"the server refused the key for the user {self.target.user!r}", hint)
        return None

    def _unknown(self, name: str) -> Refusal:
        host = name.partition("]:")[0].strip("[]")
        if host.lower() != self.target.host.lower():
            return self._elsewhere(host)
        hint = f"add what `ssh-keyscan -p {self.target.port} {host}` prints, after comparing it with its owner"
        return Refusal(f"knownHosts has no key of this type for {name}", hint)

    def _changed(self, said: str) -> Refusal:
        """The text that must stop people: it is either a new server, or somebody in between."""
        sent = _FINGERPRINT.search(said)
        name = name_of(self.target.host, self.target.port)
        shown = f" ({sent[0]})" if sent else ""
        if self.recorded is None:
            reason = f"{name} showed a key{shown} that is not the one in knownHosts: somebody may be in between"
            return Refusal(reason, "ask the server's administrator; if it has a new key, write that into knownHosts")
        reason = f"{name} showed another key{shown} than the one recorded before: somebody may be in between"
        forget = f"ssh-keygen -R {shlex.quote(name)} -f {shlex.quote(clean(str(self.recorded)))}"
        hint = f"ask the server's administrator; if it has a new key, run `{forget}`, or pin the new one as knownHosts"
        return Refusal(reason, hint)

    def _elsewhere(self, host: str) -> Refusal:
        reason = f"{clean(host)} does not let us in, and the connection's key is for {self.target.host} alone"
        return Refusal(reason, "a submodule leads there: clone it by its own connection, or give it a public https url")
