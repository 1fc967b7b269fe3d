"""``tieline completion``: the script that teaches a shell to complete commands, options, runs and connections."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from tieline.cli.entry import COMPLETE
from tieline.cli.terminal import out


@click.command(short_help="The completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: eval "$(tieline completion bash)"      in ~/.bashrc
    zsh:  eval "$(tieline completion zsh)"       in ~/.zshrc
    fish: tieline completion fish > ~/.config/fish/completions/tieline.fish
    """
    from tieline.cli.root import cli

    found = get_completion_class(shell)
    if found is None:  # pragma: no cover - click knows the three shells of the choice
        raise click.UsageError(f"there is no completion for {shell}")
    out(found(cli, {}, "tieline", COMPLETE).source())
