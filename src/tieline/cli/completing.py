"""What the shell proposes after TAB: names of runs, connections and kinds. It never fails, it only proposes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

MANY = 50


def runs(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest runs: by the beginning of the id, and by name."""

    def found() -> Iterable[tuple[str, str]]:
        from tieline.app.home import HomeFolder
        from tieline.runs.record import Record

        home = HomeFolder.find()
        if not home.database.exists():
            return
        with Record.open(home.database) as record:
            newest = record.list(limit=MANY)
        if newest:
            yield "last", f"{newest[0].name}, {newest[0].status.value}"
        for run in newest:
            yield run.uuid[:8], f"{run.name}, {run.status.value}"
        for run in newest:
            yield run.name, f"{run.uuid[:8]}, {run.status.value}"

    return _proposed(found, incomplete)


def connections(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The connections of the namespace's view."""

    def found() -> Iterable[tuple[str, str]]:
        from tieline.app.catalogs import view_of
        from tieline.app.deployment import load_deployment
        from tieline.app.home import HomeFolder

        deployment = load_deployment(ctx.params.get("config"), HomeFolder.find())
        for connection in view_of(deployment, ctx.params.get("namespace")):
            yield connection.name, f"{connection.kind} {connection.description}".strip()

    return _proposed(found, incomplete)


def kinds(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of all kinds."""

    def found() -> Iterable[tuple[str, str]]:
        from tieline.kinds import registry

        return ((name, "") for name in registry.names())

    return _proposed(found, incomplete)


def _proposed(find: Callable[[], Iterable[tuple[str, str]]], incomplete: str) -> list[CompletionItem]:
    """A shell has no place for an error: what can't be found is not proposed."""
    from click.shell_completion import CompletionItem

    items: dict[str, CompletionItem] = {}
    with suppress(Exception):
        for value, text in find():
            if value.startswith(incomplete):
                items.setdefault(value, CompletionItem(value, help=text or None))
    return list(items.values())
