"""A folder of a bucket as its listing tells it: one digest of all that is there, known before anything is made of it.

A second run that asks for a folder that has not changed needs nothing but this digest; thousands of
:class:`~tieline.stores.base.Stat` would cost it more than the listing itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tieline.stores.base import Stat, Store

if TYPE_CHECKING:
    from obstore import ObjectMeta


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects under the folder ``top``: ``digest`` is another one whenever one of them is added, gone, written
    anew or renamed; ``size``: bytes of all."""

    top: str
    digest: str
    size: int
    entries: Callable[[], Iterator[Stat]]
    """What :meth:`tieline.stores.base.Store.walk` tells of it, without asking again."""


@runtime_checkable
class Listable(Store, Protocol):
    """A store that can tell a folder's listing at once: a bucket."""

    def look(self, key: str) -> Stat | Listing | None:
        """The file at a key, else the folder with all that is in it; None where nothing is.

        Where :meth:`~tieline.stores.base.Store.stat` reads the beginning of a listing to know whether there is a
        folder, and its walk all of it, this reads it once.
        """


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
