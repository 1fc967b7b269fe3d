"""This machine's own Python in a pod of busybox, by read-only folders of the node: for a node that is this machine.

It is what ``clusters.NAME.podPatch`` takes, so Tieline's own containers run the code that is being tested, without an
image being built.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tieline

IMAGE = "docker.io/local/busybox:1.35"
SOURCE = Path(tieline.__file__).parents[1]


def folders() -> list[str]:
    """What Python needs here: the system's libraries, the interpreter, the environment, Tieline's source."""
    wanted = ["/usr", "/lib", "/lib64", sys.base_prefix, sys.prefix, str(SOURCE)]
    there = [path for path in dict.fromkeys(wanted) if Path(path).is_dir()]
    return [path for path in there if not any(path != other and Path(path).is_relative_to(other) for other in there)]


def pod_patch(container: str = "*", *, inits: bool = False, **spec: Any) -> dict[str, Any]:
    """For the containers of this name, and with ``inits`` the init containers. ``spec``: more of the pod's
    (``hostNetwork=True``)."""
    named = {f"here-{number}": path for number, path in enumerate(folders())}
    containers = [{
        "name": container,
        "image": IMAGE,
        "env": [
            {"name": "PATH", "value": f"{Path(sys.prefix) / 'bin'}:/usr/bin:/bin"},
            {"name": "PYTHONPATH", "value": str(SOURCE)},
            {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
        ],
        "volumeMounts": [{"name": name, "mountPath": path, "readOnly": True} for name, path in named.items()],
    }]  # fmt: skip
    volumes = [{"name": name, "hostPath": {"path": path, "type": "Directory"}} for name, path in named.items()]
    found = {**spec, "containers": containers, "volumes": volumes}
    return {"spec": {**found, "initContainers": containers} if inits else found}
