"""Fetching one object: of one version, whole, and as it was saved, as far as that can be told.

An object that Tieline saved in one request carries its SHA-256. Of others the server's tag may be an MD5. Where the
bytes are not what it says, they are asked for once more: the same bytes again mean that the tag is no digest of them
(some servers' only look like one), others that something on the way garbles them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import obstore

from tieline.stores.reading import Fetch, Version, in_order
from tieline.stores.sending import AT_ONCE, Unlike, is_md5, plain_tag, write_with_holes

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult

    from tieline.stores.clients import Client


_NOTHING = memoryview(b"")


def all_of(client: Client, name: str, result: GetResult, sha256: str | None) -> memoryview:
    """All of an object of which a GET has been answered. ``sha256``: what it is said to have. Raises the library's
    errors, and :class:`Unlike`."""
    data = _bytes(result)
    if _agrees(data, plain_tag(result.meta["e_tag"]), sha256):
        return data
    again = _bytes(obstore.get(client, name, options=only(result.meta["e_tag"])))
    if _agrees(again, plain_tag(result.meta["e_tag"]), sha256):
        return again
    if sha256 is not None:
        raise Unlike("it is not what was saved: its SHA-256 is another one")
    if again != data:
        raise Unlike("it arrives damaged")
    return data


def only(tag: str | None) -> GetOptions:
    """The condition that it is still the object with this tag."""
    return {"if_match": tag} if tag and not tag.startswith("W/") else {}


def _bytes(result: GetResult) -> memoryview:
    data = memoryview(result.bytes())
    if len(data) != result.meta["size"]:
        raise Unlike("it did not arrive whole")
    return data


def _agrees(data: memoryview, tag: str, sha256: str | None) -> bool:
    if sha256 is not None:
        return hashlib.sha256(data).hexdigest() == sha256
    return not is_md5(tag) or hashlib.md5(data, usedforsecurity=False).hexdigest() == tag


def in_parts(target: int, version: Version, fetch: Fetch, *, digest: bool) -> str | None:
    """Write an object to an open file, several ranges at once; its SHA-256, if it is wanted."""

    def bring(start: int, end: int) -> memoryview:
        data = fetch(start, end, version)
        write_with_holes(target, start, data)
        return data if digest else _NOTHING

    found = hashlib.sha256()
    for data in in_order(version.size, bring, AT_ONCE):
        found.update(data)
    return found.hexdigest() if digest else None
