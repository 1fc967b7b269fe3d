"""The noun ``connections``: what the catalog names, as a namespace sees it. Secrets are named, and never read."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tieline.cli import completing
from tieline.cli.layout import ago, aligned, section
from tieline.cli.lazy import Entry, LazyGroup
from tieline.cli.options import answers_in_json, config_option, namespace_option, output_option
from tieline.cli.problems import show_problems
from tieline.cli.terminal import has_colour, out_json, page, say

if TYPE_CHECKING:
    from tieline.app.deployment import Deployment
    from tieline.app.home import HomeFolder
    from tieline.model.catalog import View
    from tieline.model.connection import Connection, ResourceRef
    from tieline.model.run import Run

connections = LazyGroup(
    "connections",
    "The catalog's connections, as a namespace sees them. `tieline connections` alone lists them.",
    {
        "list": Entry("connections:list_", "List connections."),
        "show": Entry("connections:show", "Show all that the catalog says about one, and what a job gets from it."),
        "test": Entry("connections_test:test", "Test connections: what each operation proves, or what to mend."),
    },
    default="list",
)
RECENT = 5


def viewed(config: Path | None, namespace: str | None, home: HomeFolder) -> tuple[Deployment, View]:
    from tieline.app.catalogs import view_of
    from tieline.app.deployment import load_deployment

    deployment = load_deployment(config, home)
    if not answers_in_json():
        show_problems(deployment.warnings, sys.stderr)
    return deployment, view_of(deployment, namespace)


@click.command("list", short_help="List connections.")
@click.argument("words", nargs=-1, metavar="[WORD]…")
@click.option(
    "--kind", "kinds", multiple=True, metavar="KIND", shell_complete=completing.kinds, help="Only of this kind. Repeat."
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only with this tag. Repeat: with all of them.")
@namespace_option
@config_option
@output_option
def list_(
    words: tuple[str, ...],
    kinds: tuple[str, ...],
    tags: tuple[str, ...],
    namespace: str | None,
    config: Path | None,
    output: str,
) -> None:
    """List connections; WORDs are looked for in names, kinds, tags and descriptions.

    \b
    tieline connections list --kind s3 images
    """
    from tieline.app.catalogs import matching, origin_of, summary
    from tieline.app.home import HomeFolder
    from tieline.cli.tables import show_table

    deployment, view = viewed(config, namespace, HomeFolder.find())
    found = matching(view, kinds, tags, " ".join(words))
    if output == "json":
        out_json([summary(connection, deployment, view) for connection in found])
        return
    if found:
        show_table(
            ("name", "kind", "description", "tags", "from"),
            [(c.name, c.kind, c.description, ", ".join(c.tags), origin_of(c, deployment, view)) for c in found],
        )
    total = len(view.connections) + len(view.notifications)
    where = deployment.path or "no tieline.yaml was found"
    say(f"{len(found)} of {total} connections ({where})" if len(found) < total else f"{total} connections ({where})")


@click.command(short_help="Show all that the catalog says about one, and what a job gets from it.")
@click.argument("name", shell_complete=completing.connections)
@namespace_option
@config_option
@output_option
def show(name: str, namespace: str | None, config: Path | None, output: str) -> None:
    """Show all that the catalog says about a connection, what a job gets from it, and which runs used it last.

    \b
    tieline connections show warehouse
    """
    from tieline.app.catalogs import details, find
    from tieline.app.home import HomeFolder
    from tieline.app.shapes import run_json

    home = HomeFolder.find()
    deployment, view = viewed(config, namespace, home)
    connection = find(view, name)
    used = _used_by(home, name, namespace)
    if output == "json":
        out_json({**details(connection, deployment, view), "usedBy": [run_json(run) for run in used]})
    else:
        page(_shown(connection, deployment, view, used, colour=has_colour(sys.stdout)))


def _used_by(home: HomeFolder, name: str, namespace: str | None) -> list[Run]:
    """The newest runs that used it; looking must not make a record where there is none."""
    from tieline.model.catalog import DEFAULT_NAMESPACE

    if not home.database.exists():
        return []
    from tieline.cli.records import opened_record

    with opened_record(home) as record:
        return [record.get(uuid) for uuid in record.usage(name, namespace or DEFAULT_NAMESPACE)[:RECENT]]


def _shown(connection: Connection, deployment: Deployment, view: View, used: list[Run], *, colour: bool) -> list[str]:
    from tieline.app.catalogs import binding_of
    from tieline.cli.bindings import binding_lines

    lines = aligned(_facts(connection, deployment, view), 0, colour=colour)
    schema = connection.schema_
    fields = schema.model_dump(mode="json", by_alias=True, exclude_none=True) if schema is not None else {}
    lines += section(
        "Schema", aligned(((key, _text(value)) for key, value in fields.items()), colour=colour), colour=colour
    )
    env = ((variable.name, variable.value) for variable in connection.env)
    lines += section("Variables of its own", aligned(env, colour=colour), colour=colour)
    binding = binding_of(connection)
    if binding is not None:
        lines += section("What a job gets", binding_lines(binding, None), colour=colour)
    runs = [(run.uuid[:8], run.name, run.status.value, ago(run.created_at)) for run in used]
    return lines + section("Used last by", aligned(runs), colour=colour)


def _facts(connection: Connection, deployment: Deployment, view: View) -> Iterable[tuple[str, str]]:
    from tieline.app.catalogs import origin_of

    yield "name", connection.name
    yield "kind", connection.kind
    if connection.description:
        yield "description", connection.description
    if connection.tags:
        yield "tags", ", ".join(connection.tags)
    origin = origin_of(connection, deployment, view)
    yield "from", f"{origin} of {deployment.catalog.file}" if deployment.catalog.file else origin
    if connection is view.store:
        yield "use", "keeps the outputs and logs of runs"
    if connection.notifications_only:
        yield "use", "notifications only"
    for rule in connection.events:
        whose = f"runs of {', '.join(rule.projects)}" if rule.projects else "all runs"
        yield "told of", f"{', '.join(rule.statuses)}: {whose}"
    for what, ref in (("secret", connection.secret), ("config map", connection.config_map)):
        if ref is not None:
            yield what, _reference(ref)
    if connection.auth is not None:
        yield "auth", " ".join(filter(None, (connection.auth.method, connection.auth.role)))
    if connection.allow is not None:
        given = connection.allow.model_dump(exclude_none=True)
        yield "allow", "; ".join(f"{key}: {', '.join(names)}" for key, names in given.items())
    if connection.env_prefix:
        yield "prefix", connection.env_prefix


def _reference(ref: ResourceRef) -> str:
    keys = f"its keys {', '.join(ref.items)}" if ref.items else "all its keys"
    return f"{ref.name}, {keys}, {f'as files in {ref.mount_path}' if ref.mount_path else 'as variables'}"


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
