"""The ``pgrecall`` command: puts its commands together."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Annotated, Any

from pgrecall import __version__
from pgrecall.cli.errors import error_document, interrupted, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

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
    except KeyboardInterrupt:
        # Importing what the commands are made of takes a moment.
        interrupted()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What a terminal or a pipe of another encoding cannot show becomes a question mark, and no error.
        sys.stdout.reconfigure(errors="replace")
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
    from pgrecall.cli.definition import init, sql
    from pgrecall.cli.deleting import delete
    from pgrecall.cli.demo.command import demo
    from pgrecall.cli.doctoring import doctor
    from pgrecall.cli.exporting import export
    from pgrecall.cli.ingesting import ingest
    from pgrecall.cli.looking import get, stats
    from pgrecall.cli.moving_in import import_, migrate
    from pgrecall.cli.searching import search
    from pgrecall.cli.upkeep import maintain, tune

    for command in (demo, init, sql, doctor, stats, ingest, get, search, delete, tune, maintain, migrate, export):
        app.command()(command)
    app.command("import")(import_)
    for name, about, commands in _groups():
        _add_group(app, name, about, commands)


def _groups() -> list[tuple[str, str, dict[str, Callable[..., None]]]]:
    """Return the groups of commands: name, what they are about, and the commands by their names."""
    from pgrecall.cli import domains, indexes, naming, reembedding

    return [
        (
            "index",
            "Build, drop and list vector indexes.",
            {"create": indexes.create, "drop": indexes.drop, "list": indexes.list_},
        ),
        (
            "reembed",
            "Change the embedding model without downtime.",
            {
                "run": reembedding.run,
                "status": reembedding.status,
                "switch": reembedding.switch,
                "rollback": reembedding.rollback,
                "drop": reembedding.drop,
            },
        ),
        (
            "domains",
            "List, move, copy, rename and delete whole domains.",
            {
                "list": domains.list_,
                "count": domains.count,
                "describe": domains.describe,
                "create": domains.create,
                "isolate": domains.isolate,
                "copy": domains.copy,
                "rename": domains.rename,
                "delete": domains.delete,
            },
        ),
        (
            "collections",
            "List, rename and drop collections.",
            {"list": naming.list_collections, "rename": naming.rename_collection, "drop": naming.delete_collection},
        ),
        (
            "aliases",
            "Names that point to collections.",
            {
                "list": naming.list_aliases,
                "create": naming.create_alias,
                "switch": naming.switch_alias,
                "drop": naming.drop_alias,
            },
        ),
    ]


def _add_group(app: typer.Typer, name: str, about: str, commands: dict[str, Callable[..., None]]) -> None:
    import typer

    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    for called, command in commands.items():
        group.command(called)(command)
    app.add_typer(group, name=name, help=about)


def _group() -> Any:
    """Return the class of the command; made here because typer may be missing."""
    import typer
    from typer.core import TyperGroup

    class Commands(TyperGroup):
        """A command whose complaints about what was typed never repeat a password that was typed."""

        def invoke(self, ctx: Any) -> Any:
            typed = list(ctx.args)
            try:
                return super().invoke(ctx)
            except Exception as error:
                if isinstance(message := getattr(error, "message", None), str) and hasattr(error, "format_message"):
                    error.message = without_secrets(message)  # pyright: ignore[reportAttributeAccessIssue] - it has one
                    # The options could not be read, so whether there is this one is looked up in what was typed.
                    if "--json" in typed:
                        typer.echo(error_document(error, error.format_message()))  # pyright: ignore[reportAttributeAccessIssue]
                raise

    return Commands
