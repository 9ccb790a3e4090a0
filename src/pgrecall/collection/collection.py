"""`AsyncCollection`: the verbs, each of which one room of this package carries out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from pgrecall.checks import check_range
from pgrecall.collection.administration import Administration
from pgrecall.collection.finding import reading
from pgrecall.collection.finding.exploration import Exploration
from pgrecall.collection.finding.retrieval import Retrieval, checked_extras
from pgrecall.collection.finding.wording import Wording
from pgrecall.collection.handle import Knowledge
from pgrecall.collection.ingesting.loading import Loading
from pgrecall.collection.models.verbs import Models
from pgrecall.collection.namespaces.ledger import companion, ledger_of
from pgrecall.collection.stats import CollectionStats, stats
from pgrecall.collection.tenancy.partitioning import Partitioning
from pgrecall.collection.tenancy.verbs import Tenancy
from pgrecall.collection.writing import changes, upserting
from pgrecall.collection.writing.amending import Amending
from pgrecall.collection.writing.documents import Documents
from pgrecall.postgres import Database, LentSource
from pgrecall.scope import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Mapping, Sequence

    import asyncpg
    from numpy.typing import NDArray

    from pgrecall.collection.namespaces.blocking import Ledger
    from pgrecall.collection.namespaces.ledger import AsyncLedger
    from pgrecall.config import CollectionConfig
    from pgrecall.filters import Filter
    from pgrecall.records import Embedding, Extra, Match, Page, Record, RecordBatch, SparseEmbedding, UpsertResult


class AsyncCollection(
    Retrieval, Wording, Exploration, Documents, Amending, Loading, Models, Tenancy, Partitioning, Administration
):
    """Records in one table, seen in one domain; made by `AsyncClient`.

    A collection that nothing has been written to yet is empty: reading answers accordingly, and the
    first write makes the table. A collection may be used from any number of tasks, threads and loops.

    Example:
        >>> async with AsyncClient("embedded://") as client:
        ...     docs = client.collection("docs")
        ...     await docs.upsert([Record(id="a", embedding=[1.0, 0.0], content="hello")])
        ...     matches = await docs.search([1.0, 0.1], k=5)
    """

    def __repr__(self) -> str:
        config = self._handle.config
        return f"<{type(self).__name__} {config.schema}.{config.name}, {self._handle.scope}>"

    @property
    def config(self) -> CollectionConfig:
        """What the collection should be."""
        return self._handle.config

    @property
    def name(self) -> str:
        """Name of the table."""
        return self._handle.config.name

    @property
    def scope(self) -> Scope:
        """Whose rows this handle works on."""
        return self._handle.scope

    def domain(self, domain: str) -> Self:
        """Return a handle on the same collection that is bound to another domain.

        Raises:
            ConfigError: *domain* is not a non-empty string.
        """
        return type(self)(replace(self._handle, scope=Scope.of(domain)))

    def all_domains(self) -> Self:
        """Return a handle on the rows of all domains, for administration."""
        return type(self)(replace(self._handle, scope=Scope.everything()))

    def using(self, connection: asyncpg.Connection | asyncpg.Pool) -> Self:
        """Return a handle that works on a connection, or a pool, of the caller's.

        Within a transaction of that connection everything is part of it: it is committed, or rolled
        back, with the caller's own changes. The connection's codecs are neither needed nor changed.
        """
        return type(self)(replace(self._handle, database=Database(LentSource(connection)), knowledge=Knowledge()))

    def ledger(self, namespace: str) -> AsyncLedger:
        """Return the ledger of this name, in the collection's database, schema and domain.

        It knows which ids have been written, when and for which group; passed to `upsert` and `delete`, it
        changes in the same transactions as the records. Nothing is asked of the server.

        Args:
            namespace: Its name: collections of one schema share what they call the same.

        Raises:
            ConfigError: The name cannot be stored, or this is a handle of all domains.
        """
        return ledger_of(self._handle, namespace)

    async def upsert(
        self,
        records: Iterable[Record] | AsyncIterable[Record] | RecordBatch,
        *,
        batch_size: int = upserting.DEFAULT_BATCH,
        ledger: AsyncLedger | Ledger | None = None,
    ) -> UpsertResult:
        """Write records: those whose id is new are inserted, the others replaced; what is unchanged is left alone.

        A list, a tuple or a `RecordBatch` is checked whole before any of it is sent. Of other iterables,
        and of asynchronous ones, never more than one batch is held in memory. Each batch is one
        transaction. Of records with the same id the last one wins.

        Args:
            records: What to write; a `RecordBatch` with one array of embeddings is the fast form.
            batch_size: Records that are written together.
            ledger: A ledger of this handle's, in which the ids, of unchanged records too, are marked in the
                same transactions; see `ledger`.

        Raises:
            RecordError: A record cannot be stored; the message names it.
            DimensionMismatch: An embedding has another length than the collection's.
            SchemaError: The table cannot take such rows.
            PermissionDenied: The role may not write.
        """
        check_range(batch_size, "batch_size", 1, upserting.MAX_BATCH)
        return await upserting.upsert(self._handle, records, batch_size, companion(ledger, self._handle))

    async def get(self, ids: Sequence[str], *, include: Iterable[Extra] = ()) -> list[Record | None]:
        """Return the records with these ids, in the same order; `None` where there is none.

        Args:
            ids: The ids.
            include: What to read too: ``"embedding"``, as ``(d,) float32``, ``"sparse_embedding"`` or
                ``"envelope"``.

        Raises:
            RecordError: An entry cannot be an id of this collection.
        """
        return await reading.get(self._handle, ids, checked_extras(include))

    async def update(
        self,
        ids: Sequence[str],
        *,
        embeddings: NDArray[Any] | Sequence[Embedding] | None = None,
        contents: Sequence[str | None] | None = None,
        metadatas: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        sparse_embeddings: Sequence[SparseEmbedding | None] | None = None,
        merge: bool = True,
    ) -> int:
        """Change parts of records that exist, all in one transaction, and return how many there were.

        Args:
            ids: Whom to change; ids that do not exist are passed over.
            embeddings: Shape ``(n, d)``: one for each id.
            contents: One text for each id.
            metadatas: One mapping for each id, or one for all of them.
            sparse_embeddings: One for each id, or `None` to take away what there is.
            merge: Whether keys are set in the metadata that is there; otherwise it is replaced.

        Raises:
            RecordError: A value cannot be stored, or a sequence has another length than *ids*.
            DimensionMismatch: An embedding has another length than the collection's.
        """
        return await changes.update(
            self._handle,
            ids,
            {
                "embeddings": embeddings,
                "contents": contents,
                "metadatas": metadatas,
                "sparse_embeddings": sparse_embeddings,
            },
            merge=merge,
        )

    async def replace(self, records: Sequence[Record] | RecordBatch) -> int:
        """Put records whole in the place of those that have their ids, all in one transaction.

        Ids that do not exist are passed over; `upsert` inserts them.

        Args:
            records: The new records; all of them have an id.

        Returns:
            How many there were.

        Raises:
            ConfigError: A record has no id, or the handle is one of all domains.
            RecordError: A record cannot be stored; the message names it.
            DimensionMismatch: An embedding has another length than the collection's.
        """
        return await changes.replace(self._handle, records)

    async def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        document_ids: Sequence[str] | None = None,
        ledger: AsyncLedger | Ledger | None = None,
    ) -> int:
        """Delete the records that meet all of the conditions given, and return how many there were.

        Args:
            ids: Ids of records; an empty sequence deletes none.
            filter: Which metadata they must have.
            document_ids: Documents whose chunks they must be.
            ledger: A ledger of this handle's, which forgets the ids in the same transaction.

        Raises:
            ConfigError: No condition was given.
            FilterError: The filter is empty or malformed.
        """
        return await changes.delete(self._handle, ids, filter, document_ids, companion(ledger, self._handle))

    async def clear(self) -> int:
        """Delete all records in this handle's scope, and return how many there were.

        Runs of `ingest` that had not finished begin anew the next time.
        """
        return await changes.clear(self._handle)

    async def count(self, filter: Filter | Mapping[str, Any] | None = None) -> int:
        """Return how many records pass *filter*."""
        return await reading.count(self._handle, filter)

    async def list(
        self,
        *,
        limit: int = 100,
        after: str | None = None,
        prefix: str | None = None,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
    ) -> Page:
        """Return records in the order of their ids, a page at a time.

        Args:
            limit: Most records of the page, 1 to 10,000.
            after: ``Page.next`` of the page before.
            prefix: What the ids must begin with.
            filter: Which metadata they must have.
            include: What to read too: ``"embedding"``, as ``(d,) float32``, ``"sparse_embedding"`` or
                ``"envelope"``.
        """
        extras = checked_extras(include)
        return await reading.page(self._handle, limit=limit, after=after, prefix=prefix, filter=filter, extras=extras)

    async def exists(self) -> bool:
        """Return whether the collection's table exists.

        Raises:
            SchemaError: It does, and does not fit the configuration; the message says all that is wrong.
        """
        return await reading.exists(self._handle)

    async def neighbours(
        self,
        chunks: Sequence[Match | Record],
        window: int = 1,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
    ) -> list[list[Record]]:
        """Return, for each chunk, the chunks of its document that lie around it, in one round trip.

        Args:
            chunks: Records or matches; those without ``document_id`` or ``chunk_index`` have no neighbours.
            window: How far ``chunk_index`` may be from the chunk's own, 0 to 1,000.
            filter: Which metadata the neighbours must have.
            include: What to read too: ``"embedding"``, as ``(d,) float32``, ``"sparse_embedding"`` or
                ``"envelope"``.

        Returns:
            One list for each of *chunks*, in the order of ``chunk_index``, with the chunk itself where it
            passes.

        Raises:
            ConfigError: The handle is one of all domains.
            SchemaError: The table has no columns for document and index.
        """
        extras = checked_extras(include)
        return await reading.neighbours(self._handle, chunks, window, filter=filter, extras=extras)

    async def stats(self) -> CollectionStats:
        """Return what the collection holds: rows, domains, indexes and their state, sizes."""
        return await stats(self._handle)
