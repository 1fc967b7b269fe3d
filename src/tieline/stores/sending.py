"""Sending one object, and making sure that the server has just that.

What counts as proof, the cheapest first:

* the server's tag is the MD5 of what was sent. So it is for an object that went in one request to Amazon, Google, and
  most that speak like them, unless it is encrypted with a key of one's own (Amazon S3 API, *Object*, ``ETag``);
* the server itself has compared each request's body with the SHA-256 that came with it (``x-amz-checksum-sha256``:
  every S3 bucket is opened so), and says the size of the whole;
* else the object is read back, and its SHA-256 compared.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import obstore

from tieline.stores.base import StoreTrouble, Why, shown
from tieline.stores.copying import CHUNK, write_all
from tieline.stores.digests import Digests, Hasher
from tieline.stores.reading import PART

if TYPE_CHECKING:
    from tieline.stores.clients import Client

AT_ONCE = 4
"""Parts of one object that are sent at the same time."""
MOST_PARTS = 9_000  # S3 takes 10,000
_MD5 = re.compile(r"[0-9a-f]{32}")


class Unlike(Exception):
    """The server has something else than was sent. The message says what."""


class Sent:
    """Chunks on their way: how many bytes they were, and their digest. ``known``: what they are to be, if that is
    known; it says which digest is made."""

    def __init__(self, chunks: Iterable[bytes], known: Digests | None = None) -> None:
        self._chunks, self._known = chunks, known
        self._digest = self.hasher()
        self.size = 0

    def hasher(self) -> Hasher:
        """An empty one of the kind that is made."""
        return self._known.hasher() if self._known is not None else hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.size += len(chunk)
            self._digest.update(chunk)
            if chunk:
                yield chunk

    @property
    def digest(self) -> str:
        """In hex, of what was sent."""
        return self._digest.hexdigest()

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of what was sent; None where it was not what it was to be."""
        if self._known is None:
            return self.digest
        return self._known.sha256 if self.digest == self._known.wanted else None


@dataclass(slots=True)
class Sender:
    """Sends objects to one bucket, by their full names. Raises the library's errors, and :class:`Unlike`.

    ``checks``: whether the server compares bodies with their SHA-256. ``read``: opens an object to read it back.
    """

    client: Client
    checks: bool
    read: Callable[[str], BinaryIO]
    _tags_tell: bool = True  # as far as it is known, a tag is an MD5

    def whole(self, name: str, data: bytes, kept: dict[str, str], sha256: str) -> None:
        """Send an object in one request."""
        tag = obstore.put(self.client, name, data, attributes=kept, use_multipart=False)["e_tag"]
        said = plain_tag(tag)
        if self._tags_tell and said == hashlib.md5(data, usedforsecurity=False).hexdigest():
            return
        if self.checks and not (self._tags_tell and is_md5(said)):
            self._has_size(name, len(data))
            return
        self._has_contents(name, hashlib.sha256(), sha256)
        self._tags_tell = self._tags_tell and not is_md5(said)

    def parts(self, name: str, sent: Sent, size: int, kept: dict[str, str]) -> None:
        """Send an object of about so many bytes in parts; they are given up where anything goes wrong."""
        chunk = max(PART, -(-size // MOST_PARTS))
        obstore.put(
            self.client, name, iter(sent), attributes=kept, use_multipart=True, chunk_size=chunk,
            max_concurrency=AT_ONCE,
        )  # fmt: skip
        if self.checks:
            self._has_size(name, sent.size)
        else:
            self._has_contents(name, sent.hasher(), sent.digest)

    def _has_size(self, name: str, size: int) -> None:
        found = obstore.head(self.client, name)["size"]
        if found != size:
            raise Unlike(f"{size} bytes were sent, and the server has {found}")

    def _has_contents(self, name: str, digest: Hasher, wanted: str) -> None:
        with self.read(name) as stream:
            while data := stream.read(CHUNK):
                digest.update(data)
        if digest.hexdigest() != wanted:
            raise Unlike("what the server has is not what was sent")


def plain_tag(tag: str | None) -> str:
    """A server's tag without its quotes; empty where there is none, or it is not of the very bytes (``W/``)."""
    return (tag or "").strip('"')


def is_md5(tag: str) -> bool:
    """Whether a plain tag has the form of an MD5."""
    return _MD5.fullmatch(tag) is not None


def pieces(source: int, size: int, local: Path) -> Iterator[bytes]:
    """The first ``size`` bytes of an open file (fewer if it shrinks)."""
    position = 0
    while position < size:
        data = _read(source, min(CHUNK, size - position), position, local)
        if not data:
            return
        position += len(data)
        yield data


def read_all(source: int, size: int, local: Path) -> bytes:
    """The same at once, for what is small."""
    data = _read(source, size, 0, local) if size else b""
    if len(data) < size:
        data = b"".join(pieces(source, size, local))
    return data


def _read(source: int, size: int, position: int, local: Path) -> bytes:
    try:
        return os.pread(source, size, position)
    except OSError as error:
        raise StoreTrouble(
            Why.SOURCE, f"cannot read {shown(str(local))!r} to save it: {error.strerror}", "check the disk"
        ) from error


def write_whole(target: int, data: memoryview) -> None:
    """Write all of an empty file."""
    write_with_holes(target, 0, data)
    if data and not data[-1]:  # its end may be a hole
        os.ftruncate(target, len(data))


def write_with_holes(target: int, start: int, data: bytes | memoryview) -> None:
    """Write bytes at a place; what is all zeros stays a hole."""
    view = memoryview(data)
    begin = 0
    for place in range(0, len(view), CHUNK):
        piece = view[place : place + CHUNK]
        if not piece[0] and bytes(piece).count(0) == len(piece):
            if begin < place:
                write_all(target, view[begin:place], start + begin)
            begin = place + len(piece)
    if begin < len(view):
        write_all(target, view[begin:], start + begin)
