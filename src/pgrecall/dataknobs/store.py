"""`PgVectorStore`: vectors in one table, with the methods of dataknobs' own store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pgrecall.dataknobs.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Metadata = dict[str, Any]


class PgVectorStore(Writing):
    """Vectors with metadata in one table, seen in one domain, or in all of them where none is given.

    It connects at the first use, or with `initialize`, and may be used from any number of tasks and loops.

    Args:
        config: The options; `describe_options` lists them with their defaults.

    Raises:
        ConfigError: An option is unknown or wrong, or ``dimensions`` is missing.
        MissingDependency: asyncpg is not installed.

    Example:
        >>> store = PgVectorStore({"connection_string": "postgresql://localhost/app", "dimensions": 3})
        >>> await store.add_vectors([[1.0, 0.0, 0.0]], ids=["doc_1"], metadata=[{"content": "hello"}])
        >>> await store.search([1.0, 0.1, 0.0], k=5)
    """

    async def get_vectors(
        self, ids: Sequence[str], include_metadata: bool = True
    ) -> list[tuple[NDArray[np.float32] | None, Metadata | None]]:
        """Return vector and metadata for each of *ids*, in their order.

        Where there is none, both are `None`; a row without a vector has metadata only.

        Args:
            ids: The ids.
            include_metadata: Whether to return metadata; `None` stands in its place otherwise.
        """
        found = await self._records(ids, "embedding")
        return [
            (None, None)
            if record is None
            else (_array(record.embedding), dict(record.metadata) if include_metadata else None)
            for record in found
        ]

    async def search(
        self,
        query_vector: NDArray[Any] | Sequence[float],
        k: int = 10,
        filter: Mapping[str, Any] | None = None,
        include_metadata: bool = True,
    ) -> list[tuple[str, float, Metadata | None]]:
        """Return id, score and metadata of the k nearest vectors, nearest first.

        The score is 1 - distance for cosine, from -1 to 1; 1 / (1 + distance) for euclidean and l1; and
        the inner product itself.

        Args:
            query_vector: Shape ``(d,)``.
            k: Vectors wanted, 1 to 10,000; fewer come back only if fewer pass the filter.
            filter: Keys and values that the metadata must all have, of the same types; operators such as
                ``{"year": {"$gte": 2020}}`` too.
            include_metadata: Whether to return metadata, with the text as its ``content``; `None` otherwise.

        Raises:
            ConfigError: *k* or the vector is none.
            FilterError: The filter is malformed.
            DimensionMismatch: The vector has another length than the table's.
        """
        rows = await self._rows()
        found = await rows.search(_single(query_vector), k, filter=filter, options=self.options.searching)
        return [
            (match.id, match.score, {"content": match.content or "", **match.metadata} if include_metadata else None)
            for match in found
        ]

    async def count(self, filter: Mapping[str, Any] | None = None) -> int:
        """Return how many vectors pass *filter*."""
        return await (await self._rows()).count(filter)

    async def metadata_fields(self) -> set[str]:
        """Return the keys that the metadata of this store's vectors has; all of it is read."""
        return set(await (await self._rows()).metadata_keys())


def _single(vector: Any) -> Any:
    """Return one vector, also out of a batch of one."""
    array = np.asarray(vector)
    return array[0] if array.ndim > 1 and array.shape[0] == 1 else vector


def _array(embedding: Any) -> NDArray[np.float32] | None:
    return None if embedding is None else np.asarray(embedding, dtype=np.float32)
