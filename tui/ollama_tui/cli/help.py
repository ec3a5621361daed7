"""`help COMMAND`: the same as `COMMAND --help`."""

from __future__ import annotations

import click


@click.command("help", add_help_option=False)
@click.argument("commands", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def command(context: click.Context, commands: tuple[str, ...]) -> None:
    """Print what a command does and the options it takes."""
    assert context.parent is not None  # the root's, under which this command stands
    target, place = context.parent.command, context.parent
    for name in commands:
        found = target.get_command(place, name) if isinstance(target, click.Group) else None
        if found is None:
            raise click.UsageError(f"there is no command '{' '.join(commands)}'.", context.parent)
        place = click.Context(found, info_name=name, parent=place)
        target = found
    click.echo(place.get_help())
