"""A real PostgreSQL: passwords by SCRAM for everyone, but for ``trusting``, whom it trusts.

Users: ``owner`` (owns the database ``shop``), ``reader`` (may only read ``orders``), ``nothing`` (may connect), each
with ``PASSWORD``; ``trusting`` needs none. PostgreSQL refuses to run as root: then it runs as a system user.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers.processes import absent, free_port, running

PASSWORD, ADMIN = "s3cret:with/all@signs%20?#", "admin-4711"
DATABASE = "shop"
SETUP = f"""
CREATE ROLE owner LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}';
CREATE ROLE nothing LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE trusting LOGIN;
CREATE DATABASE {DATABASE} OWNER owner; CREATE DATABASE empty OWNER owner;
\\c {DATABASE}
SET ROLE owner; CREATE TABLE orders (id int); INSERT INTO orders VALUES (1), (2); CREATE TABLE prices (id int);
GRANT SELECT ON orders TO reader; GRANT SELECT ON orders TO trusting;
"""
HBA = """\
local all all scram-sha-256
host all trusting 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server that runs."""

    folder: Path
    port: int
    programs: Path
    host: str = "127.0.0.1"

    def sql(self, statements: str, user: str = "admin", password: str = ADMIN, database: str = DATABASE) -> str:
        """Run statements with psql; what they print."""
        argv = [str(self.programs / "psql"), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.host]
        done = subprocess.run(
            [*argv, "-p", str(self.port), "-U", user, "-d", database],
            input=statements, text=True, capture_output=True, check=False, env={**os.environ, "PGPASSWORD": password},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


def programs() -> Path:
    """Where initdb and postgres are: Debian keeps them off the PATH."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = next((folder for folder in folders if (folder / "postgres").exists() and (folder / "psql").exists()), None)
    if found is None:
        absent("initdb, postgres and psql are not on this machine: apt-get install postgresql")
        raise AssertionError
    return found


def system_user(*names: str) -> str | None:
    """The first of these users that this machine has."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in names if name in known), None)


@contextmanager
def postgres_server(tls: tuple[Path, Path] | None = None) -> Iterator[Postgres]:
    """Start a server with its users and tables. ``tls``: the certificate and its key."""
    where = programs()
    user = system_user("postgres", "nobody") if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="tieline-postgres-"))
    try:
        if user:
            shutil.chown(folder, user)
        port = free_port()
        _create(where, folder, port, user, tls)
        server = Postgres(folder, port, where)

        def ready() -> bool:
            asked = [str(where / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            return subprocess.run(asked, check=False).returncode == 0

        argv = [str(where / "postgres"), "-D", str(folder / "data")]
        with running(argv, folder / "server.log", ready, user=user):
            server.sql(SETUP, database="postgres")
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _create(where: Path, folder: Path, port: int, user: str | None, tls: tuple[Path, Path] | None) -> None:
    secret = folder / "password"
    secret.write_text(ADMIN)
    secret.chmod(0o644)
    subprocess.run(
        [str(where / "initdb"), "-D", str(folder / "data"), "-U", "admin", "--auth=scram-sha-256", "--no-sync",
         "--locale=C", "--encoding=UTF8", f"--pwfile={secret}"],
        check=True, capture_output=True, user=user, group=user, extra_groups=[] if user else None, cwd=folder,
    )  # fmt: skip
    settings = {
        "port": str(port), "listen_addresses": "'127.0.0.1'", "unix_socket_directories": f"'{folder}'", "fsync": "off",
    }  # fmt: skip
    if tls is not None:
        for name, path in zip(("server.crt", "server.key"), tls, strict=True):
            copy = folder / "data" / name
            copy.write_bytes(path.read_bytes())
            copy.chmod(0o600)
            if user:
                shutil.chown(copy, user)
        settings["ssl"] = "on"
    with (folder / "data" / "postgresql.conf").open("a") as config:
        config.writelines(f"{name} = {value}\n" for name, value in settings.items())
    (folder / "data" / "pg_hba.conf").write_text(HBA)
