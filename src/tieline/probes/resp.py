"""The protocol of Redis, as far as a probe needs it: a command, and its answer (redis.io/docs/reference/protocol-spec).

Of our own, in a hundred lines, because no client library takes a connection that is open already, and a limit for the
size of an answer: both are what makes a probe safe to run against any address.
"""

from __future__ import annotations

import socket
from typing import BinaryIO

from tieline.probes.family import Failed

Answer = str | bytes | int | None | list["Answer"]
_LINE = 16 * 1024
_DEPTH = 8
_MANY = 10_000


class RedisError(Exception):
    """An answer that says no. ``code``: its first word: NOAUTH, WRONGPASS, NOPERM, READONLY, ERR …"""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.code, _, self.text = said.partition(" ")


class Resp:
    """One connection that is open. An answer may have ``max_bytes`` bytes."""

    def __init__(self, connection: socket.socket, max_bytes: int) -> None:
        self._connection, self._limit = connection, max_bytes
        self._stream: BinaryIO = connection.makefile("rb")
        self._left = 0

    def ask(self, *words: str | bytes) -> Answer:
        """Send a command, and return its answer. Raises RedisError, or Failed where this is no Redis."""
        parts = [word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word for word in words]
        command = [b"*%d\r\n" % len(parts), *(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)]
        self._connection.sendall(b"".join(command))
        self._left = self._limit
        answer = self._read(0)
        if isinstance(answer, RedisError):
            raise answer
        return answer

    def _read(self, depth: int) -> Answer | RedisError:
        line = self._take_line()
        sort, rest = line[:1], line[1:].decode("utf-8", "replace")
        if sort == b"+":
            return rest
        if sort == b"-":
            return RedisError(rest)
        if sort in (b":", b"$", b"*") and rest.removeprefix("-").isdecimal():
            return self._counted(sort, int(rest), depth)
        raise Failed("what answers there is no Redis", "check the port, and whether tls is right", "port")

    def _counted(self, sort: bytes, number: int, depth: int) -> Answer | RedisError:
        if sort == b":":
            return number
        if number < 0:
            return None
        if sort == b"$":
            return self._take(number + 2)[:-2]
        if depth >= _DEPTH or number > _MANY:
            raise _too_large()
        items = [self._read(depth + 1) for _ in range(number)]
        wrong = next((item for item in items if isinstance(item, RedisError)), None)
        return wrong or [item for item in items if not isinstance(item, RedisError)]

    def _take(self, size: int) -> bytes:
        if size > self._left:
            raise _too_large()
        self._left -= size
        data = self._stream.read(size)
        if len(data) < size:
            raise Failed("the server ended the connection in the middle of an answer", "see its log", "host")
        return data

    def _take_line(self) -> bytes:
        line = self._stream.readline(_LINE)
        self._left -= len(line)
        if self._left < 0:
            raise _too_large()
        if not line:
            raise Failed("the server ended the connection without an answer", "see its log; is tls right?", "tls")
        if not line.endswith(b"\r\n"):
            raise Failed("what answers there is no Redis", "check the port, and whether tls is right", "port")
        return line[:-2]

    def close(self) -> None:
        """End the connection."""
        self._stream.close()
        self._connection.close()


def _too_large() -> Failed:
    return Failed("the answer is too large for any question that was asked", "check what listens there", "port")
