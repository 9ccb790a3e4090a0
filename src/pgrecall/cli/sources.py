"""What ``pgrecall migrate --from`` names, as sources of `pgrecall.moving`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pgrecall.chunk_keys import ChunkKeys
from pgrecall.cli.errors import BadUsage
from pgrecall.cli.options import json_object
from pgrecall.moving import (
    Chroma,
    Dataknobs,
    LangchainPostgres,
    LlamaIndexPostgres,
    Place,
    RecordFile,
    TheirCollection,
    Vecs,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgrecall.moving import Source


class Kind(StrEnum):
    """What can be moved in from."""

    LANGCHAIN_POSTGRES = "langchain-postgres"
    LANGCHAIN_POSTGRES_V1 = "langchain-postgres-v1"
    LLAMA_INDEX = "llama-index"
    VECS = "vecs"
    DATAKNOBS = "dataknobs"
    CHROMA = "chroma"
    PARQUET = "parquet"


# A column of PGVectorStore, by the field of a record that it fills, as `TheirCollection` calls it.
_THEIR_COLUMNS: Final = {
    "id": "id_column",
    "content": "content_column",
    "embedding": "embedding_column",
    "metadata": "metadata_json_column",
}


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """The options that say what is moved in from."""

    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The collection or table there. All collections, each to a domain of its name, unless given, for "
            "langchain-postgres and chroma; knowledge_embeddings for dataknobs.",
        ),
    ] = None
    from_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The database there; the one that is moved to unless given.")
    ] = None
    from_schema: Annotated[
        str | None, typer.Option(metavar="NAME", help="Schema there; public, or edubot for dataknobs.")
    ] = None
    path: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="The file of parquet; the directory of chroma, or its server's http://host:port."
        ),
    ] = None
    map: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help='Columns that are called differently, by the field of a record that they fill: {"content": "body"}.',
        ),
    ] = None
    document_key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="Metadata key that names the document of a text; document_id, else source, unless given.",
        ),
    ] = None
    chunk_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Metadata key of its place there; chunk_index unless given."),
    ] = None
    content_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Metadata key that holds the text, for vecs.")
    ] = None

    def source(self, kind: Kind) -> Source:
        """Return what the options say.

        Raises:
            BadUsage: An option is missing, or means nothing for that kind.
            ConfigError: Something else is wrong.
        """
        make, known, needed = _KINDS[kind]
        given = {field.name for field in fields(self) if getattr(self, field.name) is not None}
        if unknown := sorted(given - known):
            raise BadUsage(f"{_option(unknown[0])} means nothing for --from {kind}, which takes {_listed(known)}")
        if missing := sorted(needed - given):
            raise BadUsage(f"--from {kind} needs {_listed(missing)}")
        return make(self)

    @property
    def place(self) -> Place:
        """The database there."""
        return Place(url=self.from_url)

    @property
    def keys(self) -> ChunkKeys:
        """The keys of documents."""
        return ChunkKeys.of(self.document_key, self.chunk_key)

    @property
    def mapped(self) -> dict[str, Any]:
        """What ``--map`` says."""
        return {} if self.map is None else json_object(self.map, "--map")


def _first(options: SourceOptions) -> Source:
    sought = TheirCollection(name=options.name or "*", schema=options.from_schema or "public", version="v1")
    return LangchainPostgres(sought=sought, keys=options.keys, place=options.place)


def _second(options: SourceOptions) -> Source:
    mapped = options.mapped
    if unknown := sorted(mapped.keys() - _THEIR_COLUMNS):
        raise BadUsage(f"--map: there is no field {unknown[0]!r} here; there are {', '.join(_THEIR_COLUMNS)}")
    columns: dict[str, Any] = {_THEIR_COLUMNS[name]: column for name, column in mapped.items()}
    schema = options.from_schema or "public"
    sought = TheirCollection(name=str(options.name), schema=schema, version="v2", **columns)
    return LangchainPostgres(sought=sought, keys=options.keys, place=options.place)


def _llama_index(options: SourceOptions) -> Source:
    return LlamaIndexPostgres(name=str(options.name), schema=options.from_schema or "public", place=options.place)


def _vecs(options: SourceOptions) -> Source:
    name, key = str(options.name), options.content_key
    return Vecs(name=name, content_key=key, keys=options.keys, place=options.place)


def _dataknobs(options: SourceOptions) -> Source:
    made = Dataknobs(columns=options.mapped, place=options.place)
    name, schema = options.name or made.name, options.from_schema or made.schema
    return Dataknobs(name=name, schema=schema, columns=made.columns, place=made.place)


def _chroma(options: SourceOptions) -> Source:
    return Chroma(where=str(options.path), name=options.name or "*", keys=options.keys)


def _parquet(options: SourceOptions) -> Source:
    path = Path(str(options.path))
    if path.suffix.lower() != ".parquet":
        raise BadUsage(f"--path {path} does not end in .parquet; pgrecall import reads other files too")
    return RecordFile(path=path, fields=options.mapped)


_IN_DATABASE: Final = frozenset({"name", "from_url", "from_schema"})
_KEYS: Final = frozenset({"document_key", "chunk_key"})
_KINDS: Final[dict[Kind, tuple[Callable[[SourceOptions], Source], frozenset[str], frozenset[str]]]] = {
    Kind.LANGCHAIN_POSTGRES: (_first, _IN_DATABASE | _KEYS, frozenset()),
    Kind.LANGCHAIN_POSTGRES_V1: (_second, _IN_DATABASE | _KEYS | {"map"}, frozenset({"name"})),
    Kind.LLAMA_INDEX: (_llama_index, _IN_DATABASE, frozenset({"name"})),
    Kind.VECS: (_vecs, frozenset({"name", "from_url", "content_key"}) | _KEYS, frozenset({"name"})),
    Kind.DATAKNOBS: (_dataknobs, _IN_DATABASE | {"map"}, frozenset()),
    Kind.CHROMA: (_chroma, frozenset({"name", "path"}) | _KEYS, frozenset({"path"})),
    Kind.PARQUET: (_parquet, frozenset({"path", "map"}), frozenset({"path"})),
}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _listed(names: frozenset[str] | list[str]) -> str:
    return ", ".join(_option(name) for name in sorted(names))
