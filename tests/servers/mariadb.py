"""A real MariaDB. As root, it runs as a system user.

Users: ``owner`` (all of ``shop``), ``reader`` (may SELECT ``shop.orders``), ``nothing`` (may log in), each with
``PASSWORD``; ``open`` has no password.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers.postgres import system_user
from servers.processes import free_port, listens, needed, running

PASSWORD = "s3cret:with/all@signs%20?#"
DATABASE = "shop"
SETUP = f"""
CREATE DATABASE {DATABASE}; CREATE TABLE {DATABASE}.orders (id INT); INSERT INTO {DATABASE}.orders VALUES (1);
CREATE TABLE {DATABASE}.prices (id INT);
CREATE USER owner@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON {DATABASE}.* TO owner@'127.0.0.1';
CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'; GRANT SELECT ON {DATABASE}.orders TO reader@'127.0.0.1';
CREATE USER nothing@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'; CREATE USER open@'127.0.0.1';
GRANT SELECT, INSERT, CREATE TEMPORARY TABLES ON {DATABASE}.* TO open@'127.0.0.1';
"""


@dataclass(frozen=True, slots=True)
class Mariadb:
    """A server that runs."""

    folder: Path
    port: int
    host: str = "127.0.0.1"

    @property
    def socket(self) -> Path:
        return self.folder / "server.sock"

    def sql(self, statements: str) -> str:
        """Run statements as its administrator; what they print."""
        argv = [needed("mariadb", "mariadb-client"), "--no-defaults", "-u", "root", "-S", str(self.socket), "-N"]
        done = subprocess.run(argv, input=statements, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def _install(argv: list[str], folder: Path, user: str | None) -> None:
    """Make the system tables; a second try, because on a loaded machine the first has been seen to fail."""
    for last in (False, True):
        made = subprocess.run(argv, capture_output=True, user=user, group=user, extra_groups=[] if user else None,
                              cwd=folder, check=last)  # fmt: skip
        if made.returncode == 0:
            return
        shutil.rmtree(folder / "data", ignore_errors=True)


@contextmanager
def mariadb_server(tls: tuple[Path, Path] | None = None, more: Sequence[str] = ()) -> Iterator[Mariadb]:
    """Start a server with its users and tables. ``tls``: the certificate and its key; ``more``: its own options."""
    program, install = needed("mariadbd", "mariadb-server"), needed("mariadb-install-db", "mariadb-server")
    user = system_user("mysql", "nobody") if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="tieline-mariadb-"))
    try:
        if user:
            shutil.chown(folder, user)
        data = f"--datadir={folder / 'data'}"
        _install(
            [install, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db"], folder, user
        )
        server = Mariadb(folder, free_port())
        argv = [program, "--no-defaults", data, f"--port={server.port}", "--bind-address=127.0.0.1",
                f"--socket={server.socket}", f"--pid-file={folder / 'pid'}", "--innodb-flush-log-at-trx-commit=0",
                "--innodb-buffer-pool-size=16M", "--skip-name-resolve", *_encrypted(folder, tls, user),
                *more]  # fmt: skip
        with running(argv, folder / "server.log", lambda: server.socket.exists() and listens(server.port), user=user):
            if "--skip-grant-tables" not in more:
                server.sql(SETUP)
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _encrypted(folder: Path, tls: tuple[Path, Path] | None, user: str | None) -> list[str]:
    if tls is None:
        return []
    options = []
    for option, path in zip(("ssl-cert", "ssl-key"), tls, strict=True):
        copy = folder / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o600)
        if user:
            shutil.chown(copy, user)
        options.append(f"--{option}={copy}")
    return options
