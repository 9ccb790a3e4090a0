"""``pgrecall sql`` and ``pgrecall init``: what makes a collection, printed for somebody who may, or made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgrecall.cli.embedding import load_embeddings
from pgrecall.cli.errors import BadUsage, one_line_errors
from pgrecall.cli.looking import shown_stats
from pgrecall.cli.opening import DebugOption, EmbeddingsOption, JsonOption, Opened, SchemaOption, on_database
from pgrecall.cli.options import flattened
from pgrecall.cli.output import Output
from pgrecall.cli.progress import shown
from pgrecall.config import CollectionConfig
from pgrecall.layout import HashPartitions, Layout, ListPartitions

if TYPE_CHECKING:
    from pgrecall.collection import Rights

_KINDS = ("text", "number", "boolean", "list", "time")

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the collection, which is that of its table.", show_default=False)
]


@dataclass(frozen=True, kw_only=True)
class Definition:
    """The options that say what a collection is."""

    distance: Annotated[
        str | None, typer.Option(metavar="NAME", help="How embeddings are compared; cosine unless given.")
    ] = None
    vector_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="vector, halfvec or bit; vector unless given.")
    ] = None
    id_type: Annotated[str, typer.Option(metavar="TYPE", help="text or uuid.")] = "text"
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=KIND",
            help=f"A metadata key with a column of its own, as key={'|'.join(_KINDS)}; may be repeated.",
        ),
    ] = None
    text_search: Annotated[
        str | None, typer.Option(metavar="LANGUAGE", help="Language in which the content is searched by words.")
    ] = None
    sparse_dimensions: Annotated[
        int | None, typer.Option(metavar="N", help="Have records take sparse embeddings of so many dimensions too.")
    ] = None
    partitions: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Partitions by domain: list, or hash=COUNT; one table unless given."),
    ] = None
    index: Annotated[bool, typer.Option(help="Make the vector index too.")] = False
    row_level_security: Annotated[bool, typer.Option(help="Have PostgreSQL itself keep domains apart.")] = False

    def config(self, name: str, dimensions: int | None, schema: str) -> CollectionConfig:
        """Return what the options say.

        Raises:
            BadUsage: A field is malformed.
            ConfigError: Something else is.
        """
        chosen: dict[str, Any] = {
            "distance": self.distance,
            "vector_type": self.vector_type,
            "id_type": self.id_type,
        }
        return CollectionConfig(
            name=name,
            dimensions=dimensions,
            schema=schema,
            fields=dict(map(_field, self.field or ())),
            text_search=self.text_search,
            sparse_dimensions=self.sparse_dimensions,
            layout=None if self.partitions is None else _layout(self.partitions),
            row_level_security=self.row_level_security,
            index="auto" if self.index else None,
            **chosen,
        )


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """The options that say who is to work on it."""

    role: Annotated[
        str | None, typer.Option(metavar="NAME", help="A role that is given what it needs to work on it.")
    ] = None
    create_role: Annotated[bool, typer.Option(help="Make that role too, without login.")] = False
    read_only: Annotated[bool, typer.Option(help="Let that role only read.")] = False

    def rights(self) -> Rights | None:
        """Return what the options say; `None` where no role is named.

        Raises:
            BadUsage: There are options about a role, and none is named.
        """
        from pgrecall.collection import Rights

        if self.role is not None:
            return Rights(role=self.role, create=self.create_role, write=not self.read_only)
        if self.create_role or self.read_only:
            raise BadUsage("--create-role and --read-only are about a role: name it with --role")
        return None


@flattened
def sql(
    name: NameArgument,
    *,
    dimensions: Annotated[int, typer.Option(metavar="N", help="Length of the embeddings.")],
    definition: Definition,
    runtime: Runtime,
    beside: Annotated[bool, typer.Option(help="Make the tables that all collections of the schema share.")] = True,
    vector_schema: Annotated[str, typer.Option(metavar="NAME", help="Schema of the extension vector.")] = "public",
    schema: SchemaOption = "public",
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Print the SQL that makes a collection.

    Nothing is connected. It is for psql -1 -f -, or to be read.
    """
    with one_line_errors(debug=debug, json=json):
        from pgrecall.collection import collection_sql

        config = definition.config(name, dimensions, schema)
        made = collection_sql(config, runtime=runtime.rights(), beside=beside, vector_schema=vector_schema)
        _print_sql(made, json=json)


@on_database
def init(
    opened: Opened,
    *,
    name: NameArgument,
    definition: Definition,
    runtime: Runtime,
    dimensions: Annotated[int | None, typer.Option(metavar="N", help="Length of the embeddings.")] = None,
    embeddings: EmbeddingsOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the SQL; nothing is connected.")] = False,
) -> None:
    """Make a collection, and all that belongs to it.

    That is the extension, the schema, the table, what --field and --text-search need, and with --index the index.
    It may be run again: what is there stays, and what it lacks of fields, text search and index is added. The
    length of the embeddings is --dimensions, or that of what --embeddings makes.
    """
    if dimensions is None and embeddings is not None:
        dimensions = len(load_embeddings(embeddings).ask("how many dimensions?"))
    config = definition.config(name, dimensions, opened.schema)
    rights = runtime.rights()
    if dry_run:
        from pgrecall.collection import collection_sql

        _print_sql(collection_sql(config, runtime=rights), json=opened.output.json)
        return
    output, client = opened.output, opened.client
    with output.waiting("making the collection"):
        there = name in client.list_collections(schema=opened.schema)
        # The index is built here, where its progress can be shown, and not in the background.
        collection = client.get_or_create_collection(replace(config, index=None))
    if definition.index:
        with shown(output) as show:
            collection.create_index(progress=show)
    if rights is not None:
        collection.grant(rights.role, write=rights.write, create=rights.create)
    found = collection.stats()
    if output.json:
        output.document({"collection": name, "schema": opened.schema, "made": not there, "stats": found})
        return
    output.text(f"{opened.schema}.{name} {'was there' if there else 'is made'}")
    shown_stats(output, found)


def _print_sql(made: str, *, json: bool) -> None:
    if json:
        Output(json=True).document({"sql": made})
    else:
        typer.echo(made, nl=False)


def _layout(given: str) -> Layout:
    kind, _, count = given.partition("=")
    if given == "list":
        return ListPartitions()
    if kind == "hash" and count.isdecimal():
        return HashPartitions(count=int(count))
    msg = f"--partitions wants list or hash=COUNT, not {given!r}"
    raise BadUsage(msg)


def _field(given: str) -> tuple[str, str]:
    key, _, kind = given.rpartition("=")
    if not key or kind not in _KINDS:
        msg = f"--field wants key={'|'.join(_KINDS)}, not {given!r}"
        raise BadUsage(msg)
    return key, kind
