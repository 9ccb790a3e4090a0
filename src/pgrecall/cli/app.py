"""The ``pgrecall`` command: puts its commands together."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from pgrecall import __version__

if TYPE_CHECKING:
    import typer

_PARTS = frozenset({"click", "rich", "typer"})


def main() -> None:
    """Run the command line."""
    try:
        command = build()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _PARTS:
            raise
        sys.exit("pgrecall: the command line needs typer and rich: pip install 'pgrecall[cli]'")
    command(prog_name="pgrecall")


def build() -> typer.Typer:
    """Return the command with its subcommands.

    Raises:
        ModuleNotFoundError: typer or rich is not installed.
    """
    import typer

    from pgrecall.cli.definition import sql
    from pgrecall.cli.demo import demo

    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    def version(wanted: bool) -> None:
        if wanted:
            typer.echo(f"pgrecall {__version__}")
            raise typer.Exit

    option = typer.Option("--version", is_eager=True, callback=version, help="Show the version and exit.")

    def pgrecall(version: bool = False) -> None:
        """Documents and their embeddings in PostgreSQL with pgvector, found again."""

    pgrecall.__annotations__["version"] = Annotated[bool, option]
    app.callback()(pgrecall)
    app.command()(demo)
    app.command()(sql)
    return app
