"""From an access of the catalog to a store that is open. The one place that knows which adapters there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tieline.errors import did_you_mean
from tieline.model.access import ObjectStore, Volume
from tieline.secrets.secret import Secret
from tieline.stores.base import Store, StoreTrouble, Why, key_parts, shown
from tieline.stores.beneath import leaves, resolve
from tieline.stores.folder import FolderStore


def open_store(
    access: Volume | ObjectStore, claims: Mapping[str, str], secrets: Mapping[str, Secret] | None = None
) -> Store:
    """Open a volume or bucket as a store. ``claims``: the local folder that stands for each claim's name; ``secrets``:
    the values of a bucket's ``access.credentials.values`` that there are.

    Nothing is read, made or asked yet. Raises :class:`StoreTrouble` for what cannot be opened.
    """
    if isinstance(access, ObjectStore):
        return _bucket(access, secrets or {})
    base = _folder_of(access, claims)
    if not access.sub_path:
        return FolderStore(base, read_only=access.read_only)
    parts = key_parts(access.sub_path.strip("/"))
    if resolve(base, parts) is None:
        raise leaves(parts)
    return FolderStore(base.joinpath(*parts), base=base, read_only=access.read_only)


def check_bucket(access: ObjectStore) -> None:
    """Raise :class:`StoreTrouble` for a bucket that cannot be opened, whatever its secret holds. Asks nobody."""
    from tieline.stores.clients import check_access

    check_access(access)


def _bucket(access: ObjectStore, secrets: Mapping[str, Secret]) -> Store:
    """The library for buckets is imported here: most commands never need it."""
    from tieline.stores.bucket import BucketStore
    from tieline.stores.clients import open_client

    return BucketStore(open_client(access, secrets), access.prefix)


def _folder_of(access: Volume, claims: Mapping[str, str]) -> Path:
    path = access.host_path
    if path is None and access.claim is not None:
        path = claims.get(access.claim)
        if path is None:
            raise StoreTrouble(
                Why.NOT_FOUND,
                f"the volume claim {access.claim!r} has no folder on this machine",
                did_you_mean(access.claim, claims, "say which folder stands for it, or use host_path"),
            )
    if path is None or not Path(path).is_absolute():
        raise StoreTrouble(
            Why.UNSAFE, f"the volume's path {shown(path or '')!r} is not absolute", "write it from the root: /…"
        )
    return Path(path)
