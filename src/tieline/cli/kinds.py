"""The noun ``kinds``: which kinds of connections there are, and what one may say."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from tieline.cli import completing
from tieline.cli.lazy import Entry, LazyGroup
from tieline.cli.options import output_option
from tieline.cli.terminal import has_colour, is_terminal, out, out_json, width

if TYPE_CHECKING:
    from tieline.kinds.base import Kind

kinds = LazyGroup(
    "kinds",
    "The kinds of connections that a catalog may name. `tieline kinds` alone lists them.",
    {
        "list": Entry("kinds:list_", "List all kinds, by family."),
        "show": Entry("kinds:show", "Show a kind's fields, examples, and what a job finds."),
    },
    default="list",
)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


@click.command("list", short_help="List all kinds, by family.")
@click.option("--family", metavar="NAME", help="Only this family: volumes, buckets, code, databases …")
@output_option
def list_(family: str | None, output: str) -> None:
    """List all kinds, by family; those of installed packages too.

    \b
    tieline kinds list --family databases
    """
    from tieline.cli.tables import show_table
    from tieline.kinds.registry import all_kinds

    found = [kind for kind in all_kinds() if family in (None, kind.family)]
    if output == "json":
        out_json([_summary(kind) for kind in found])
    else:
        show_table(("family", "kind", "what it connects to"), [(kind.family, kind.name, kind.title) for kind in found])


def _summary(kind: Kind) -> dict[str, Any]:
    return {"name": kind.name, "family": kind.family, "title": kind.title}


@click.command(short_help="Show a kind's fields, examples, and what a job finds.")
@click.argument("kind", shell_complete=completing.kinds)
@output_option
def show(kind: str, output: str) -> None:
    """Show a kind's fields, examples, and what a job finds of such a connection.

    \b
    tieline kinds show postgres
    """
    from tieline.app.catalogs import kind_named
    from tieline.kinds.pages import page
    from tieline.kinds.schemas import schema_of

    found = kind_named(kind)
    if output == "json":
        out_json({
            **_summary(found), "needsSchema": found.needs_schema, "authMethods": list(found.auth_methods),
            "schema": schema_of(found), "examples": [dict(example) for example in found.examples],
        })  # fmt: skip
    else:
        _show_markdown(_LINK.sub(r"\1", page(found)))


def _show_markdown(text: str) -> None:
    """The page of the docs: set by Rich on a terminal, as it is in a pipe."""
    if not is_terminal(sys.stdout):
        out(text.rstrip("\n"))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console(file=sys.stdout, no_color=not has_colour(sys.stdout), width=width()).print(Markdown(text))
