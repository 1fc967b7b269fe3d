"""One fetch through a cache, as a program of its own: what is said on stdin, in JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tieline.model.access import ObjectStore
from tieline.model.plan import FetchItem, FetchStep
from tieline.secrets.secret import Secret
from tieline.steps.fetch import fetch
from tieline.steps.inputs import Cached
from tieline.stores import open_store
from tieline.stores.cache.folder import Cache
from tieline.stores.cache.scope import scope_of


def main() -> None:
    told = json.load(sys.stdin)
    access = ObjectStore.model_validate(told["access"])
    given = {name: Secret(value) for name, value in told["secrets"].items()}
    for number, source in enumerate(told["sources"]):
        run = Path(told["folder"]) / str(number)
        run.mkdir(parents=True)
        items = (FetchItem(source=source, target=""),)
        step = FetchStep(name="in", connection="inputs", source=access, items=items, path=str(run / "in"))
        cache = Cache.open(Path(told["cache"]), told["max_size"])
        try:
            cached = Cached(cache, scope_of(access, given, "inputs", "default"))
            done = fetch(step, open_store(access, {}, given), root=run, cached=cached)
        finally:
            cache.close()
        print(json.dumps([done.files, done.cached, done.notes, cache.trouble]), flush=True)


if __name__ == "__main__":
    main()
