"""The verbs of `AsyncCollection` that find records by words, by sparse embeddings, and by all embeddings together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from pgrecall.checks import check_flag, check_range
from pgrecall.collection.finding import hybrid_search, keyword_search, sparse_search
from pgrecall.collection.finding.retrieval import checked_extras
from pgrecall.collection.finding.searching import Query
from pgrecall.collection.handle import Bound
from pgrecall.config import MAX_K
from pgrecall.records import WordExtra

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pgrecall.config import SearchOptions
    from pgrecall.filters import Filter
    from pgrecall.hybrid import HybridOptions, KeywordOptions
    from pgrecall.keyword_plan import KeywordPlan
    from pgrecall.plan import Plan
    from pgrecall.records import Embedding, Extra, Match, SparseEmbedding

_WORD_EXTRAS: Final = frozenset(get_args(WordExtra))


class Wording(Bound):
    """What `AsyncCollection` finds by words."""

    async def search_keyword(
        self,
        query: str,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        score_threshold: float | None = None,
        include: Iterable[WordExtra] = (),
        options: KeywordOptions | None = None,
    ) -> list[Match]:
        """Return the k records whose content fits the words of *query* best, by BM25.

        Any of the words will do, and rare words count more than common ones. ``"row level"`` in quotes must
        be there word by word (a phrase that no record has counts as its words), ``-table`` must not be there,
        and ``postg*`` is the beginning of a word; other signs mean nothing. A query of stop words only, or of
        none, finds nothing.

        A match's score is its BM25 score *s* as ``s / (s + ln(1 + rows))``: 0.5 is what a text of mean length
        has that contains one word which no other text contains. ``Match.scores.keyword`` is *s* itself.

        Args:
            query: The words.
            k: Records wanted, 1 to 10,000.
            filter: Which metadata they must have.
            score_threshold: The lowest score to return.
            include: What to return too: ``"embedding"``, ``"envelope"``, or ``"highlights"``, the pieces of the
                content that match.
            options: The query's language, misspelt words, a model that orders anew what was found.

        Raises:
            ConfigError: *query* is no text, or its language is not known.
            SchemaError: The content cannot be searched by its words yet; see `add_text_search`.
            FilterError: The filter is malformed.
        """
        extras = checked_extras(include, _WORD_EXTRAS)
        asked = keyword_search.WordQuery.of(query, k, filter, options, score_threshold=score_threshold, extras=extras)
        return await keyword_search.search_keyword(self._handle, asked)

    async def search_hybrid(
        self,
        query: str,
        embedding: Embedding,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[WordExtra] = (),
        options: HybridOptions | None = None,
    ) -> list[Match]:
        """Return the k records that fit words and embedding together best.

        What `search` finds by *embedding* and what `search_keyword` finds by *query* becomes one ranking;
        unless told otherwise by the mean of both scores, 0.7 of the embedding's and 0.3 of the words'. The
        embedding's is stretched so that 0 is how similar two records picked at random are. Scores are from 0
        to 1 and mean the same in every query; ``Match.scores`` has the parts. Where *query* has no words, the
        embedding alone decides. With ``HybridOptions(sparse=…)`` what `search_sparse` finds is fused too, by its
        inner product *s* as ``s / (s + q²)``, q² being that of the query's sparse embedding with itself; of the
        mean words and sparse embeddings then have 0.15 each. With
        ``HybridOptions(words=KeywordOptions(syntax="web"))`` phrases and exclusions hold for all that is found.

        Args:
            query: A question, or words; signs in it mean nothing.
            embedding: Shape ``(d,)``.
            k: Records wanted, 1 to 10,000.
            filter: Which metadata they must have.
            include: What to return too; see `search_keyword`.
            options: How the rankings become one, how many each gives, and more.

        Raises:
            ConfigError: *query* is no text, or its language is not known.
            SchemaError: The content cannot be searched by its words yet; see `add_text_search`.
            DimensionMismatch: *embedding* has another length than the collection's.
            RecordError: *embedding* is not finite, or zero under cosine.
            FilterError: The filter is malformed.
        """
        extras = checked_extras(include, _WORD_EXTRAS)
        check_range(k, "k", 1, MAX_K)
        asked = hybrid_search.HybridQuery.of(query, embedding, k, filter, options, extras)
        return await hybrid_search.search_hybrid(self._handle, asked, k)

    async def search_sparse(
        self,
        weights: SparseEmbedding,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        score_threshold: float | None = None,
        include: Iterable[Extra] = (),
        options: SearchOptions | None = None,
    ) -> list[Match]:
        """Return the k records whose sparse embeddings have the largest inner product with *weights*, best first.

        Records without a sparse embedding are not found. Fewer than k come back only if fewer pass the filter
        and the threshold. A match's score is the inner product, as is ``Match.scores.sparse``, and its distance
        the same with the sign turned.

        Args:
            weights: Index, from 0, to weight; or indices and weights.
            k: Records wanted, 1 to 10,000.
            filter: Which metadata they must have.
            score_threshold: The lowest inner product to return.
            include: What to return too: ``"embedding"``, ``"envelope"`` or ``"sparse_embedding"``.
            options: Overrides of the planner.

        Raises:
            RecordError: *weights* are not finite, or an index is out of range or there twice.
            SchemaError: The table has no column for sparse embeddings; see `add_sparse_embeddings`.
            FilterError: The filter is malformed.
        """
        extras = checked_extras(include)
        asked = Query.of((), k, filter, options, score_threshold=score_threshold, extras=extras)
        return await sparse_search.search_sparse(self._handle, sparse_search.SparseQuery.of(weights, asked))

    async def explain_sparse(
        self,
        weights: SparseEmbedding,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        options: SearchOptions | None = None,
        postgres: bool = False,
    ) -> Plan:
        """Return how `search_sparse` would run with these arguments, and why, without running it.

        Args:
            weights: Index, from 0, to weight; or indices and weights.
            k: Records wanted, 1 to 10,000.
            filter: Which metadata they must have.
            options: Overrides of the planner.
            postgres: Whether to ask PostgreSQL for its own plan too, ``Plan.postgres``.
        """
        check_flag(postgres, "postgres")
        query = sparse_search.SparseQuery.of(weights, Query.of((), k, filter, options))
        return await sparse_search.explain_sparse(self._handle, query, postgres=postgres)

    async def explain_keyword(
        self,
        query: str,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        options: KeywordOptions | None = None,
        postgres: bool = False,
    ) -> KeywordPlan:
        """Return how `search_keyword` would run with these arguments, and why, without running it.

        Args:
            query: The words.
            k: Records wanted, 1 to 10,000.
            filter: Which metadata they must have.
            options: As for the search.
            postgres: Whether to ask PostgreSQL for its own plan too.
        """
        check_flag(postgres, "postgres")
        asked = keyword_search.WordQuery.of(query, k, filter, options)
        return await keyword_search.explain_keyword(self._handle, asked, postgres=postgres)
