"""Whether a run gets a root of its own (``--isolation``), and what it is not to see then."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tieline.app.deployment import Deployment
from tieline.app.home import HomeFolder
from tieline.errors import Code, Place, Problem, Refused
from tieline.model.plan import Notice

Isolation = Literal["auto", "bubblewrap", "none"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was decided; ``why`` not, where nobody asked for that."""

    isolated: bool
    why: str = ""

    @property
    def notice(self) -> Notice:
        return Notice(field="isolation", message=f"none, for {self.why}; the job sees what this user sees")


def choose(wanted: Isolation) -> Chosen:
    """Try bubblewrap, unless nobody wants it. Raises Refused where it is asked for and cannot be used."""
    if wanted == "none":
        return Chosen(False)
    from tieline.engines.process.isolation import unusable

    reason = unusable()
    if not reason:
        return Chosen(True)
    if wanted == "auto":
        return Chosen(False, reason)
    hint = "install bubblewrap, allow user namespaces, or leave --isolation out to run without it"
    raise Refused(Problem(Code.UNSUPPORTED, reason, hint, Place(field="--isolation")))


def hidden_folders(deployment: Deployment, home: HomeFolder) -> tuple[str, ...]:
    """Tieline's home, the folders that secrets come from, and other runs' inputs."""
    cache = deployment.catalog.inputs_cache.path
    return tuple(dict.fromkeys((str(home.root), *_secret_folders(deployment), *((cache,) if cache else ()))))


def _secret_folders(deployment: Deployment) -> Iterator[str]:
    base = deployment.path.absolute().parent if deployment.path else Path.cwd()
    for source in deployment.catalog.secrets:
        if source.directory is not None:
            for path in (source.directory.path, source.directory.config_maps):
                if path:
                    whole = os.path.normpath(base / Path(path).expanduser())
                    fixed = whole.partition("{namespace}")[0]
                    yield whole if fixed == whole else fixed.rpartition("/")[0]  # other namespaces' too
