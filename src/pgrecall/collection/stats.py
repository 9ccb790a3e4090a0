"""What a collection looks like from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgrecall.postgres import catalog
from pgrecall.sql import dml

if TYPE_CHECKING:
    from pgrecall.collection.handle import Handle
    from pgrecall.distance import Distance, VectorType
    from pgrecall.postgres import Session
    from pgrecall.table import VectorIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionStats:
    """What a collection holds, in one handle's scope.

    Attributes:
        rows: Rows in scope, counted.
        domains: Rows of each domain in scope, counted.
        dimensions: Length of the embeddings; `None` where the column does not say.
        distance: How they are compared.
        vector_type: Type of their column.
        indexes: The vector indexes and their state.
        table_bytes: Size of the whole table, all domains, without its indexes.
        index_bytes: Size of all its indexes.
    """

    rows: int
    domains: dict[str, int]
    dimensions: int | None
    distance: Distance
    vector_type: VectorType
    indexes: tuple[VectorIndex, ...]
    table_bytes: int
    index_bytes: int


async def stats(handle: Handle) -> CollectionStats:
    """See `AsyncCollection.stats`."""
    handle.knowledge.forget()

    async def work(session: Session) -> CollectionStats:
        table = await handle.table(session)
        if table is None:
            return CollectionStats(
                rows=0,
                domains={},
                dimensions=handle.config.dimensions,
                distance=handle.config.new_distance,
                vector_type=handle.config.new_vector_type,
                indexes=(),
                table_bytes=0,
                index_bytes=0,
            )
        counted = await session.fetch(dml.count_by_domain(handle.selection(session, table)))
        domains = {row[0]: row[1] for row in counted}
        table_bytes, index_bytes = await catalog.sizes(session, table)
        return CollectionStats(
            rows=sum(domains.values()),
            domains=domains,
            dimensions=table.dimensions,
            distance=table.distance,
            vector_type=table.vector_type,
            indexes=table.indexes,
            table_bytes=table_bytes,
            index_bytes=index_bytes,
        )

    return await handle.run(work)
