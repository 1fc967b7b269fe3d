"""The run that this process belongs to, and its folders: what Tieline says in ``TIELINE_*``."""

from __future__ import annotations

import os

from tieline_client._errors import not_in_job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


class Run:
    """Which run this is. ``uuid`` is 32 hex digits; ``attempt`` is 1, and more where a failed one is tried again."""

    __slots__ = ("attempt", "name", "namespace", "project", "uuid")

    def __init__(self, uuid: str, name: str, project: str, namespace: str, attempt: int) -> None:
        self.uuid = uuid
        self.name = name
        self.project = project
        self.namespace = namespace
        self.attempt = attempt

    def __repr__(self) -> str:
        return f"<Run {self.uuid} {self.name!r}, attempt {self.attempt}>"


def run() -> Run:
    """The run of this process. Raises NotInJob outside a job."""
    return Run(
        uuid=_variable("TIELINE_RUN_UUID"),
        name=os.environ.get("TIELINE_RUN_NAME", ""),
        project=os.environ.get("TIELINE_PROJECT", ""),
        namespace=os.environ.get("TIELINE_NAMESPACE", ""),
        attempt=int(os.environ.get("TIELINE_ATTEMPT") or 1),
    )


def outputs() -> Path:
    """The folder whose files are kept with the run (made, if it is not there). Raises NotInJob outside a job."""
    folder = _folder("TIELINE_OUTPUTS")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def artifacts() -> Path:
    """The folder of what ``init`` brought: a folder per connection in it. Raises NotInJob outside a job."""
    return _folder("TIELINE_ARTIFACTS")


def _folder(variable: str) -> Path:
    from pathlib import Path

    return Path(_variable(variable)).absolute()


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise not_in_job(name)
    return value
