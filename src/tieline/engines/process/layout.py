"""The paths of a run of the process engine, as its processes see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tieline.engines.folders import BINDINGS, RunFolder
from tieline.model.plan import InputsCache, Layout


def layout_of(
    folder: RunFolder,
    uuid: str,
    claims: Mapping[str, str],
    claims_root: Path,
    *,
    isolated: bool = False,
    hidden: Iterable[str] = (),
    inputs_cache: InputsCache | None = None,
) -> Layout:
    """The paths of a run, as its processes see them; the same for every attempt. ``hidden``: if it is isolated."""
    context = folder.context
    return Layout(
        context_path=str(context),
        artifacts_path=str(context / "artifacts"),
        outputs_path=str(context / "artifacts" / uuid / "outputs"),
        work_path=str(context / "work"),
        binding_root=str(context / BINDINGS),
        claims=dict(claims),
        claims_root=str(claims_root),
        real_mounts=isolated,
        hidden=tuple(hidden) if isolated else (),
        inputs_cache=inputs_cache,
    )
