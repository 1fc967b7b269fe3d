"""What mkdocs.yml cannot say: README.md is the site's home page, and every page of docs/kinds/ is in its section."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)#:]+)(?P<anchor>#[^)]*)?\)")


def on_config(config: Any) -> Any:
    """``Kinds: kinds/*`` becomes the folder's pages, the index first."""
    pages = sorted(Path(config.docs_dir, "kinds").glob("*.md"), key=lambda path: (path.stem != "index", path.stem))
    listed = [f"kinds/{path.name}" for path in pages]
    config.nav = [{"Kinds": listed} if entry == {"Kinds": "kinds/*"} else entry for entry in config.nav]
    return config


def on_files(files: Files, config: Any) -> Files:
    """The home page is the repository's README.md, so that it is written once."""
    files.append(File.generated(config, "index.md", content=LINK.sub(_link, (ROOT / "README.md").read_text())))
    return files


def _link(match: re.Match[str]) -> str:
    """Links into docs/ stay links; what is elsewhere in the repository is named."""
    text, target, anchor = match["text"], match["target"], match["anchor"] or ""
    if target.startswith("docs/"):
        page = target.removeprefix("docs/")
        return f"[{text}]({page + 'index.md' if page.endswith('/') else page}{anchor})"
    return text if target.strip("/") in text else f"{text} (`{target}` in the repository)"
