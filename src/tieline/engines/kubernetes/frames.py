"""The collector's own output, taken apart: what each program printed, as it is saved; with nothing lost or doubled
when it is read again after a line broke. Pure.

A frame is a header ``=<program> <n>``, then exactly n bytes, then a newline if they do not end with one. The kubelet
gives only the newest file of a log that it has rotated: that seldom begins with a frame, and never as it began before.
A frame of no program is the collector's own word to whoever reads; without a byte, it is the last one: so whoever has
read it need not look again, nor at what a kubelet adds of its own where the container is gone meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator

LONGEST_HEADER = 512
END = b"= 0\n"
HEAD = 256
"""Bytes of a stream's beginning by which it is known again."""


class Torn(Exception):
    """This does not begin with a frame: the beginning was rotated away."""


class Frames:
    """Takes pieces of the output, and gives ``(program, bytes)``."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._program = ""
        self._left = -1  # of the frame's bytes; -1: a header comes
        self._ends_line = True
        self.has_ended = False
        """Whether the last frame has come."""

    def feed(self, piece: bytes) -> Iterator[tuple[str, bytes]]:
        """What is whole by now. Raises :class:`Torn`."""
        self._rest += piece
        while not self.has_ended:
            if self._left < 0 and not self._header():
                return
            taken = bytes(self._rest[: self._left])
            if taken:
                del self._rest[: len(taken)]
                self._left -= len(taken)
                self._ends_line = taken.endswith(b"\n")
                yield self._program, taken
            if self._left:
                return
            if not self._ends_line:
                if not self._rest:
                    return
                if self._rest[0:1] != b"\n":
                    raise Torn
                del self._rest[:1]
                self._ends_line = True
            self._left = -1

    def _header(self) -> bool:
        """Read a header; False while it is not whole."""
        end = self._rest.find(b"\n")
        if end < 0:
            if (self._rest and self._rest[:1] != b"=") or len(self._rest) > LONGEST_HEADER:
                raise Torn
            return False
        line = bytes(self._rest[:end])
        program, space, count = line[1:].rpartition(b" ")
        if line[:1] != b"=" or not space or not count.isdigit():
            raise Torn
        del self._rest[: end + 1]
        self.has_ended = self.has_ended or line + b"\n" == END
        self._program, self._left, self._ends_line = program.decode("utf-8", "replace"), int(count), True
        return True


class Resumed:
    """The bytes of a stream that is read from its beginning again and again: each once."""

    def __init__(self) -> None:
        self._given = self._at = 0
        self._head = b""

    @property
    def is_shorter(self) -> bool:
        """Whether there was less than before: this is not the same stream."""
        return self._at < self._given

    def begin(self) -> None:
        """It is read from its beginning now."""
        self._at = 0

    def new(self, piece: bytes) -> bytes:
        """What of this piece was not given before. Raises :class:`Torn` where it begins otherwise than before."""
        if self._at < HEAD:
            both = min(len(piece), len(self._head) - self._at)
            if both > 0 and piece[:both] != self._head[self._at : self._at + both]:
                raise Torn
            self._head += piece[max(both, 0) : HEAD - self._at] if self._at + len(piece) > len(self._head) else b""
        skip = min(len(piece), max(0, self._given - self._at))
        self._at += len(piece)
        self._given = max(self._given, self._at)
        return piece[skip:]
