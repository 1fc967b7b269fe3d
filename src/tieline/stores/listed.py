"""A folder of a bucket as its listing tells it: one digest of all that is there, known before anything is made of it.

A second run that asks for a folder that has not changed needs nothing but this digest; thousands of
:class:`~tieline.stores.base.Stat` would cost it more than the listing itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tieline.stores.base import Stat, Store

if TYPE_CHECKING:
    from obstore import ObjectMeta


PAGE = 1_000
"""Objects that a server tells at once."""
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects under the folder ``top``: ``digest`` is another one whenever one of them is added, gone, written
    anew or renamed; ``size``: bytes of all; ``cuts``: names of objects between which a page of it is, for the next
    time (:func:`pages`)."""

    top: str
    digest: str
    size: int
    cuts: Sequence[str]
    entries: Callable[[], Iterator[Stat]]
    """What :meth:`tieline.stores.base.Store.walk` tells of it, without asking again."""


@runtime_checkable
class Listable(Store, Protocol):
    """A store that can tell a folder's listing at once: a bucket."""

    def look(self, key: str, cuts: Sequence[str] = ()) -> Stat | Listing | None:
        """The file at a key, else the folder with all that is in it; None where nothing is.

        Where :meth:`~tieline.stores.base.Store.stat` reads the beginning of a listing to know whether there is a
        folder, and its walk all of it, this reads it once. ``cuts``: those of a listing before.
        """


def cuts_of(objects: Sequence[ObjectMeta]) -> list[str]:
    """The names at which the pages of a listing end, but for the last one's."""
    return [objects[at]["path"] for at in range(PAGE - 1, len(objects) - 1, PAGE)]


def pages(ask: Callable[[str | None], Iterator[ObjectMeta]], cuts: Sequence[str]) -> list[ObjectMeta] | None:
    """A listing in parts that are asked for at the same time: ``ask`` tells all objects after a name, in one order.

    A listing page by page waits for each page to know where the next one begins. Where the pages ended the last time
    is as good a place to begin at: each part is read until it meets the very object that the next one begins after, so
    that nothing is left out, whatever was added. None where one of those objects is gone.
    """

    def part(begin: str | None, end: str | None) -> list[ObjectMeta] | None:
        found = []
        for one in ask(begin):
            found.append(one)
            if one["path"] == end:
                return found
        return found if end is None else None

    with ThreadPoolExecutor(min(AT_ONCE, len(cuts) + 1), thread_name_prefix="tieline-listing") as pool:
        parts = list(pool.map(part, [None, *cuts], [*cuts, None]))
    every: list[ObjectMeta] = []
    for found in parts:
        if found is None:
            return None
        every += found
    return every


def digest_of(objects: Sequence[ObjectMeta]) -> str:
    """The digest of a listing: over each object's name, tag, version, size and the second in which it was written.

    The time is in it for what a tag does not tell: in some buckets it is a digest of the contents alone, and an object
    that was saved again with another mode, or another time, has the same one.
    """
    lines = [
        f"{one['path']}\0{one['e_tag']}\0{one['version']}\0{one['size']}\0{one['last_modified'].timestamp():.0f}"
        for one in objects
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
