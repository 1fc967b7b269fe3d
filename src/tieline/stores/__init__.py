"""Stores: open an Access to files (a volume or a bucket) and save to or fetch from it. Unaware of runs and jobs."""

from tieline.stores.base import Saved, Stat, Store, StoreTrouble, Why, key_parts, shown
from tieline.stores.copying import settles_in
from tieline.stores.folder import FolderStore
from tieline.stores.opening import open_store

__all__ = [
    "FolderStore",
    "Saved",
    "Stat",
    "Store",
    "StoreTrouble",
    "Why",
    "key_parts",
    "open_store",
    "settles_in",
    "shown",
]
