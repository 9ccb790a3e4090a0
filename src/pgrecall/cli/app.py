"""The ``pgrecall`` command: puts its commands together."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

from pgrecall import __version__
from pgrecall.cli.errors import without_secrets

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

    app = typer.Typer(
        cls=_group(),
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
    _add_commands(app)
    return app


def _add_commands(app: typer.Typer) -> None:
    """Give *app* its commands, in the order in which its help lists them."""
    from pgrecall.cli.definition import sql
    from pgrecall.cli.demo.command import demo
    from pgrecall.cli.looking import stats

    for command in (demo, sql, stats):
        app.command()(command)


def _group() -> Any:
    """Return the class of the command; made here because typer may be missing."""
    from typer.core import TyperGroup

    class Commands(TyperGroup):
        """A command whose complaints about what was typed never repeat a password that was typed."""

        def invoke(self, ctx: Any) -> Any:
            try:
                return super().invoke(ctx)
            except Exception as error:
                if isinstance(message := getattr(error, "message", None), str) and hasattr(error, "format_message"):
                    error.message = without_secrets(message)  # pyright: ignore[reportAttributeAccessIssue] - it has one
                raise

    return Commands
