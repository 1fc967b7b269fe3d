"""A real Redis. Users: ``default`` with ``PASSWORD``, ``reader`` (may only read), ``open`` (takes any password)."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from servers.processes import free_port, needed, running

PASSWORD = "s3cret:with/all@signs%20?#"
USERS = (
    f"user default on >{PASSWORD} ~* &* +@all\n"
    f"user reader on >{PASSWORD} ~* +@read +select +ping +dbsize +scan\n"
    "user open on nopass ~* &* +@all\n"
)


@dataclass(frozen=True, slots=True)
class Redis:
    """A server that runs."""

    port: int
    host: str = "127.0.0.1"


@contextmanager
def redis_server(
    folder: Path, *, password: bool = True, tls: tuple[Path, Path] | None = None, more: Sequence[str] = ()
) -> Iterator[Redis]:
    """Start a server in an existing folder. ``password`` False: it lets everyone in. ``more``: its own options."""
    program = needed("redis-server", "redis-server")
    port = free_port()
    config = folder / "redis.conf"
    lines = ["bind 127.0.0.1", 'save ""', "appendonly no", f'dir "{folder}"', "daemonize no", *more]
    if tls is None:
        lines.append(f"port {port}")
    else:
        lines += ["port 0", f"tls-port {port}", f'tls-cert-file "{tls[0]}"', f'tls-key-file "{tls[1]}"',
                  "tls-auth-clients no", f'tls-ca-cert-file "{tls[0]}"']  # fmt: skip
    if password:
        (folder / "users.acl").write_text(USERS)
        lines.append(f'aclfile "{folder / "users.acl"}"')
    config.write_text("\n".join(lines) + "\n")
    with running([program, str(config)], folder / "redis.log", lambda: _answers(port, tls is not None)):
        yield Redis(port)


def _answers(port: int, encrypted: bool) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as asked:
        if encrypted:
            return True
        asked.sendall(b"PING\r\n")
        return asked.recv(64)[:1] in (b"+", b"-")
    return False
