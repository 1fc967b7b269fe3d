"""``clusters.NAME.podPatch``: what an admin adds to every pod of a cluster (tolerations, a proxy, a runtime class).

As Kubernetes patches: mappings are merged, null removes, and items of a list that have a name (mounts: a path) are
merged with the item of that name. A name with a ``*`` means every item that is there and fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

KEYS = {"volumeMounts": "mountPath", "tolerations": "", "imagePullSecrets": "name"}
"""By what items of a list are known; "": not at all, they are added. Default: their name."""


def patched(data: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The data with the patch merged into it; neither is changed."""
    found = dict(data)
    for key, value in patch.items():
        before = found.get(key)
        if value is None:
            found.pop(key, None)
        elif isinstance(value, Mapping):
            found[key] = patched(before if isinstance(before, Mapping) else {}, value)
        elif isinstance(value, list) and isinstance(before, list):
            found[key] = _merged(before, value, KEYS.get(key, "name"))
        else:
            found[key] = value
    return found


def _merged(before: list[Any], items: list[Any], known_by: str) -> list[Any]:
    if known_by and not all(isinstance(item, Mapping) and known_by in item for item in (*before, *items)):
        return list(items)
    found = list(before)
    for item in items:
        name = str(item[known_by]) if known_by else ""
        fitting = [place for place, there in enumerate(found) if known_by and fnmatchcase(str(there[known_by]), name)]
        for place in fitting:
            found[place] = patched(found[place], {key: value for key, value in item.items() if key != known_by})
        if not fitting and "*" not in name:
            found.append(item)
    return found
