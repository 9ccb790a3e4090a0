"""The options that commands share, and what they open: a database, and a collection in it.

A command that works on a database is written as a function whose first parameter is an `Opened`, and decorated with
`on_database`; one that works on a collection, which is then its first argument, with `on_collection`. What else it
takes is as typer has it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Final, ParamSpec, get_type_hints

import typer

from pgrecall.cli.errors import BadUsage, one_line_errors
from pgrecall.cli.output import Output
from pgrecall.columns import Columns
from pgrecall.config import CollectionConfig
from pgrecall.errors import CollectionNotFound
from pgrecall.scope import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from pgrecall.collection import Client, Collection

P = ParamSpec("P")
_COLLECTION: Final = "collection"
_NAMES_SHOWN: Final = 20

CollectionArgument = Annotated[
    str, typer.Argument(metavar="COLLECTION", help="The collection: its table, or an alias.", show_default=False)
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The database; otherwise PGRECALL_URL, DATABASE_URL, or the embedded server. The environment "
        "does not show a password to others, as a command line does.",
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
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The options that all commands on a database share: names, annotations and defaults are those of the options."""

    url: UrlOption = None
    schema: SchemaOption = "public"
    json: JsonOption = False
    debug: DebugOption = False


@dataclass(frozen=True, kw_only=True)
class SharedOfCollections(Shared):
    """The options that all commands on a collection share."""

    domain: DomainOption = None
    all_domains: AllDomainsOption = False
    columns: ColumnsOption = None
    model: ModelOption = None


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What a command works on.

    Attributes:
        client: The database, to which nothing is connected before it is asked something.
        output: Where results go.
        given: The shared options.
        name: The collection that was named; empty for a command on a database.
    """

    client: Client
    output: Output
    given: Shared
    name: str = ""

    @property
    def schema(self) -> str:
        """The schema that was named."""
        return self.given.schema

    @property
    def address(self) -> str:
        """Where the database is, without user and password."""
        return repr(self.client).removeprefix("<Client ").removesuffix(">")

    @cached_property
    def config(self) -> CollectionConfig:
        """What the options say of the collection; its name is the one that was given, which may be an alias.

        Raises:
            BadUsage: The columns cannot be read.
        """
        given = self.given
        config = CollectionConfig(name=self.name, schema=given.schema, setup="validate")
        if isinstance(given, SharedOfCollections):
            config = replace(config, columns=_columns(given.columns), model=given.model)
        return config

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
            CollectionNotFound: There is neither such a table nor such an alias.
            SchemaError: The table does not fit.
        """
        domain = self.domain
        with self.output.waiting("connecting"):
            try:
                found = self.client.get_collection(config, domain=domain)
            except CollectionNotFound:
                if config.name not in self.client.list_aliases(schema=config.schema):
                    raise self._unknown(config.name) from None
                found = self.client.open_alias(config.name, config=config, domain=domain, schema=config.schema)
        return found.all_domains() if self.all_domains else found

    def _unknown(self, name: str) -> CollectionNotFound:
        names = self.client.list_collections(schema=self.schema)
        there = f"there are {', '.join(names[:_NAMES_SHOWN])}" if names else "pgrecall init makes one"
        return CollectionNotFound(f"there is no collection {name!r} in schema {self.schema!r}; {there}")

    @property
    def domain(self) -> str:
        """The domain that was named, or the default one."""
        domain = self.given.domain if isinstance(self.given, SharedOfCollections) else None
        return DEFAULT_DOMAIN if domain is None else domain

    @property
    def all_domains(self) -> bool:
        """Whether all domains were asked for."""
        return isinstance(self.given, SharedOfCollections) and self.given.all_domains


def on_database(command: Callable[Concatenate[Opened, P], None]) -> Callable[..., None]:
    """Return *command* for typer, with the options that commands on a database share behind its own."""
    return _command(command, Shared, named=False)


def on_collection(command: Callable[Concatenate[Opened, P], None]) -> Callable[..., None]:
    """Return *command* for typer, with the collection before its own arguments, and the shared options behind."""
    return _command(command, SharedOfCollections, named=True)


def _command(command: Callable[..., None], shared: type[Shared], *, named: bool) -> Callable[..., None]:
    names = [field.name for field in fields(shared)]

    def run(**given: Any) -> None:
        options = shared(**{name: given.pop(name) for name in names})
        with one_line_errors(debug=options.debug):
            _check(options)
            from pgrecall.collection import Client

            with Client(options.url) as client:
                opened = Opened(
                    client=client,
                    output=Output(json=options.json),
                    given=options,
                    name=given.pop(_COLLECTION) if named else "",
                )
                command(opened, **given)

    run.__name__ = command.__name__
    run.__doc__ = command.__doc__
    signature = _signature(command, shared, named=named)
    run.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess] - `inspect.signature` reads it
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in signature.parameters.values()}
    return run


def _signature(command: Callable[..., None], shared: type[Shared], *, named: bool) -> inspect.Signature:
    """Return the parameters that typer is to see, their annotations resolved where they were written."""
    kind = inspect.Parameter.KEYWORD_ONLY
    own = get_type_hints(command, include_extras=True)
    _opened, *parameters = inspect.signature(command).parameters.values()
    found = [parameter.replace(kind=kind, annotation=own[parameter.name]) for parameter in parameters]
    if named:
        found.insert(0, inspect.Parameter(_COLLECTION, kind, annotation=CollectionArgument))
    hints = get_type_hints(shared, include_extras=True)
    # What is about the collection comes before what every command has.
    everywhere = {field.name for field in fields(Shared)}
    found += [
        inspect.Parameter(field.name, kind, default=field.default, annotation=hints[field.name])
        for field in sorted(fields(shared), key=lambda field: field.name in everywhere)
    ]
    return inspect.Signature(found)


def _check(options: Shared) -> None:
    if isinstance(options, SharedOfCollections) and options.all_domains and options.domain is not None:
        raise BadUsage("--domain and --all-domains contradict each other")


def _columns(text: str | None) -> Columns:
    if text is None:
        return Columns()
    named = json_object(text, "--columns")
    known = [field.name for field in fields(Columns)]
    if unknown := sorted(named.keys() - set(known)):
        raise BadUsage(f"--columns: there is no column {unknown[0]!r}; there are {', '.join(known)}")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in named.items()}
    return Columns(**values)


def json_object(text: str, option: str) -> dict[str, Any]:
    """Return the JSON object that was given after *option*.

    Raises:
        BadUsage: It is none.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadUsage(f"{option} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadUsage(f"{option} must be a JSON object, not {type(found).__name__}")
    return found
