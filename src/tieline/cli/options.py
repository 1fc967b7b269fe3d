"""The options that several commands share, so that each is spelt, explained and completed in one way everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tieline.cli import completing

Command = TypeVar("Command", bound=Callable[..., Any])

output_option = click.option(
    "--output", "-o", type=click.Choice(["text", "json"]), default="text", help="How to answer. Default: text."
)
config_option = click.option(
    "--config", "-c", type=click.Path(path_type=Path), metavar="FILE",
    help="The deployment file. Default: $TIELINE_CONFIG, the nearest tieline.yaml, or the one in Tieline's home.",
)  # fmt: skip
namespace_option = click.option(
    "--namespace", "-n", metavar="NAME", help="The namespace. Default: the file's, or default."
)
project_option = click.option(
    "--project", "-p", default="default", metavar="NAME", help="The project that the run belongs to."
)
name_option = click.option("--name", metavar="NAME", help="The run's name. Default: the job's, or the file's.")
isolation_option = click.option(
    "--isolation", type=click.Choice(["auto", "bubblewrap", "none"]), default="auto", envvar="TIELINE_ISOLATION",
    show_envvar=True, help="A root of the job's own, where mount paths are true. Default: where bubblewrap works.",
)  # fmt: skip
engine_option = click.option(
    "--engine", type=click.Choice(["process", "kubernetes"]), default="process", envvar="TIELINE_ENGINE",
    show_envvar=True, help="Where it runs: on this machine, or as a pod of a cluster. Default: process.",
)  # fmt: skip
file_argument = click.argument("file", type=click.Path(path_type=Path))
ENGINE = "tieline.engine"


def _remember_engine(ctx: click.Context, _param: click.Parameter, given: str | None) -> None:
    ctx.meta[ENGINE] = given


cluster_option = click.option(
    "--engine", type=click.Choice(["process", "kubernetes"]), envvar="TIELINE_ENGINE", show_envvar=True,
    expose_value=False, callback=_remember_engine,
    help="kubernetes: runs, too, that only the cluster knows, in the namespaces of the deployment file.",
)  # fmt: skip
_run_argument = click.argument("run", shell_complete=completing.runs)
_runs_argument = click.argument("wanted", metavar="RUN…", nargs=-1, required=True, shell_complete=completing.runs)


def run_argument(command: Command) -> Command:
    """One run that there is."""
    return cluster_option(_run_argument(command))


def runs_argument(command: Command) -> Command:
    """Runs that there are."""
    return cluster_option(_runs_argument(command))


def looks_in_clusters() -> bool:
    """Whether the command that is carried out is to find runs that only a cluster knows."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and ctx.meta.get(ENGINE) == "kubernetes"


def answers_in_json() -> bool:
    """Whether the command that is carried out was asked for JSON: then nothing but JSON is said beside it."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and ctx.params.get("output") == "json"


def params_of(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """``-P name=value …``. Values are text here; each becomes what its input's type says."""
    values: dict[str, str] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{item!r} is not name=value")
        if name.strip() in values:
            raise click.BadParameter(f"{name.strip()!r} is given twice")
        values[name.strip()] = value
    return values


params_option = click.option(
    "--param", "-P", "params", multiple=True, callback=params_of, metavar="NAME=VALUE", help="An input's value; repeat."
)


def job_options(command: Command) -> Command:
    """What is said beside a job's file."""
    for option in reversed(
        (
            file_argument, params_option, namespace_option, project_option, name_option, engine_option,
            isolation_option, config_option, output_option,
        )
    ):  # fmt: skip
        command = option(command)
    return command
