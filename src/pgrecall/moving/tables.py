"""The tables that can be moved in from: of langchain-postgres, LlamaIndex, vecs and dataknobs."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pgrecall.chunk_keys import ChunkKeys
from pgrecall.collection.adopting import THEIRS
from pgrecall.config import CollectionConfig
from pgrecall.errors import CollectionNotFound
from pgrecall.moving import langchain_postgres, llama_index_postgres
from pgrecall.moving.adopted import AdoptedRows, Place, Table, open_table
from pgrecall.moving.llama_index_postgres import ROW_BY_ROW
from pgrecall.moving.source import Source
from pgrecall.scope import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from pgrecall.collection import AsyncClient, AsyncCollection
    from pgrecall.columns import Columns
    from pgrecall.moving.langchain_postgres import TheirCollection
    from pgrecall.moving.source import Opened
    from pgrecall.records import Record
    from pgrecall.table_columns import TableColumn

EVERY: Final = "*"
"""Name that stands for all collections of ``PGVector``, each of which becomes a domain."""
VECS_SCHEMA: Final = "vecs"
VECS_COLUMNS: Final = replace(THEIRS, embedding="vec", content=None)
DATAKNOBS_COLUMNS: Final = ("content", "domain_id", "document_id", "chunk_index", "created_at", "metadata")
"""What a table of dataknobs may lack, if it is not asked for under another name."""
_TIMES: Final = "timestamp with time zone"
_Counted = tuple[str, str, AdoptedRows, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LangchainPostgres(Source):
    """A collection of langchain-postgres: of ``PGVector``, or a table of ``PGVectorStore``.

    Attributes:
        sought: Which one, and what its columns are as far as the catalog leaves it open. The name ``"*"`` stands
            for all collections of ``PGVector``, each of which goes to a domain of its name.
        keys: Metadata keys that name the document of a text, and its place there.
        place: The database.
    """

    sought: TheirCollection
    keys: ChunkKeys = field(default_factory=ChunkKeys)
    place: Place = field(default_factory=Place)

    @asynccontextmanager
    async def opened(self, client: AsyncClient) -> AsyncGenerator[Opened]:
        """Return a context manager that opens it.

        Raises:
            CollectionNotFound: There is no such table or collection.
            ConfigError: It must be said which of two, or which columns, are meant.
            SchemaError: The table does not fit.
        """
        async with self.place.opened(client) as there:
            if self.sought.name == EVERY:
                names = await langchain_postgres.collections(there, self.sought.schema)
                found = [
                    (name, await langchain_postgres.find(there, replace(self.sought, name=name, version="v1")))
                    for name in names
                ]
            else:
                found = [(DEFAULT_DOMAIN, await langchain_postgres.find(there, self.sought))]
            table = Table(
                client=there,
                handle=found[0][1],
                parts=[(str(one.scope), name, AdoptedRows(one), None) for name, one in found],
                convert=self._record,
                derived=_derived(self.keys),
            )
            yield await open_table(table, "langchain-postgres")

    def _record(self, record: Record) -> Record:
        return self.keys.filled(replace(record, domain_id=None))


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaIndexPostgres(Source):
    """A table of llama-index-vector-stores-postgres.

    Attributes:
        name: What ``PGVectorStore`` was given as ``table_name``, or the name of the table.
        schema: Schema of the table.
        place: The database.
    """

    name: str
    schema: str = "public"
    place: Place = field(default_factory=Place)

    @asynccontextmanager
    async def opened(self, client: AsyncClient) -> AsyncGenerator[Opened]:
        """Return a context manager that opens it.

        Raises:
            CollectionNotFound: There is no such table.
            SchemaError: It is not one of theirs.
        """
        async with self.place.opened(client) as there:
            handle = await llama_index_postgres.find(there, self.name, schema=self.schema, columns=ROW_BY_ROW)
            table = Table(
                client=there,
                handle=handle,
                parts=[(self.name, DEFAULT_DOMAIN, AdoptedRows(handle), None)],
                convert=llama_index_postgres.record_of,
                derived={
                    "id": "",
                    "node_id": "id",
                    "_node_content": "envelope, metadata, document_id",
                    "chunk_index": "chunk_index",
                },
                notes=("of several rows with one node_id the last that was added is kept",),
            )
            yield await open_table(table, "LlamaIndex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vecs(Source):
    """A collection of vecs.

    Attributes:
        name: Its name.
        content_key: The metadata key that holds the text, if one does; it stays in the metadata too.
        keys: Metadata keys that name the document of a text, and its place there.
        place: The database.
    """

    name: str
    content_key: str | None = None
    keys: ChunkKeys = field(default_factory=ChunkKeys)
    place: Place = field(default_factory=Place)

    @asynccontextmanager
    async def opened(self, client: AsyncClient) -> AsyncGenerator[Opened]:
        """Return a context manager that opens it.

        Raises:
            CollectionNotFound: There is no such collection.
            SchemaError: The table is not one of theirs.
        """
        async with self.place.opened(client) as there:
            config = CollectionConfig(name=self.name, schema=VECS_SCHEMA, columns=VECS_COLUMNS, setup="validate")
            handle = await there.get_collection(config)
            derived = _derived(self.keys)
            if self.content_key is not None:
                derived[self.content_key] = "content"
            table = Table(
                client=there,
                handle=handle,
                parts=[(self.name, DEFAULT_DOMAIN, AdoptedRows(handle), None)],
                convert=self._record,
                derived=derived,
            )
            yield await open_table(table, "vecs")

    def _record(self, record: Record) -> Record:
        text = None if self.content_key is None else record.metadata.get(self.content_key)
        return self.keys.filled(replace(record, domain_id=None, content=text if isinstance(text, str) else None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataknobs(Source):
    """A table of dataknobs' pgvector store. Its domains become ours; rows without one go to the default domain.

    Attributes:
        name: Name of the table.
        schema: Its schema.
        columns: What its columns are called, by what they hold, where they are not called so.
        domains: The domains to take, `None` for rows without one; all of them unless given.
        place: The database.
    """

    name: str = "knowledge_embeddings"
    schema: str = "edubot"
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    domains: Sequence[str | None] | None = None
    place: Place = field(default_factory=Place)

    @asynccontextmanager
    async def opened(self, client: AsyncClient) -> AsyncGenerator[Opened]:
        """Return a context manager that opens it.

        Raises:
            CollectionNotFound: There is no such table.
            ConfigError: *columns* names one that there is not.
            SchemaError: The table does not fit.
        """
        async with self.place.opened(client) as there:
            found = await there.describe_table(self.name, schema=self.schema)
            if not found:
                msg = f"there is no table {self.schema}.{self.name}"
                raise CollectionNotFound(msg)
            words: dict[str, Any] = {name: name for name in DATAKNOBS_COLUMNS} | dict(self.columns)
            given = replace(THEIRS, **words)
            columns = fitting(given, found)
            handle = await there.get_collection(self._config(columns))
            local = columns.created_at is None and any(one.name == given.created_at for one in found)
            notes = (f"{given.created_at} is a time without a zone, and is left out",) if local else ()
            table = Table(
                client=there,
                handle=handle,
                parts=await self._parts(there, handle),
                convert=lambda record: replace(record, domain_id=None),
                notes=notes,
            )
            yield await open_table(table, "dataknobs")

    def _config(self, columns: Columns) -> CollectionConfig:
        return CollectionConfig(name=self.name, schema=self.schema, columns=columns, setup="validate")

    async def _parts(self, client: AsyncClient, handle: AsyncCollection) -> list[_Counted]:
        """Return the rows of each domain, and those without one."""
        columns = handle.config.columns
        if columns.domain_id is None:
            return [(self.name, DEFAULT_DOMAIN, AdoptedRows(handle), None)]
        counted = (await handle.all_domains().stats()).domains
        wanted: Iterable[str | None] = counted if self.domains is None else self.domains
        parts: list[_Counted] = [
            (f"domain {one}", one, AdoptedRows(handle.domain(one)), counted.get(one, 0))
            for one in wanted
            if one is not None
        ]
        if self.domains is None or None in self.domains:
            # A row whose domain is NULL is in no domain here: it is found by the lack of that key.
            rest = replace(columns, domain_id=None, metadata_columns=(columns.domain_id,))
            without = {columns.domain_id: {"$exists": False}}
            rows = AdoptedRows(client.collection(self._config(rest)), without)
            if count := await rows.count():
                parts.append(("no domain", DEFAULT_DOMAIN, rows, count))
        return parts


def _derived(keys: ChunkKeys) -> dict[str, str]:
    return dict.fromkeys(keys.document_id, "document_id") | {keys.chunk_index: "chunk_index"}


def fitting(columns: Columns, found: Sequence[TableColumn]) -> Columns:
    """Return *columns* without those of dataknobs' usual ones that a table lacks, or that mean something else there.

    Args:
        columns: What the columns are called, as far as the caller knows.
        found: The table's columns.
    """
    types = {column.name: column.type for column in found}
    absent = [name for name in DATAKNOBS_COLUMNS if getattr(columns, name) == name and name not in types]
    columns = replace(columns, **dict.fromkeys(absent))
    if types.get(columns.created_at or "") != _TIMES:
        # A time without a zone is no point in time; PostgreSQL's default fills it in.
        columns = replace(columns, created_at=None)
    return columns
