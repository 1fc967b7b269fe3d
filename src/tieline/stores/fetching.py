"""Fetching one object: of one version, whole, and as it was saved, as far as that can be told.

An object that Tieline saved carries its digests (:mod:`tieline.stores.digests`), where they were known in time. Of
others the server's tag may be an MD5. Where the bytes are not what it says, they are asked for once more: the same
bytes again mean that the tag is no digest of them (some servers' only look like one), others that something on the way
garbles them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import obstore

from tieline.stores.copying import CHUNK
from tieline.stores.digests import Digests, Hasher
from tieline.stores.reading import Ranges, Version, in_order
from tieline.stores.sending import Unlike, is_md5, plain_tag, write_with_holes

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult

    from tieline.stores.clients import Client

Chunks = Callable[[int, int, Version], Iterator[memoryview]]
"""The bytes of a range of exactly that version, as they come."""
AT_ONCE = 4
"""Ranges of one object that are fetched at the same time."""
LONGEST = 32 * 1024 * 1024
"""Bytes of such a range; none of them is in memory for long."""
OTHER = "it is not what was saved: its digest is another one"


def all_of(client: Client, name: str, result: GetResult, version: Version, kept: Digests | None) -> memoryview:
    """All of an object of which a GET has been answered. ``kept``: what it is said to have. Raises the library's
    errors, and :class:`Unlike`."""
    data, tag = _bytes(result, version.size), plain_tag(version.tag)
    if kept is None and not is_md5(tag):
        has_size(client, name, version)
        return data
    if _agrees(data, tag, kept):
        return data
    again = _bytes(obstore.get(client, name, options=only(version.tag)), version.size)
    if _agrees(again, tag, kept):
        return again
    if kept is not None:
        raise Unlike(OTHER)
    if again != data:
        raise Unlike("it arrives damaged")
    return data


def has_size(client: Client, name: str, version: Version) -> None:
    """Make sure that the answer to a GET told the object's own size, and not what something on the way made of it.
    Raises as :func:`all_of`."""
    meta = obstore.head(client, name)
    if meta["e_tag"] == version.tag and meta["size"] != version.size:
        raise Unlike("it did not arrive whole")


def only(tag: str | None) -> GetOptions:
    """The condition that it is still the object with this tag."""
    return {"if_match": tag} if tag and not tag.startswith("W/") else {}


def _bytes(result: GetResult, size: int) -> memoryview:
    data = memoryview(result.bytes())
    if len(data) != size:
        raise Unlike("it did not arrive whole")
    return data


def _agrees(data: memoryview, tag: str, kept: Digests | None) -> bool:
    if kept is not None:
        hasher = kept.hasher()
        hasher.update(data)
        return hasher.hexdigest() == kept.wanted
    return not is_md5(tag) or hashlib.md5(data, usedforsecurity=False).hexdigest() == tag


def in_parts(target: int, version: Version, chunks: Chunks, hasher: Hasher | None) -> None:
    """Write an object to an open file, several ranges at once; ``hasher`` gets its bytes in order, out of the file: so
    nothing of a range has to stay in memory until those before it are there."""

    def bring(start: int, end: int) -> tuple[int, int]:
        place = start
        for piece in chunks(start, end, version):
            write_with_holes(target, place, piece)
            place += len(piece)
        return start, end

    os.ftruncate(target, version.size)  # what stays a hole is read as zeros
    buffer = memoryview(bytearray(CHUNK if hasher is not None else 0))
    for start, end in in_order(Ranges(version.size, LONGEST), bring, AT_ONCE, waiting=AT_ONCE):
        if hasher is not None:
            for place in range(start, end, CHUNK):
                hasher.update(buffer[: os.preadv(target, [buffer[: end - place]], place)])
