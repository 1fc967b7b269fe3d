"""``tieline schema``: the JSON Schemas by which an editor completes and checks catalogs and job files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from tieline.cli import completing
from tieline.cli.terminal import out_json, say


@click.command(short_help="JSON Schemas of catalogs and jobs.")
@click.argument("what", type=click.Choice(["catalog", "job"]))
@click.argument("kind", required=False, shell_complete=completing.kinds)
@click.option(
    "--write", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="To a file, not to stdout."
)
def schema(what: str, kind: str | None, write: Path | None) -> None:
    """Print the JSON Schema of catalogs or of job files; with a KIND, that of such a connection's `schema`.

    \b
    tieline schema catalog --write .tieline-schema.json
    """
    found = _schema(what, kind)
    if write is None:
        out_json(found)
        return
    write.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    say(f"written; the first line of a file names it to editors: # yaml-language-server: $schema={write}")


def _schema(what: str, kind: str | None) -> dict[str, Any]:
    if kind is not None:
        if what != "catalog":
            raise click.UsageError("a KIND goes with catalog only: tieline schema catalog s3")
        from tieline.app.catalogs import kind_named
        from tieline.kinds.schemas import DIALECT, schema_of

        return {"$schema": DIALECT, **schema_of(kind_named(kind))}
    from tieline.compile import schemas

    return schemas.catalog_schema() if what == "catalog" else schemas.job_schema()
