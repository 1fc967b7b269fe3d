"""Where things are in a run's pod: the paths that the job sees, and those that only Tieline's own containers see."""

from __future__ import annotations

from tieline.engines.folders import ROOT, temporary_path
from tieline.model.plan import Layout
from tieline.secrets.resolve import MADE

CONTEXT = "/tieline"
"""One empty folder that all containers of the pod share."""
BINDINGS = f"{CONTEXT}/bindings"
MADE_FILES = f"{CONTEXT}/{MADE}"
"""Files that several connections' values are in; with the binding directories the only ones in memory."""

FOLDERS = f"{CONTEXT}/.folders"
"""Where a container has folders of the context a second time: so the kubelet makes them (see :func:`promised`)."""

OWN = "/run/tieline"
"""What only Tieline's own containers have."""
PLAN = f"{OWN}/plan"
PLAN_FILE, TAKEN_FILE = "plan.json", "taken.tgz"
"""Of the run's ConfigMap: the accepted plan, and the local files that were given with the job."""
SECRETS, CONFIG_MAPS = f"{OWN}/secrets", f"{OWN}/configmaps"
"""A folder with a folder per secret and in that a file per key, as a directory source reads them."""
STORE = f"{OWN}/store"
"""The run's own folder of an artifacts store that is a volume."""
SOURCES = f"{OWN}/sources"
SPOOL = f"{OWN}/spool"
TOKEN = f"{OWN}/token"


def layout_of(uuid: str) -> Layout:
    """The paths of a run in its pod; the same for every attempt."""
    return Layout(
        context_path=CONTEXT,
        artifacts_path=f"{CONTEXT}/artifacts",
        outputs_path=f"{CONTEXT}/artifacts/{uuid}/outputs",
        work_path=f"{CONTEXT}/work",
        binding_root=BINDINGS,
        real_mounts=True,
    )


def promised(layout: Layout) -> tuple[str, ...]:
    """The folders that the job is promised in the context, relative to it."""
    found = (layout.outputs_path, layout.work_path, temporary_path(layout))
    return tuple(path.removeprefix(f"{CONTEXT}/") for path in found)


def source_path(index: int) -> str:
    """Where a volume is that the step of this index (in ``plan.steps``) fetches from, read-only."""
    return f"{SOURCES}/{index}"


def brought_part(path: str) -> str:
    """What a step brings to an absolute path outside of the context is below this folder of it."""
    return f"{ROOT}{path}"
