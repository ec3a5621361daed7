"""`completion`: the script that teaches a shell to complete this command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ollama_tui.cli.completing import SHELLS, teach_click
from ollama_tui.cli.root import root
from ollama_tui.cli.status import COMPLETION_VARIABLE


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that lets SHELL complete commands, options and models.

    \b
    bash:  echo 'eval "$(ollama-tui completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(ollama-tui completion zsh)"' >> ~/.zshrc       (after compinit)
    fish:  ollama-tui completion fish > ~/.config/fish/completions/ollama-tui.fish
    """
    teach_click()
    kind = get_completion_class(shell)
    assert kind is not None  # click has all of SHELLS
    click.echo(kind(root, {}, "ollama-tui", COMPLETION_VARIABLE).source(), nl=False)
