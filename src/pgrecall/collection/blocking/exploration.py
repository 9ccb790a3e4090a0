"""The verbs of `Collection` that find records in other ways; see `exploration`, which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall import portal
from pgrecall.collection.blocking.mirror import Mirror
from pgrecall.config import MAX_K

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from pgrecall.config import SearchOptions
    from pgrecall.filters import Filter
    from pgrecall.records import Embedding, Example, Extra, Facet, Group, Match


class Exploration(Mirror):
    """What `Collection` finds in other ways."""

    def search_many(
        self,
        embeddings: NDArray[Any] | Sequence[Embedding],
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        score_threshold: float | None = None,
        include: Iterable[Extra] = (),
        options: SearchOptions | None = None,
    ) -> list[list[Match]]:
        """See `AsyncCollection.search_many`."""
        return portal.call(
            self.asynchronous.search_many(
                embeddings, k, filter=filter, score_threshold=score_threshold, include=include, options=options
            )
        )

    def search_range(
        self,
        embedding: Embedding,
        *,
        max_distance: float | None = None,
        score_threshold: float | None = None,
        limit: int = MAX_K,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
    ) -> list[Match]:
        """See `AsyncCollection.search_range`."""
        return portal.call(
            self.asynchronous.search_range(
                embedding,
                max_distance=max_distance,
                score_threshold=score_threshold,
                limit=limit,
                filter=filter,
                include=include,
            )
        )

    def search_by_id(
        self,
        id: str,
        k: int = 10,
        *,
        include_self: bool = False,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
        options: SearchOptions | None = None,
    ) -> list[Match]:
        """See `AsyncCollection.search_by_id`."""
        return portal.call(
            self.asynchronous.search_by_id(
                id, k, include_self=include_self, filter=filter, include=include, options=options
            )
        )

    def recommend(
        self,
        positive: Sequence[Example],
        k: int = 10,
        *,
        negative: Sequence[Example] = (),
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
        options: SearchOptions | None = None,
    ) -> list[Match]:
        """See `AsyncCollection.recommend`."""
        return portal.call(
            self.asynchronous.recommend(positive, k, negative=negative, filter=filter, include=include, options=options)
        )

    def search_groups(
        self,
        embedding: Embedding,
        by: str = "$document_id",
        *,
        groups: int = 5,
        group_size: int = 3,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
    ) -> list[Group]:
        """See `AsyncCollection.search_groups`."""
        return portal.call(
            self.asynchronous.search_groups(
                embedding, by, groups=groups, group_size=group_size, filter=filter, include=include
            )
        )

    def facet(self, field: str, *, limit: int = 100, filter: Filter | Mapping[str, Any] | None = None) -> list[Facet]:
        """See `AsyncCollection.facet`."""
        asked = self.asynchronous.facet(field, limit=limit, filter=filter)
        return portal.call(asked)
