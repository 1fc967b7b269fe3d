"""Opening what a plan saves to and fetches from, with its secrets: for the supervisor, and for whoever comes after it.

Where a run's secrets come from is in its folder (``sources.json``: settings, no values), so its logs and outputs can be
read, and a dead supervisor's run ended, long after the deployment file was changed. Where that folder is gone, the
sources are those of a deployment file that names none: Tieline's home, and the environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tieline.engines.folders import RunFolder
from tieline.errors import Code, RecordError
from tieline.model.access import ObjectStore, Volume
from tieline.model.catalog import SecretSourceForm
from tieline.model.plan import Layout, Plan
from tieline.secrets.resolve import Places, Resolver
from tieline.secrets.sources import Sources, open_sources
from tieline.stores.base import Store
from tieline.stores.cache.folder import Cache, trouble_of
from tieline.stores.cache.scope import Scope, scope_of
from tieline.stores.opening import open_store


def open_source(source: Volume | ObjectStore, layout: Layout, values: Callable[[], Resolver]) -> Store:
    """Open a volume or a bucket; ``values`` is asked for a bucket only. Raises StoreTrouble, Refused, SourceFailed."""
    secrets = values().credentials(source.credentials) if isinstance(source, ObjectStore) else {}
    return open_store(source, claims_of(source, layout), secrets)


@contextmanager
def open_cache(layout: Layout, say: Callable[[str], None]) -> Iterator[Cache | None]:
    """The cache of inputs while a step fetches; None where there is none. ``say`` is told why it could not be used."""
    place = layout.inputs_cache
    if place is None:
        yield None
        return
    root = Path(place.path)
    try:
        cache = Cache.open(root, place.max_size)
    except OSError as error:  # a home that is read-only, a full disk: it costs time only
        say(trouble_of(root, error))
        yield None
        return
    try:
        yield cache
    finally:
        cache.close()
        if cache.trouble:
            say(cache.trouble)


def scope_for(source: ObjectStore, connection: str, plan: Plan, values: Resolver) -> Scope:
    """Who asks which bucket, in a run."""
    return scope_of(source, values.credentials(source.credentials), connection, plan.run.namespace)


def open_artifacts(plan: Plan, values: Callable[[], Resolver] | None = None) -> Store:
    """Open the artifacts store of a run. ``values``: those of its supervisor; without it, they are looked up again."""
    return open_source(plan.store.access, plan.layout, values or (lambda: resolver_of(plan)))


def claims_of(source: Volume | ObjectStore, layout: Layout) -> dict[str, str]:
    """The folder that stands for the source's claim, made if it is not there yet."""
    if not isinstance(source, Volume) or source.claim is None:
        return {}
    folder = layout.claim_path(source.claim)
    os.makedirs(folder, exist_ok=True)
    return {source.claim: folder}


def resolver_of(plan: Plan) -> Resolver:
    """The values of a run that was carried out before. Raises RecordError."""
    return Resolver(sources_of(plan, or_usual=True), Places.of(plan.layout))


def sources_of(plan: Plan, *, or_usual: bool = False) -> Sources:
    """The sources of an accepted run's secrets. ``or_usual``: also if its folder is gone. Raises RecordError."""
    folder = RunFolder(Path(plan.layout.context_path).parent)
    settings: list[SecretSourceForm] = []
    try:
        forms = json.loads(folder.sources.read_text(encoding="utf-8"))
        settings = [SecretSourceForm.model_validate(form) for form in forms]
    except (OSError, ValueError) as error:
        if not (or_usual and isinstance(error, FileNotFoundError)):
            message = f"it cannot be read where run {plan.run.uuid} has its secrets from: {error}"
            raise RecordError.of(Code.HOME_UNUSABLE, message, f"see {folder.sources}") from None
    return open_sources(settings, plan.run.namespace, folder.root.parent.parent, os.environ)
