"""`norcim completion`."""

from __future__ import annotations

import click

from norcim_cli import options

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@options.common
def completion(shell: str) -> None:
    """Print the shell completion script.

    \b
    bash:  norcim completion bash > ~/.local/share/bash-completion/completions/norcim
    zsh:   norcim completion zsh > ~/.zfunc/_norcim   (with ~/.zfunc in fpath)
    fish:  norcim completion fish > ~/.config/fish/completions/norcim.fish
    """
    from click.shell_completion import get_completion_class

    from norcim_cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None  # SHELLS are click's own
    click.echo(kind(cli, {}, "norcim", "_NORCIM_COMPLETE").source())
