"""`Collection`: the same verbs for callers without an event loop.

Every method is its asynchronous twin, run on the process's portal; a test holds the signatures equal.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any, Self

from pgrecall import portal
from pgrecall.checks import check_range
from pgrecall.collection.blocking.administration import Administration
from pgrecall.collection.blocking.amending import Amending
from pgrecall.collection.blocking.documents import Documents
from pgrecall.collection.blocking.exploration import Exploration
from pgrecall.collection.blocking.loading import Loading
from pgrecall.collection.blocking.models import Models
from pgrecall.collection.blocking.partitioning import Partitioning
from pgrecall.collection.blocking.tenancy import Tenancy
from pgrecall.collection.blocking.wording import Wording
from pgrecall.collection.finding.retrieval import NEAR_AND_VARIED
from pgrecall.collection.namespaces.blocking import Ledger
from pgrecall.collection.writing import upserting
from pgrecall.records import RecordBatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pgrecall.collection.namespaces.ledger import AsyncLedger
    from pgrecall.collection.stats import CollectionStats
    from pgrecall.config import MMR, CollectionConfig, SearchOptions
    from pgrecall.filters import Filter
    from pgrecall.plan import Plan
    from pgrecall.records import Embedding, Extra, Match, Page, Record, SparseEmbedding, UpsertResult
    from pgrecall.scope import Scope

    Names = list[str]
    Records = list[Record | None]
    Matches = list[Match]
    RecordLists = list[list[Record]]


class Collection(Wording, Exploration, Documents, Amending, Loading, Models, Tenancy, Partitioning, Administration):
    """`AsyncCollection` for blocking callers."""

    def __repr__(self) -> str:
        return repr(self.asynchronous).replace("AsyncCollection", "Collection", 1)

    @property
    def config(self) -> CollectionConfig:
        """See `AsyncCollection.config`."""
        return self.asynchronous.config

    @property
    def name(self) -> str:
        """See `AsyncCollection.name`."""
        return self.asynchronous.name

    @property
    def scope(self) -> Scope:
        """See `AsyncCollection.scope`."""
        return self.asynchronous.scope

    def domain(self, domain: str) -> Self:
        """See `AsyncCollection.domain`."""
        return type(self)(self.asynchronous.domain(domain))

    def all_domains(self) -> Self:
        """See `AsyncCollection.all_domains`."""
        return type(self)(self.asynchronous.all_domains())

    def ledger(self, namespace: str) -> Ledger:
        """See `AsyncCollection.ledger`."""
        return Ledger(self.asynchronous.ledger(namespace))

    def upsert(
        self,
        records: Iterable[Record] | AsyncIterable[Record] | RecordBatch,
        *,
        batch_size: int = upserting.DEFAULT_BATCH,
        ledger: AsyncLedger | Ledger | None = None,
    ) -> UpsertResult:
        """See `AsyncCollection.upsert`; a generator is run in the caller's own thread."""
        if isinstance(records, RecordBatch | list | tuple | AsyncIterable):
            return portal.call(self.asynchronous.upsert(records, batch_size=batch_size, ledger=ledger))
        check_range(batch_size, "batch_size", 1, upserting.MAX_BATCH)
        tally = upserting.Tally()
        for batch in upserting.batches(records, batch_size):
            tally.add(portal.call(self.asynchronous.upsert(batch, batch_size=batch_size, ledger=ledger)))
        return tally.result()

    def get(self, ids: Sequence[str], *, include: Iterable[Extra] = ()) -> Records:
        """See `AsyncCollection.get`."""
        return portal.call(self.asynchronous.get(ids, include=include))

    def update(
        self,
        ids: Sequence[str],
        *,
        embeddings: NDArray[Any] | Sequence[Embedding] | None = None,
        contents: Sequence[str | None] | None = None,
        metadatas: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        sparse_embeddings: Sequence[SparseEmbedding | None] | None = None,
        merge: bool = True,
    ) -> int:
        """See `AsyncCollection.update`."""
        return portal.call(
            self.asynchronous.update(
                ids,
                embeddings=embeddings,
                contents=contents,
                metadatas=metadatas,
                sparse_embeddings=sparse_embeddings,
                merge=merge,
            )
        )

    def replace(self, records: Sequence[Record] | RecordBatch) -> int:
        """See `AsyncCollection.replace`."""
        return portal.call(self.asynchronous.replace(records))

    def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        document_ids: Sequence[str] | None = None,
        ledger: AsyncLedger | Ledger | None = None,
    ) -> int:
        """See `AsyncCollection.delete`."""
        deleting = self.asynchronous.delete(ids, filter=filter, document_ids=document_ids, ledger=ledger)
        return portal.call(deleting)

    def clear(self) -> int:
        """See `AsyncCollection.clear`."""
        return portal.call(self.asynchronous.clear())

    def count(self, filter: Filter | Mapping[str, Any] | None = None) -> int:
        """See `AsyncCollection.count`."""
        return portal.call(self.asynchronous.count(filter))

    def list(
        self,
        *,
        limit: int = 100,
        after: str | None = None,
        prefix: str | None = None,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
    ) -> Page:
        """See `AsyncCollection.list`."""
        return portal.call(
            self.asynchronous.list(
                limit=limit,
                after=after,
                prefix=prefix,
                filter=filter,
                include=include,
            )
        )

    def exists(self) -> bool:
        """See `AsyncCollection.exists`."""
        return portal.call(self.asynchronous.exists())

    def neighbours(
        self,
        chunks: Sequence[Match | Record],
        window: int = 1,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
    ) -> RecordLists:
        """See `AsyncCollection.neighbours`."""
        return portal.call(self.asynchronous.neighbours(chunks, window, filter=filter, include=include))

    def stats(self) -> CollectionStats:
        """See `AsyncCollection.stats`."""
        return portal.call(self.asynchronous.stats())

    def search(
        self,
        embedding: Embedding,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        score_threshold: float | None = None,
        include: Iterable[Extra] = (),
        options: SearchOptions | None = None,
    ) -> Matches:
        """See `AsyncCollection.search`."""
        return portal.call(
            self.asynchronous.search(
                embedding,
                k,
                filter=filter,
                score_threshold=score_threshold,
                include=include,
                options=options,
            )
        )

    def search_mmr(
        self,
        embedding: Embedding,
        k: int = 10,
        *,
        mmr: MMR = NEAR_AND_VARIED,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
        options: SearchOptions | None = None,
    ) -> Matches:
        """See `AsyncCollection.search_mmr`."""
        asked = self.asynchronous.search_mmr(embedding, k, mmr=mmr, filter=filter, include=include, options=options)
        return portal.call(asked)

    def explain(
        self,
        embedding: Embedding,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        options: SearchOptions | None = None,
        postgres: bool = False,
    ) -> Plan:
        """See `AsyncCollection.explain`."""
        asked = self.asynchronous.explain(embedding, k, filter=filter, options=options, postgres=postgres)
        return portal.call(asked)
