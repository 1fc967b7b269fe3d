"""Writes the tables of docs/jobs.md between their markers, from the one table of what Tieline does with each field."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tieline.compile import support
from tieline.model import container, job
from tieline.model.form import camel

SECTIONS = {
    "operation": job.Operation,
    "component": job.Component,
    "input": job.IO,
    "output": job.Output,
    "param": job.Param,
    "run": job.RunForm,
    "init": job.Init,
    "container": container.Container,
    "environment": job.Environment,
    "termination": job.Termination,
    "plugins": job.Plugins,
    "plugins.sidecar": job.Sidecar,
    "hook": job.Hook,
    "cache": job.Cache,
}
WORDS = {
    support.Level.WORKS: "works",
    support.Level.CLUSTER: "Kubernetes only; said once here",
    support.Level.REFUSED: "refused",
    support.Level.NO_EFFECT: "no effect; said once",
}
MARKERS = re.compile(r"(<!-- fields -->\n).*?(<!-- /fields -->)", re.DOTALL)


def tables() -> str:
    """One row per section and level, so that the page stays readable."""
    lines = ["| section | fields | Tieline |", "| --- | --- | --- |"]
    for section, form in SECTIONS.items():
        groups: dict[tuple[support.Level, str], list[str]] = {}
        for name, info in form.model_fields.items():
            row = support.of(form, name)
            groups.setdefault((row.level, row.message), []).append(f"`{info.alias or camel(name)}`")
        for (level, message), names in sorted(groups.items(), key=lambda item: list(WORDS).index(item[0][0])):
            told = f"{WORDS[level]}: {message}" if message else WORDS[level]
            lines.append(f"| {section} | {' '.join(names)} | {told} |")
    return "\n".join(lines) + "\n"


def written(page: str) -> str:
    """The page with its tables as they are now."""
    return MARKERS.sub(lambda match: match[1] + tables() + match[2], page)


def main(name: str) -> None:
    """Rewrite the page of this name; ``-``: from standard input to standard output."""
    if name == "-":
        sys.stdout.write(written(sys.stdin.read()))
        return
    path = Path(name)
    path.write_text(written(path.read_text()))


if __name__ == "__main__":
    main(sys.argv[1])
