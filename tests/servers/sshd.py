"""A real OpenSSH server, and keys: git and probes log in with ``server.key`` as ``server.user``.

It serves this machine's own account (whoever runs the tests), so a git URL is ``server.url(path_of_a_repository)``.
"""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers.processes import free_port, listens, needed, running

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitUserEnvironment no
UseDNS no
LogLevel VERBOSE
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True, slots=True)
class Sshd:
    """A server that runs. ``key``: the private key that it lets in; ``other_key``: one that it doesn't."""

    folder: Path
    port: int
    user: str
    host: str = "127.0.0.1"

    @property
    def key(self) -> Path:
        return self.folder / "client_key"

    @property
    def other_key(self) -> Path:
        return self.folder / "other_key"

    @property
    def host_public_key(self) -> str:
        """``ssh-ed25519 AAAA…``"""
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    @property
    def known_hosts(self) -> str:
        """The right line of a known_hosts file."""
        return f"[{self.host}]:{self.port} {self.host_public_key}\n"

    @property
    def wrong_known_hosts(self) -> str:
        """A line that says another key for this server."""
        other = " ".join((self.folder / "other_key.pub").read_text().split()[:2])
        return f"[{self.host}]:{self.port} {other}\n"

    def url(self, path: Path | str = "") -> str:
        """``ssh://user@127.0.0.1:port/path``"""
        return f"ssh://{self.user}@{self.host}:{self.port}{path}"

    @property
    def log(self) -> str:
        """What the server said."""
        return (self.folder / "sshd.log").read_text(errors="replace")


def make_key(path: Path, passphrase: str = "") -> Path:
    """A new ed25519 key pair: ``path`` and ``path.pub``."""
    needed("ssh-keygen", "openssh-client")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", str(path)], check=True)
    return path


@contextmanager
def ssh_server(folder: Path) -> Iterator[Sshd]:
    """Start a server in an existing folder, with new keys."""
    program = needed("sshd", "openssh-server")
    for name in ("host_key", "client_key", "other_key"):
        make_key(folder / name)
    (folder / "authorized_keys").write_bytes((folder / "client_key.pub").read_bytes())
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it drops its rights
    port = free_port()
    config = folder / "sshd_config"
    config.write_text(CONFIG.format(port=port, folder=folder))
    argv = [program, "-D", "-e", "-f", str(config)]
    with running(argv, folder / "sshd.log", lambda: listens(port)):
        yield Sshd(folder, port, getpass.getuser())
