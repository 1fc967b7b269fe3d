"""The cache of inputs as people look at it: what was asked for, how much there is, and making room."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tieline.app.deployment import Deployment
from tieline.app.home import HomeFolder
from tieline.errors import Code, RecordError
from tieline.model.plan import InputsCache
from tieline.model.sizes import bytes_of

if TYPE_CHECKING:
    from tieline.stores.cache.folder import Cache
    from tieline.stores.cache.pruning import Pruned


@dataclass(frozen=True, slots=True)
class Input:
    """A folder or a file that was asked for. ``here``: how many of its files are still in the cache."""

    connection: str
    namespace: str
    address: str
    path: str
    what: str
    files: int
    here: int
    size: int
    used_at: datetime


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in the cache: the last used first; ``size``: what all its files take of the disk."""

    folder: Path
    enabled: bool
    inputs: tuple[Input, ...]
    files: int
    size: int
    max_size: int


def cache_of(deployment: Deployment, home: HomeFolder) -> InputsCache | None:
    """Where new runs have their cache; None where there is none."""
    form = deployment.catalog.inputs_cache
    return _place(deployment, home) if form.enabled else None


def _place(deployment: Deployment, home: HomeFolder) -> InputsCache:
    form = deployment.catalog.inputs_cache
    return InputsCache(
        path=form.path or str(home.inputs_cache), max_size=bytes_of(form.max_size) if form.max_size else None
    )


def contents(deployment: Deployment, home: HomeFolder) -> Contents:
    """What there is. Raises RecordError where the folder cannot be read."""
    place = _place(deployment, home)
    with _opened(place) as cache:
        kept = {one.name: one for one in cache.objects.all()}
        inputs = []
        for _, record, used_ns in cache.records.all():
            names = [name for _, name, _ in record.files]
            about, here = record.about, sum(name in kept for name in names)
            used_at = datetime.fromtimestamp(used_ns / 1e9, UTC)
            inputs.append(
                Input(about.connection, about.namespace, about.address, about.path, about.what, len(names), here,
                      record.size, used_at)
            )  # fmt: skip
        total, bound = sum(one.room for one in kept.values()), cache.pruner.bound
    inputs.sort(key=lambda one: one.used_at, reverse=True)
    enabled = deployment.catalog.inputs_cache.enabled
    return Contents(Path(place.path), enabled, tuple(inputs), len(kept), total, bound)


def prune(
    deployment: Deployment,
    home: HomeFolder,
    *,
    everything: bool = False,
    older_than: int | None = None,
    max_size: int | None = None,
    verify: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """Make room: by default, until the cache is within its bound. ``older_than``: seconds. Raises RecordError."""
    with _opened(_place(deployment, home)) as cache:
        keep = max_size if max_size is not None else cache.pruner.bound
        if max_size is None and older_than is not None:
            keep = sys.maxsize
        since = time.time_ns() - older_than * 10**9 if older_than is not None else 0
        return cache.pruner.prune(0 if everything else keep, used_since_ns=since, verify=verify, dry_run=dry_run)


@contextmanager
def _opened(place: InputsCache) -> Iterator[Cache]:
    from tieline.stores.cache.folder import Cache

    try:
        cache = Cache.open(Path(place.path), place.max_size)
        try:
            yield cache
        finally:
            cache.objects.close()
    except OSError as error:
        message = f"the cache of inputs {place.path} cannot be used: {error.strerror or error}"
        raise RecordError.of(
            Code.HOME_UNUSABLE, message, "correct its rights, or name another folder: inputsCache.path"
        ) from None
