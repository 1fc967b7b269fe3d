"""What a server tells of one object, as a file or a folder of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tieline.stores import listing
from tieline.stores.base import Stat
from tieline.stores.listing import FILE_MODE
from tieline.stores.reading import Version

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta

KEPT = "tieline"
"""The metadata that has what is kept beside an object (:func:`tieline.stores.digests.keeping`)."""


def _written(meta: ObjectMeta) -> int:
    """When the object was written, in nanoseconds since the epoch; never one that a file here could have by chance."""
    moment = meta["last_modified"]
    return int(moment.timestamp() * 1_000_000) * 1_000


def version_of(meta: ObjectMeta) -> Version:
    """Which object it is."""
    return Version(meta["size"], meta["e_tag"], _written(meta))


def as_stat(key: str, found: GetResult) -> Stat:
    """A file, with the time and rights that were kept beside it, or a folder."""
    is_folder = found.attributes.get("hdi_isfolder") == "true"  # Azure's own folders, where it has some
    return listing.folder(key) if is_folder else as_file(key, found.meta, found.attributes.get(KEPT))


def as_file(key: str, meta: ObjectMeta, said: str | None = None) -> Stat:
    """A file. ``said``: what was kept beside the object; a listing does not tell it."""
    tag, written = f"{meta['e_tag'] or ''} {meta['version'] or ''}".strip(), _written(meta)
    mtime_ns, mode = listing.kept(said) or (written, FILE_MODE)
    return Stat(key, meta["size"], mtime_ns, mode, tag=tag, written_ns=written)
