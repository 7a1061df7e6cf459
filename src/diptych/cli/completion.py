"""`diptych completion`: the script that lets a shell complete what is typed."""

from typing import Final

import click
from click.shell_completion import get_completion_class

_SAVED: Final = """Print a script that lets your shell complete commands and options.

\b
    bash:  diptych completion bash >> ~/.bashrc
    zsh:   diptych completion zsh >> ~/.zshrc
    fish:  diptych completion fish > ~/.config/fish/completions/diptych.fish
"""


@click.command(help=_SAVED)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    made = get_completion_class(shell)
    assert made is not None, shell  # noqa: S101 - click has these three
    root = context.find_root()
    script = made(root.command, {}, root.info_name or "diptych", "_DIPTYCH_COMPLETE")
    click.echo(script.source())
