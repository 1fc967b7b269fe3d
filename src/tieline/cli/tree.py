"""Files as a tree of folders, each with what it holds in all. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tieline.cli.layout import WIDEST, files, size
from tieline.cli.terminal import printable
from tieline.stores.base import Stat

LINES = ("├── ", "└── ", "│   ", "    ")
ASCII = ("|-- ", "`-- ", "|   ", "    ")


@dataclass(slots=True)
class Node:
    """A file, or a folder and all that is below it."""

    name: str
    is_folder: bool
    files: int = 0
    bytes: int = 0
    below: list[Node] = field(default_factory=list)


def planted(items: Iterable[Stat]) -> Node:
    """The tree of what a store walked: each folder comes before what is in it."""
    root = Node("", True)
    folders = {"": root}
    for item in items:
        above, _, name = item.key.rpartition("/")
        node = Node(name, item.what == "dir")
        if node.is_folder:
            folders[item.key] = node
        else:
            node.files, node.bytes = 1, item.size
        folders[above].below.append(node)
        while not node.is_folder:
            folders[above].files += 1
            folders[above].bytes += node.bytes
            if not above:
                break
            above = above.rpartition("/")[0]
    return root


def drawn(root: Node, *, plain: bool) -> Iterator[str]:
    """Its lines: names on the left, sizes in a column of their own."""
    branch, last, bar, gap = ASCII if plain else LINES
    rows: list[tuple[str, Node]] = []
    waiting = [("", node, number == 1) for number, node in enumerate(reversed(root.below), 1)]
    while waiting:  # no recursion: a tree may be deeper than Python's stack
        before, node, is_last = waiting.pop()
        name = printable(node.name).replace("\n", "\\n") + ("/" if node.is_folder else "")
        rows.append((f"{before}{last if is_last else branch}{name}", node))
        below = before + (gap if is_last else bar)
        waiting += [(below, each, number == 1) for number, each in enumerate(reversed(node.below), 1)]
    wide = max((len(text) for text, _ in rows if len(text) <= WIDEST), default=0)
    for text, node in rows:
        count = f"  {files(node.files) if node.files else 'empty'}" if node.is_folder else ""
        yield f"{text.ljust(wide)}  {size(node.bytes):>10}{count}"
