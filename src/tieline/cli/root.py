"""The command ``tieline`` itself: the table of all nouns, and the help that somebody sees first."""

from __future__ import annotations

import click

from tieline import __version__
from tieline.cli.lazy import Entry, LazyGroup

HELP = """Name every external system once, in a catalog; a job asks for it by name, and finds it bound.

\b
Getting started:
  1. name your data, code and databases in tieline.yaml   (tieline kinds shows what there is)
  2. write job.yaml: `connections: [...]` and a command   (tieline check job.yaml finds mistakes)
  3. tieline run job.yaml                                 (tieline explain job.yaml shows the plan)
"""

JOBS, LOOK, TOOLS = "Jobs", "What there is", "For editors, shells and clusters"

ENTRIES = {
    "run": Entry("run:run", "Run a job: on this machine, or in a cluster.", JOBS),
    "explain": Entry("explain:explain", "Show what a job would get, and why; runs nothing.", JOBS),
    "check": Entry("check:check", "Find every problem of catalogs and job files.", JOBS),
    "runs": Entry("runs:runs", "Runs: list, show, logs, outputs, stop, rm.", LOOK),
    "notifications": Entry("notifications:notifications", "Who was told of what: list, show, retry, deliver.", LOOK),
    "connections": Entry("connections:connections", "The catalog's connections: list, show, test.", LOOK),
    "secrets": Entry("secrets:secrets", "Secrets in Tieline's home: list, set, rm.", LOOK),
    "configmaps": Entry("secrets:configmaps", "Config maps in Tieline's home: list, show, set, rm.", LOOK),
    "cache": Entry("cache:cache", "Inputs that are kept on this machine: list, prune.", LOOK),
    "kinds": Entry("kinds:kinds", "The kinds of connections: list, show.", LOOK),
    "roles": Entry("roles:roles", "Kubernetes roles that Tieline needs: list, show.", TOOLS),
    "schema": Entry("schema:schema", "JSON Schemas of catalogs and jobs.", TOOLS),
    "completion": Entry("completion:completion", "The completion script of a shell.", TOOLS),
}

cli = LazyGroup("tieline", HELP, ENTRIES)
cli.epilog = "`tieline COMMAND --help` has the options and an example of each."
cli.params.append(
    click.Option(
        ["--version", "-V"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        help="Show the version.",
        callback=lambda ctx, _, value: _version(ctx, value),
    )
)


def _version(ctx: click.Context, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"tieline {__version__}")
        ctx.exit()
