"""`deepclarity completion`: print a script for shell completion."""

from __future__ import annotations

import click

from deepclarity.cli import options


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@options.debug
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script for SHELL that completes commands, options and names.

    \b
    bash: eval "$(deepclarity completion bash)" in ~/.bashrc
    zsh:  deepclarity completion zsh > _deepclarity, in a folder of $fpath
    fish: deepclarity completion fish > ~/.config/fish/completions/deepclarity.fish
    """
    from click.shell_completion import get_completion_class

    from deepclarity.cli.app import COMPLETE_VARIABLE

    complete = get_completion_class(shell)
    assert complete is not None  # click has all three
    group = context.find_root().command
    script = complete(group, {}, "deepclarity", COMPLETE_VARIABLE)
    click.echo(script.source_template % script.source_vars())
