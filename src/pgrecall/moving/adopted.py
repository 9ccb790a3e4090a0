"""Tables of other stores as sources, read as the engine reads a collection that it has adopted."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pgrecall.collection.opening import ClientLike, open_client
from pgrecall.distance import Distance, VectorType
from pgrecall.errors import SchemaError
from pgrecall.moving.source import FieldMap, Opened, Part, first

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from pgrecall.collection import AsyncCollection
    from pgrecall.collection.client import AsyncClient
    from pgrecall.records import Page, Record
    from pgrecall.table_columns import TableColumn

_PAGE: Final = 2_000
_PASSED_OVER: Final = 10_000
_WHOLE: Final[Any] = ("embedding", "envelope", "sparse_embedding")
_WITHOUT: Final[Any] = ("envelope", "sparse_embedding")
_PROBED: Final = 20
VECTORS: Final = ("vector", "halfvec", "bit")


@dataclass(frozen=True, slots=True)
class AdoptedRows:
    """The records of a handle, in the order of their ids.

    Attributes:
        collection: The handle.
        filter: What their metadata must have.
    """

    collection: AsyncCollection
    filter: Mapping[str, Any] | None = None

    async def count(self) -> int:
        """Return how many there are."""
        return await self.collection.count(self.filter)

    async def items(self, start: int) -> AsyncGenerator[Record]:
        """Return the records from the *start*-th on."""
        passed, after = 0, None
        while passed < start:
            page = await self._page(min(_PASSED_OVER, start - passed), after, ())
            if page.next is None:
                return
            passed, after = passed + len(page.records), page.next
        async with aclosing(self._pages(after, _WHOLE)) as pages:
            async for page in pages:
                for record in page.records:
                    yield record

    async def reread(self, sample: AbstractSet[int]) -> AsyncGenerator[Record]:
        """Return all records; those at the places of *sample* with their embeddings."""
        position = 0
        async with aclosing(self._pages(None, _WITHOUT)) as pages:
            async for page in pages:
                wanted = [record for place, record in enumerate(page.records, position) if place in sample]
                ids = [record.id for record in wanted if record.id is not None]
                whole = {one.id: one for one in await self.collection.get(ids, include=_WHOLE) if one} if ids else {}
                for record in page.records:
                    yield whole.get(record.id, record)
                position += len(page.records)

    async def _pages(self, after: str | None, include: Any) -> AsyncGenerator[Page]:
        while True:
            page = await self._page(_PAGE, after, include)
            if page.records:
                yield page
            after = page.next
            if after is None:
                return

    async def _page(self, limit: int, after: str | None, include: Any) -> Page:
        return await self.collection.list(limit=limit, after=after, filter=self.filter, include=include)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The database that a table is in.

    Attributes:
        url: See `AsyncClient`; the target's database unless given.
        client: A client that is open already, instead.
    """

    url: str | None = field(default=None, repr=False)
    client: ClientLike | None = None

    @asynccontextmanager
    async def opened(self, target: AsyncClient) -> AsyncGenerator[AsyncClient]:
        """Return a context manager that gives a client; one that was made here is closed behind it."""
        if self.url is None and self.client is None:
            yield target
            return
        client, made = open_client(self.url, self.client)
        try:
            yield client
        finally:
            if made is not None:
                await made.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that was found, and how it is read.

    Attributes:
        client: Where it is.
        handle: A handle on it.
        parts: Its parts: what they are called, the domain that they go to, their rows, and how many those are;
            `None` where they are still to be counted.
        derived: What else of ours is filled, by what.
        convert: Makes a record of one that was read; see `Opened`.
        notes: See `Opened`.
    """

    client: AsyncClient
    handle: AsyncCollection
    parts: Sequence[tuple[str, str, AdoptedRows, int | None]]
    convert: Callable[[Any], Record]
    derived: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()


async def open_table(table: Table, title: str) -> Opened:
    """Return *table* as a source that is open.

    Raises:
        SchemaError: Its rows have no order, as it has no unique key.
    """
    config = table.handle.config
    columns = await table.client.describe_table(config.name, schema=config.schema)
    parts = [
        Part(theirs=theirs, domain=domain, count=await rows.count() if count is None else count, rows=rows)
        for theirs, domain, rows, count in table.parts
    ]
    embedding = next(column for column in columns if column.name == config.columns.embedding)
    if embedding.type not in VECTORS:
        msg = f"{config.schema}.{config.name}.{embedding.name} is of type {embedding.type}, not one of {VECTORS}"
        raise SchemaError(msg)
    return Opened(
        title=f"{title} ({config.schema}.{config.name})",
        parts=tuple(parts),
        fields=_fields(table.handle, columns, table.derived),
        dimensions=embedding.length or await _dimensions(parts),
        distance=config.distance or await _indexed_distance(table.handle),
        vector_type=VectorType.parse(embedding.type),
        convert=table.convert,
        marker=f"{table.client!r}",
        notes=table.notes,
    )


def _fields(handle: AsyncCollection, found: Sequence[TableColumn], derived: Mapping[str, str]) -> tuple[FieldMap, ...]:
    columns = handle.config.columns
    ours = {theirs: logical for logical, theirs in columns.mapping().items()}
    ours |= {columns.id: "id", columns.embedding: "embedding"}
    ours |= {name: f"metadata.{name}" for name in columns.metadata_columns}
    ours |= {theirs: field for theirs, field in derived.items() if any(column.name == theirs for column in found)}
    rows = [FieldMap(theirs=one.name, type=_type(one), ours=ours.get(one.name) or None) for one in found]
    names = {column.name for column in found}
    return (*rows, *(FieldMap(theirs=key, type="key", ours=to) for key, to in derived.items() if key not in names))


def _type(column: TableColumn) -> str:
    return column.type if column.length is None else f"{column.type}({column.length})"


async def _dimensions(parts: Sequence[Part]) -> int | None:
    """Return how long the first embeddings are, where the column does not say."""
    for part in parts:
        for record in await first(part, _PROBED):
            if record.embedding is not None:
                return len(record.embedding)
    return None


async def _indexed_distance(handle: AsyncCollection) -> Distance | None:
    """Return the distance that all vector indexes on the table are for, if there is one."""
    distances = {index.distance for index in await handle.indexes() if index.valid}
    return distances.pop() if len(distances) == 1 else None


def without(record: Record, *keys: str) -> Record:
    """Return *record* without these keys of its metadata."""
    return replace(record, metadata={key: value for key, value in record.metadata.items() if key not in keys})
