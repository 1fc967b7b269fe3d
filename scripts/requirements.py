"""Prints the requirements of a dependency group of pyproject.toml, for a pip that has no --group yet (before 25.1)."""

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def main(group: str) -> None:
    groups = tomllib.loads(PYPROJECT.read_text())["dependency-groups"]
    if group not in groups:
        sys.exit(f"pyproject.toml has no dependency group {group!r}; it has {', '.join(groups)}")
    print("\n".join(groups[group]))


if __name__ == "__main__":
    main(*sys.argv[1:])
