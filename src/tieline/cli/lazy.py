"""Groups of commands whose modules are imported when one is typed: a command pays for itself and for no other.

The table of a group has each command's place and its one line of help, so that ``--help`` imports none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from tieline.errors import did_you_mean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

HELP_OPTIONS = ["-h", "--help"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is (``module:name``, below :mod:`tieline.cli`), and what it does in one line."""

    place: str
    help: str
    section: str = "Commands"


class LazyGroup(click.Group):
    """A group made from a table of :class:`Entry`. ``default`` is the command that is meant where none is named;
    a group without one shows its help then."""

    def __init__(self, name: str, help: str, entries: Mapping[str, Entry], default: str | None = None) -> None:
        super().__init__(
            name,
            help=help,
            callback=_show_help,
            invoke_without_command=True,
            subcommand_metavar="COMMAND …",
            context_settings={"help_option_names": HELP_OPTIONS, "max_content_width": 100},
        )
        self.entries = entries
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        unnamed = not args or (args[0].startswith("-") and args[0] not in HELP_OPTIONS)
        if self.default and unnamed and not ctx.resilient_parsing:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.place.partition(":")
        command: click.Command = getattr(import_module(f"tieline.cli.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.entries and not ctx.resilient_parsing:
            hint = did_you_mean(args[0], self.entries, f"there are: {', '.join(self.entries)}")
            raise click.UsageError(f"there is no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self.entries.items():
            sections.setdefault(entry.section, []).append((name, entry.help))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=entry.help) for name, entry in self.entries.items() if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


def _show_help(**_: Any) -> None:
    ctx = click.get_current_context()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
