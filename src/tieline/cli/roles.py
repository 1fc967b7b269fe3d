"""The noun ``roles``: what Tieline has to be allowed in a namespace of a cluster, for ``kubectl apply``."""

from __future__ import annotations

import click

from tieline.cli.lazy import Entry, LazyGroup
from tieline.cli.options import output_option
from tieline.cli.terminal import out, out_json
from tieline.engines.kubernetes.roles import ROLES, manifests

roles = LazyGroup(
    "roles",
    "The Kubernetes roles that ship with Tieline. `tieline roles` alone lists them.",
    {
        "list": Entry("roles:list_", "List the roles, and for whom each is."),
        "show": Entry("roles:show", "Print roles as YAML, for kubectl apply."),
    },
    default="list",
)


@click.command("list", short_help="List the roles, and for whom each is.")
@output_option
def list_(output: str) -> None:
    """List the roles that ship with Tieline, and for whom each is.

    \b
    tieline roles list
    """
    from tieline.cli.tables import show_table

    if output == "json":
        out_json([{"name": name, "for": words} for name, words in ROLES.items()])
    else:
        show_table(("role", "what it is for"), list(ROLES.items()))


@click.command(short_help="Print roles as YAML, for kubectl apply.")
@click.argument("names", nargs=-1, metavar="[ROLE]…", type=click.Choice(list(ROLES)))
def show(names: tuple[str, ...]) -> None:
    """Print these roles, or all, as YAML: how each is bound is said in it.

    \b
    tieline roles show collector | kubectl apply -n team-a -f -
    """
    out(manifests(names).rstrip("\n"))
