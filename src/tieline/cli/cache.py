"""``tieline cache``: the inputs that are kept on this machine, so that the next run need not fetch them again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tieline.cli.layout import ago, size
from tieline.cli.lazy import Entry, LazyGroup
from tieline.cli.options import config_option, output_option
from tieline.cli.terminal import out, out_json, printable, say

if TYPE_CHECKING:
    from tieline.app.cache import Contents, Input
    from tieline.app.deployment import Deployment
    from tieline.app.home import HomeFolder
    from tieline.stores.cache.pruning import Pruned

cache = LazyGroup(
    "cache",
    """Inputs that runs fetched from buckets, kept on this machine: the next run that asks for the same versions moves
no data. `tieline cache` alone lists them.
""",
    {
        "list": Entry("cache:list_", "List what is kept, the last used first."),
        "prune": Entry("cache:prune", "Make room, or look for damage."),
    },
    default="list",
)


def _deployment(config: Path | None) -> tuple[Deployment, HomeFolder]:
    from tieline.app.deployment import load_deployment
    from tieline.app.home import HomeFolder

    home = HomeFolder.find()
    return load_deployment(config, home), home


@click.command("list", short_help="List what is kept, the last used first.")
@config_option
@output_option
def list_(config: Path | None, output: str) -> None:
    """List what is kept: the folders and files that runs asked for, the last used first.

    \b
    tieline cache list
    """
    from tieline.app.cache import contents

    found = contents(*_deployment(config))
    if output == "json":
        out_json(_as_json(found))
        return
    if found.inputs:
        _table(found)
    off = "" if found.enabled else "; new runs do not use it (inputsCache.enabled)"
    say(f"{size(found.size)} of at most {size(found.max_size)}, in {_files(found.files)}: {found.folder}{off}")


def _table(found: Contents) -> None:
    from tieline.cli.tables import show_table

    show_table(
        ("connection", "namespace", "from", "path", "files", "size", "used"),
        [
            (
                one.connection, one.namespace, one.address, f"{one.path}/" if one.what == "dir" else one.path,
                str(one.files) if one.here == one.files else f"{one.here} of {one.files}", size(one.size),
                ago(one.used_at),
            )
            for one in found.inputs
        ],
    )  # fmt: skip


def _as_json(found: Contents) -> dict[str, Any]:
    return {
        "folder": str(found.folder),
        "enabled": found.enabled,
        "files": found.files,
        "size": found.size,
        "maxSize": found.max_size,
        "inputs": [_input_json(one) for one in found.inputs],
    }


def _input_json(one: Input) -> dict[str, Any]:
    from tieline.app.shapes import moment

    used: datetime = one.used_at
    return {
        "connection": one.connection,
        "namespace": one.namespace,
        "address": one.address,
        "path": one.path,
        "what": one.what,
        "files": one.files,
        "here": one.here,
        "size": one.size,
        "usedAt": moment(used),
    }


def _size(_ctx: click.Context, _param: click.Parameter, given: str | None) -> int | None:
    from tieline.model.sizes import bytes_of

    try:
        return None if given is None else bytes_of(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _age(_ctx: click.Context, _param: click.Parameter, given: str | None) -> int | None:
    from tieline.model.sizes import seconds_of

    try:
        return None if given is None else seconds_of(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(short_help="Make room, or look for damage.")
@click.option("--all", "-a", "everything", is_flag=True, help="Remove everything.")
@click.option("--older-than", callback=_age, metavar="TIME", help="What was not used for so long: 12h, 7d.")
@click.option(
    "--max-size", callback=_size, metavar="SIZE", help="The least recently used, until so much is left: 5GiB."
)
@click.option("--verify", is_flag=True, help="Read every file, and remove those that are not what they were.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@config_option
@output_option
def prune(
    everything: bool,
    older_than: int | None,
    max_size: int | None,
    verify: bool,
    dry_run: bool,
    config: Path | None,
    output: str,
) -> None:
    """Make room: without an option, until the cache is within its bound (runs do the same). Runs that are under way
    keep the files that they have.

    \b
    tieline cache prune --older-than 7d
    """
    from tieline.app.cache import prune as make_room

    done = make_room(
        *_deployment(config), everything=everything, older_than=older_than, max_size=max_size, verify=verify,
        dry_run=dry_run,
    )  # fmt: skip
    if output == "json":
        out_json(_done_json(done, dry_run))
        return
    would = "would remove" if dry_run else "removed"
    out(f"{would} {_files(done.files)}, {size(done.size)}; left: {_files(done.left_files)}, {size(done.left)}")
    if verify:
        say("every file is what it was" if not done.damaged else f"{_files(len(done.damaged))} of these were damaged:")
        for name in done.damaged:
            say(f"  {printable(name)}")


def _done_json(done: Pruned, dry_run: bool) -> dict[str, Any]:
    return {
        "dryRun": dry_run,
        "files": done.files,
        "size": done.size,
        "left": {"files": done.left_files, "size": done.left},
        "damaged": done.damaged,
    }


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"
