"""`Client` and `Collection`: the same verbs for callers without an event loop.

Every method is its asynchronous twin, run on the process's portal; a test holds the signatures equal.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any, Self

from pgrecall import portal
from pgrecall.collection import ingest
from pgrecall.collection.blocking_administration import Administration
from pgrecall.collection.blocking_amending import Amending
from pgrecall.collection.blocking_documents import Documents
from pgrecall.collection.blocking_exploration import Exploration
from pgrecall.collection.blocking_inspecting import Inspection
from pgrecall.collection.blocking_loading import Loading
from pgrecall.collection.blocking_models import Models
from pgrecall.collection.blocking_namespaces import KeyValues, Ledger
from pgrecall.collection.blocking_partitioning import Partitioning
from pgrecall.collection.blocking_tenancy import Tenancy
from pgrecall.collection.blocking_wording import Wording
from pgrecall.collection.client import AsyncClient
from pgrecall.collection.retrieval import NEAR_AND_VARIED
from pgrecall.config import check_range
from pgrecall.records import RecordBatch
from pgrecall.scope import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from pgrecall.collection.collection import AsyncCollection
    from pgrecall.collection.ledger import AsyncLedger
    from pgrecall.collection.stats import CollectionStats
    from pgrecall.config import MMR, CollectionConfig, SearchOptions
    from pgrecall.filters import Filter
    from pgrecall.plan import Plan
    from pgrecall.pooling import PoolConfig
    from pgrecall.records import Embedding, Extra, Match, Page, Record, SparseEmbedding, UpsertResult
    from pgrecall.scope import Scope
    from pgrecall.server import Server

    Names = list[str]
    Records = list[Record | None]
    Matches = list[Match]
    RecordLists = list[list[Record]]


class Client(Inspection):
    """`AsyncClient` for blocking callers. It may be used from any thread, also within a running loop."""

    def __init__(self, url: str | None = None, *, pool: PoolConfig | None = None) -> None:
        self.asynchronous = AsyncClient(url, pool=pool)
        """The client that does the work; it may be used beside this one."""

    def __repr__(self) -> str:
        return repr(self.asynchronous).replace("AsyncClient", "Client", 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """See `AsyncClient.close`."""
        portal.call(self.asynchronous.close())

    def server(self) -> Server:
        """See `AsyncClient.server`."""
        return portal.call(self.asynchronous.server())

    def collection(self, config: CollectionConfig | str, *, domain: str = DEFAULT_DOMAIN) -> Collection:
        """See `AsyncClient.collection`."""
        return Collection(self.asynchronous.collection(config, domain=domain))

    def create_collection(
        self, config: CollectionConfig | str, *, dimensions: int | None = None, domain: str = DEFAULT_DOMAIN
    ) -> Collection:
        """See `AsyncClient.create_collection`."""
        return Collection(
            portal.call(self.asynchronous.create_collection(config, dimensions=dimensions, domain=domain))
        )

    def get_collection(self, config: CollectionConfig | str, *, domain: str = DEFAULT_DOMAIN) -> Collection:
        """See `AsyncClient.get_collection`."""
        return Collection(portal.call(self.asynchronous.get_collection(config, domain=domain)))

    def get_or_create_collection(
        self, config: CollectionConfig | str, *, dimensions: int | None = None, domain: str = DEFAULT_DOMAIN
    ) -> Collection:
        """See `AsyncClient.get_or_create_collection`."""
        return Collection(
            portal.call(self.asynchronous.get_or_create_collection(config, dimensions=dimensions, domain=domain))
        )

    def key_values(self, namespace: str, *, domain: str = DEFAULT_DOMAIN, schema: str = "public") -> KeyValues:
        """See `AsyncClient.key_values`."""
        return KeyValues(self.asynchronous.key_values(namespace, domain=domain, schema=schema))

    def list_collections(self, *, schema: str = "public") -> Names:
        """See `AsyncClient.list_collections`."""
        return portal.call(self.asynchronous.list_collections(schema=schema))

    def create_alias(self, alias: str, collection: str, *, schema: str = "public") -> None:
        """See `AsyncClient.create_alias`."""
        portal.call(self.asynchronous.create_alias(alias, collection, schema=schema))

    def switch_alias(self, alias: str, collection: str, *, schema: str = "public") -> str:
        """See `AsyncClient.switch_alias`."""
        return portal.call(self.asynchronous.switch_alias(alias, collection, schema=schema))

    def drop_alias(self, alias: str, *, schema: str = "public") -> None:
        """See `AsyncClient.drop_alias`."""
        portal.call(self.asynchronous.drop_alias(alias, schema=schema))

    def list_aliases(self, *, schema: str = "public") -> dict[str, str]:
        """See `AsyncClient.list_aliases`."""
        return portal.call(self.asynchronous.list_aliases(schema=schema))

    def open_alias(
        self,
        alias: str,
        *,
        config: CollectionConfig | None = None,
        domain: str = DEFAULT_DOMAIN,
        schema: str = "public",
    ) -> Collection:
        """See `AsyncClient.open_alias`."""
        opened = self.asynchronous.open_alias(alias, config=config, domain=domain, schema=schema)
        return Collection(portal.call(opened))

    def rename_collection(self, name: str, new_name: str, *, schema: str = "public") -> None:
        """See `AsyncClient.rename_collection`."""
        portal.call(self.asynchronous.rename_collection(name, new_name, schema=schema))

    def delete_collection(self, name: str, *, schema: str = "public", adopted: bool = False) -> None:
        """See `AsyncClient.delete_collection`."""
        portal.call(self.asynchronous.delete_collection(name, schema=schema, adopted=adopted))


class Collection(Wording, Exploration, Documents, Amending, Loading, Models, Tenancy, Partitioning, Administration):
    """`AsyncCollection` for blocking callers."""

    def __init__(self, collection: AsyncCollection) -> None:
        self.asynchronous = collection
        """The collection that does the work; it may be used beside this one."""

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

    def domain(self, domain: str) -> Collection:
        """See `AsyncCollection.domain`."""
        return Collection(self.asynchronous.domain(domain))

    def all_domains(self) -> Collection:
        """See `AsyncCollection.all_domains`."""
        return Collection(self.asynchronous.all_domains())

    def ledger(self, namespace: str) -> Ledger:
        """See `AsyncCollection.ledger`."""
        return Ledger(self.asynchronous.ledger(namespace))

    def upsert(
        self,
        records: Iterable[Record] | AsyncIterable[Record] | RecordBatch,
        *,
        batch_size: int = ingest.DEFAULT_BATCH,
        ledger: AsyncLedger | Ledger | None = None,
    ) -> UpsertResult:
        """See `AsyncCollection.upsert`; a generator is run in the caller's own thread."""
        if isinstance(records, RecordBatch | list | tuple | AsyncIterable):
            return portal.call(self.asynchronous.upsert(records, batch_size=batch_size, ledger=ledger))
        check_range(batch_size, "batch_size", 1, ingest.MAX_BATCH)
        tally = ingest.Tally()
        for batch in ingest.batches(records, batch_size):
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
