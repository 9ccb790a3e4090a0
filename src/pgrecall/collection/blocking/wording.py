"""The verbs of `Collection` that find records by words and by sparse embeddings; see `wording`, which they run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pgrecall import portal
from pgrecall.collection.blocking.mirror import Mirror

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pgrecall.config import SearchOptions
    from pgrecall.filters import Filter
    from pgrecall.hybrid import HybridOptions, KeywordOptions
    from pgrecall.keyword_plan import KeywordPlan
    from pgrecall.plan import Plan
    from pgrecall.records import Embedding, Extra, Match, SparseEmbedding, WordExtra


class Wording(Mirror):
    """What `Collection` finds by words."""

    def search_keyword(
        self,
        query: str,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        score_threshold: float | None = None,
        include: Iterable[WordExtra] = (),
        options: KeywordOptions | None = None,
    ) -> list[Match]:
        """See `AsyncCollection.search_keyword`."""
        rerank = None if options is None else options.rerank
        if options is not None and rerank is not None:
            # A model runs where the caller is, not on the portal, which others need meanwhile.
            options = replace(options, rerank=None)
        found = portal.call(
            self.asynchronous.search_keyword(
                query,
                k if rerank is None else rerank.fetched(k),
                filter=filter,
                score_threshold=score_threshold,
                include=include,
                options=options,
            )
        )
        return found if rerank is None else rerank.apply(query, found, k)

    def search_hybrid(
        self,
        query: str,
        embedding: Embedding,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[WordExtra] = (),
        options: HybridOptions | None = None,
    ) -> list[Match]:
        """See `AsyncCollection.search_hybrid`."""
        rerank = None if options is None else options.rerank
        if options is not None and rerank is not None:
            options = replace(options, rerank=None)
        wanted = k if rerank is None else rerank.fetched(k)
        found = portal.call(
            self.asynchronous.search_hybrid(query, embedding, wanted, filter=filter, include=include, options=options)
        )
        return found if rerank is None else rerank.apply(query, found, k)

    def search_sparse(
        self,
        weights: SparseEmbedding,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        score_threshold: float | None = None,
        include: Iterable[Extra] = (),
        options: SearchOptions | None = None,
    ) -> list[Match]:
        """See `AsyncCollection.search_sparse`."""
        return portal.call(
            self.asynchronous.search_sparse(
                weights, k, filter=filter, score_threshold=score_threshold, include=include, options=options
            )
        )

    def explain_sparse(
        self,
        weights: SparseEmbedding,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        options: SearchOptions | None = None,
        postgres: bool = False,
    ) -> Plan:
        """See `AsyncCollection.explain_sparse`."""
        asked = self.asynchronous.explain_sparse(weights, k, filter=filter, options=options, postgres=postgres)
        return portal.call(asked)

    def explain_keyword(
        self,
        query: str,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        options: KeywordOptions | None = None,
        postgres: bool = False,
    ) -> KeywordPlan:
        """See `AsyncCollection.explain_keyword`."""
        asked = self.asynchronous.explain_keyword(query, k, filter=filter, options=options, postgres=postgres)
        return portal.call(asked)
