"""The options that commands on a database share, and what they open: the database, and a collection in it.

A command on a database is written as a function whose first parameter is an `Opened`, and decorated with `on_database`;
one on a collection, which is then its first argument, with `on_collection`. What else it takes is as typer has it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Final, ParamSpec, get_type_hints

import typer

from pgrecall.cli.errors import BadUsage, one_line_errors, one_line_warnings
from pgrecall.cli.options import described, flattened, json_object
from pgrecall.cli.output import Output
from pgrecall.columns import Columns
from pgrecall.config import CollectionConfig
from pgrecall.errors import CollectionNotFound
from pgrecall.scope import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from pgrecall.collection import Client, Collection

P = ParamSpec("P")
_NAMES_SHOWN: Final = 20

CollectionArgument = Annotated[
    str, typer.Argument(metavar="COLLECTION", help="The collection: its table, or an alias.", show_default=False)
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The database; otherwise PGRECALL_URL, DATABASE_URL, or the embedded server. In the environment a "
        "password is not seen by others, on a command line it is.",
    ),
]
SchemaOption = Annotated[str, typer.Option(metavar="NAME", help="Schema of the collection.")]
DomainOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Domain to work in.", show_default=DEFAULT_DOMAIN)
]
AllDomainsOption = Annotated[bool, typer.Option("--all-domains", help="Work in all domains at once.")]
ColumnsOption = Annotated[
    str | None,
    typer.Option(metavar="JSON", help='Columns of a table of another make: {"id": "uuid", "domain_id": null}.'),
]
ModelOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="The model whose embeddings are used, where there are several.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else; of an error too.")]
EmbeddingsOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="The embedding model: package.module:attribute, a function of a list of texts or an object or class of "
        "LangChain's, LlamaIndex's or sentence-transformers'; a class may have ={json arguments} behind it. "
        "lexical is the demo's own.",
    ),
]
FilterOption = Annotated[
    str | None,
    typer.Option("--filter", metavar="JSON", help='Which metadata records must have: {"year": {"$gte": 2020}}.'),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before anything is deleted.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@dataclass(frozen=True, kw_only=True)
class OfTables:
    """The options that all commands on a collection share: how its table is read."""

    columns: ColumnsOption = None
    model: ModelOption = None


@dataclass(frozen=True, kw_only=True)
class OfRows:
    """The options of commands on the rows of a collection: which of them."""

    domain: DomainOption = None
    all_domains: AllDomainsOption = False


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The options that all commands on a database share."""

    url: UrlOption = None
    schema: SchemaOption = "public"
    json: JsonOption = False
    debug: DebugOption = False


@dataclass(kw_only=True)
class Opened:
    """What a command works on.

    Attributes:
        given: The shared options.
        output: Where results go.
        name: The collection that was named; empty for a command on a database.
        table: The options of collections.
        rows: Those of commands on the rows of a collection.
    """

    given: Shared
    output: Output
    name: str = ""
    table: OfTables = OfTables()
    rows: OfRows = OfRows()

    @cached_property
    def client(self) -> Client:
        """The database, to which nothing is connected before it is asked something.

        Raises:
            ConfigError: The URL is malformed, or none was given and there is no embedded server.
        """
        from pgrecall.collection import Client

        return Client(self.given.url)

    def close(self) -> None:
        """Close the client, if there is one."""
        if "client" in self.__dict__:
            self.client.close()

    @property
    def schema(self) -> str:
        """The schema that was named."""
        return self.given.schema

    @property
    def domain(self) -> str:
        """The domain that was named, or the default one."""
        return DEFAULT_DOMAIN if self.rows.domain is None else self.rows.domain

    @property
    def all_domains(self) -> bool:
        """Whether all domains were asked for."""
        return self.rows.all_domains

    @property
    def address(self) -> str:
        """Where the database is, without user and password."""
        return repr(self.client).removeprefix("<Client ").removesuffix(">")

    @cached_property
    def config(self) -> CollectionConfig:
        """What the options say of the collection; its name is the one that was given, which may be an alias.

        Raises:
            BadUsage: The columns cannot be read.
            ConfigError: A name cannot be one.
        """
        return self.config_of(self.name)

    def config_of(self, name: str) -> CollectionConfig:
        """Return what the options say of a collection of that name; see `config`."""
        columns = _columns(self.table.columns)
        return CollectionConfig(
            name=name, schema=self.schema, columns=columns, model=self.table.model, setup="validate"
        )

    @cached_property
    def collection(self) -> Collection:
        """The collection, which exists, in the domain that was named.

        Raises:
            CollectionNotFound: There is neither such a table nor such an alias.
            SchemaError: The table does not fit.
        """
        return self.open(self.config)

    def open(self, config: CollectionConfig) -> Collection:
        """Return a collection that exists, by the name of its table or an alias, in the domain that was named.

        Raises:
            BadUsage: Both one domain and all of them were asked for.
            CollectionNotFound: There is neither such a table nor such an alias.
            SchemaError: The table does not fit.
        """
        if self.all_domains and self.rows.domain is not None:
            raise BadUsage("--domain and --all-domains contradict each other")
        with self.output.waiting("connecting"):
            try:
                found = self.client.get_collection(config, domain=self.domain)
            except CollectionNotFound:
                target = self.client.list_aliases(schema=config.schema).get(config.name)
                if target is None:
                    raise self._unknown(config.name) from None
                found = self.client.get_collection(replace(config, name=target), domain=self.domain)
        return found.all_domains() if self.all_domains else found

    def _unknown(self, name: str) -> CollectionNotFound:
        names = self.client.list_collections(schema=self.schema)
        there = f"there are {', '.join(names[:_NAMES_SHOWN])}" if names else "pgrecall init makes one"
        return CollectionNotFound(f"there is no collection {name!r} in schema {self.schema!r}; {there}")


def on_database(command: Callable[Concatenate[Opened, P], None]) -> Callable[..., None]:
    """Return *command* for typer, with the options that commands on a database share behind its own."""

    def run(shared: Shared, **given: Any) -> None:
        _run(command, Opened(given=shared, output=Output(json=shared.json)), given)

    return flattened(described(run, [*_own(command), _parameter("shared", Shared)], like=command))


def on_table(command: Callable[Concatenate[Opened, P], None]) -> Callable[..., None]:
    """Return *command* for typer, as `on_collection` does, where it is about all rows: it has no domain options."""
    return _named(command, [])


def on_collection(command: Callable[Concatenate[Opened, P], None]) -> Callable[..., None]:
    """Return *command* for typer, with the collection before its own arguments, and the shared options behind."""
    return _named(command, [_parameter("rows", OfRows)])


def _named(command: Callable[..., None], rows: list[inspect.Parameter]) -> Callable[..., None]:
    def run(collection: str, table: OfTables, shared: Shared, rows: OfRows = OfRows(), **given: Any) -> None:
        output = Output(json=shared.json)
        _run(command, Opened(given=shared, output=output, name=collection, table=table, rows=rows), given)

    first = _parameter("collection", CollectionArgument)
    last = [*rows, _parameter("table", OfTables), _parameter("shared", Shared)]
    return flattened(described(run, [first, *_own(command), *last], like=command))


def _run(command: Callable[..., None], opened: Opened, given: dict[str, Any]) -> None:
    with one_line_errors(debug=opened.given.debug, json=opened.given.json), one_line_warnings(), closing(opened):
        command(opened, **given)


def _own(command: Callable[..., None]) -> list[inspect.Parameter]:
    """Return the parameters of *command* behind the first, their annotations resolved where they were written."""
    hints = get_type_hints(command, include_extras=True)
    _opened, *own = inspect.signature(command).parameters.values()
    return [parameter.replace(annotation=hints[parameter.name]) for parameter in own]


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)


def _columns(text: str | None) -> Columns:
    if text is None:
        return Columns()
    named = json_object(text, "--columns")
    known = [field.name for field in fields(Columns)]
    if unknown := sorted(named.keys() - set(known)):
        raise BadUsage(f"--columns: there is no column {unknown[0]!r}; there are {', '.join(known)}")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in named.items()}
    return Columns(**values)
