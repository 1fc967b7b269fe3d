"""What one connection puts into a job, as lines of text: for ``explain``, and for ``connections show``."""

from __future__ import annotations

from tieline.app.wording import mount_words, resource_words, value_words
from tieline.cli.layout import aligned
from tieline.model.binding import Binding, Text, Variable
from tieline.model.plan import Layout


def binding_lines(binding: Binding, layout: Layout | None) -> list[str]:
    """Files, variables and mounts. With a run's layout the paths are its true ones."""
    root = layout.binding_root if layout else "$SERVICE_BINDING_ROOT"
    entries = [("type", binding.type)] + ([("provider", binding.provider)] if binding.provider else [])
    entries += [(entry.name, value_words(entry.value)) for entry in binding.entries]
    lines = [f"    files in {root}/{binding.connection}/", *aligned(entries, 6)]
    variables = [(item.name, value_words(item.value), _why(item)) for item in binding.variables]
    variables += [("…", resource_words(resource), "(the connection's own)") for resource in binding.resources]
    if variables:
        lines += ["    variables", *aligned(variables, 6)]
    if binding.mounts:
        mounts = [(item.mount_path, mount_words(item, layout)) for item in binding.mounts]
        lines += ["    mounts", *aligned(mounts, 6)]
    return lines


def _why(variable: Variable) -> str:
    """Who declares it; of a literal also why. Of anything else its value says that already."""
    if variable.why and isinstance(variable.value, Text):
        return f"({variable.origin}: {variable.why})"
    return f"({variable.origin})"
