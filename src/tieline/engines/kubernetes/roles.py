"""The roles that ship, as files for ``kubectl apply``: which there are, for whom, and what is in them.

A test holds that their rules are the lists of :mod:`tieline.engines.kubernetes.rights`, and nothing else.
"""

from __future__ import annotations

from pathlib import Path

MANIFESTS = Path(__file__).parent / "rbac"
"""The files: ``<name>.yaml``."""
SHIPPED_ACCOUNT = "tieline"
"""The service account that comes with the collector's role, and has it."""
ROLES = {
    "collector": "for the service account of runs: save what the job printed and wrote",
    "submitter": "for whoever submits: jobs; services; runs of a queue with a limit",
    "checks": "for whoever submits: look whether secrets, claims and the like are there",
    "reader": "for who keeps artifacts in a claim: read and remove them from outside",
}
"""Each file's name, and what it is for in one line."""


def manifests(names: tuple[str, ...] = ()) -> str:
    """The files of these names, or all, as one stream of YAML documents."""
    return "---\n".join((MANIFESTS / f"{name}.yaml").read_text() for name in names or ROLES)
