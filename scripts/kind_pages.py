"""Writes the documentation's page of every kind, and their index: ``kind_pages.py FOLDER``."""

import sys
from pathlib import Path

from tieline.kinds.pages import index, page
from tieline.kinds.registry import all_kinds


def main(folder: Path) -> None:
    pages = {"index.md": index(), **{f"{kind.name}.md": page(kind) for kind in all_kinds()}}
    folder.mkdir(parents=True, exist_ok=True)
    for gone in {path.name for path in folder.glob("*.md")} - pages.keys():
        (folder / gone).unlink()
    for name, text in pages.items():
        (folder / name).write_text(text)
    print(f"wrote {len(pages)} pages to {folder}/")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
