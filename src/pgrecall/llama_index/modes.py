"""What a query of LlamaIndex asks for, and the way to answer it: one for each mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from llama_index.core.vector_stores.types import VectorStoreQueryMode

from pgrecall.checks import check_instance, check_number, check_range
from pgrecall.collection.keywords import (
    HYBRID_OPTIONS,
    KEYWORD_OPTIONS,
    OPTIONS,
    hybrid_options,
    keyword_options,
    refuse_unknown,
    search_options,
)
from pgrecall.config import MAX_K
from pgrecall.errors import ConfigError
from pgrecall.hybrid import QUESTION
from pgrecall.llama_index.filters import to_filter
from pgrecall.llama_index.variety import pick

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llama_index.core.vector_stores.types import VectorStoreQuery

    from pgrecall.collection import AsyncCollection, Collection
    from pgrecall.config import SearchOptions
    from pgrecall.filters import Filter
    from pgrecall.hybrid import HybridOptions, KeywordOptions
    from pgrecall.records import Match, Page, Record

# What other stores call the options.
_SYNONYMS: Final = {"hnsw_ef_search": "ef_search", "ivfflat_probes": "probes"}
_THRESHOLD: Final = "mmr_threshold"
_FACTOR: Final = "mmr_prefetch_factor"
_PREFETCH: Final = "mmr_prefetch_k"
_KNOWN: Final = tuple(
    dict.fromkeys([*OPTIONS, *KEYWORD_OPTIONS, *HYBRID_OPTIONS, *_SYNONYMS, _THRESHOLD, _FACTOR, _PREFETCH])
)
_DEFAULT_THRESHOLD: Final = 0.5
_DEFAULT_FACTOR: Final = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found.

    Attributes:
        rows: The rows, best first.
        similarities: One for each, higher is better; `None` where nothing was compared.
    """

    rows: Sequence[Record | Match]
    similarities: list[float] | None


class Way(Protocol):
    """A query that is checked and only has to be run."""

    def run(self, collection: Collection) -> Answer:
        """Return what is found."""
        ...

    async def arun(self, collection: AsyncCollection) -> Answer:
        """Return what is found."""
        ...


def checked_keywords(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a query under our names for them.

    Raises:
        ConfigError: One is not known, or two of them say the same thing.
    """
    refuse_unknown(keywords, _KNOWN)
    for theirs, ours in _SYNONYMS.items():
        if theirs in keywords and ours in keywords:
            msg = f"{theirs} and {ours} say the same thing twice; pass one of them"
            raise ConfigError(msg)
    return {_SYNONYMS.get(name, name): value for name, value in keywords.items()}


def way_of(query: VectorStoreQuery, keywords: Mapping[str, Any], *, restrict_to_node_ids: bool) -> Way:
    """Return how *query* is answered.

    Args:
        query: The query.
        keywords: Those of the call, checked.
        restrict_to_node_ids: Whether the query's ``node_ids``, where there are any, leave nothing else.

    Raises:
        ConfigError: The mode is not supported, or a value is out of range.
        FilterError: A filter is not supported.
    """
    known = isinstance(query.mode, str) and query.mode in _MODES
    make = _WAYS.get(VectorStoreQueryMode(query.mode)) if known else None
    if make is None:
        raise ConfigError(_unsupported(query.mode))
    wanted = to_filter(
        query.filters, node_ids=query.node_ids if restrict_to_node_ids else None, document_ids=query.doc_ids
    )
    if query.mode not in _BY_WORDS:
        embedding = query.query_embedding
        # A zero vector is how LlamaIndex says that only the filters count.
        check_instance(embedding, "query_embedding", Sequence | np.ndarray | None, "a list of numbers")
        if embedding is None or (len(embedding) and not any(embedding)):
            return _Listing(query.similarity_top_k, wanted)
    return make(query, keywords, wanted)


@dataclass(frozen=True, slots=True)
class _Listing:
    """What passes the filters, in the order of the ids."""

    k: int
    filter: Filter | None

    def run(self, collection: Collection) -> Answer:
        return self._answer(collection.list(limit=self.k, filter=self.filter, include=["envelope"]))

    async def arun(self, collection: AsyncCollection) -> Answer:
        return self._answer(await collection.list(limit=self.k, filter=self.filter, include=["envelope"]))

    def _answer(self, page: Page) -> Answer:
        return Answer(page.records, None)


@dataclass(frozen=True, slots=True)
class _Nearest:
    """The k nearest."""

    embedding: Sequence[float]
    k: int
    filter: Filter | None
    options: SearchOptions

    @classmethod
    def of(cls, query: VectorStoreQuery, keywords: Mapping[str, Any], wanted: Filter | None) -> _Nearest:
        # Not by its truth, which an array has not.
        embedding = () if query.query_embedding is None else query.query_embedding
        return cls(embedding, query.similarity_top_k, wanted, search_options(keywords))

    def run(self, collection: Collection) -> Answer:
        found = collection.search(
            self.embedding, self.k, filter=self.filter, include=["envelope"], options=self.options
        )
        return self._answer(found)

    async def arun(self, collection: AsyncCollection) -> Answer:
        found = await collection.search(
            self.embedding, self.k, filter=self.filter, include=["envelope"], options=self.options
        )
        return self._answer(found)

    def _answer(self, found: Sequence[Match]) -> Answer:
        return Answer(found, [match.score for match in found])


@dataclass(frozen=True, slots=True)
class _Varied:
    """K of the nearest that are not all the same; see `variety`."""

    nearest: _Nearest
    k: int
    threshold: float

    @classmethod
    def of(cls, query: VectorStoreQuery, keywords: Mapping[str, Any], wanted: Filter | None) -> _Varied:
        k = check_range(query.similarity_top_k, "similarity_top_k", 1, MAX_K)
        nearest = replace(_Nearest.of(query, keywords, wanted), k=_prefetch(k, keywords))
        return cls(nearest, k, _threshold(query, keywords))

    def run(self, collection: Collection) -> Answer:
        near = self.nearest
        found = collection.search(
            near.embedding, near.k, filter=near.filter, include=["envelope", "embedding"], options=near.options
        )
        return self._answer(found)

    async def arun(self, collection: AsyncCollection) -> Answer:
        near = self.nearest
        found = await collection.search(
            near.embedding, near.k, filter=near.filter, include=["envelope", "embedding"], options=near.options
        )
        return self._answer(found)

    def _answer(self, found: Sequence[Match]) -> Answer:
        if not found:
            return Answer([], [])
        candidates = np.stack([np.asarray(match.embedding) for match in found])
        picks = pick(np.asarray(self.nearest.embedding), candidates, self.k, self.threshold)
        for match in found:
            match.embedding = None  # no query of another mode returns it
        return Answer([found[position] for position, _ in picks], [worth for _, worth in picks])


@dataclass(frozen=True, slots=True)
class _Worded:
    """The k that words find."""

    text: str
    k: int
    filter: Filter | None
    options: KeywordOptions
    threshold: float | None

    @classmethod
    def of(cls, query: VectorStoreQuery, keywords: Mapping[str, Any], wanted: Filter | None) -> _Worded:
        k = query.similarity_top_k
        if query.mode == VectorStoreQueryMode.SPARSE and query.sparse_top_k is not None:
            k = query.sparse_top_k
        said = {name: value for name, value in keywords.items() if name in KEYWORD_OPTIONS}
        return cls(_text(query), k, wanted, keyword_options(said, QUESTION), keywords.get("score_threshold"))

    def run(self, collection: Collection) -> Answer:
        found = collection.search_keyword(
            self.text,
            self.k,
            filter=self.filter,
            score_threshold=self.threshold,
            include=["envelope"],
            options=self.options,
        )
        return self._answer(found)

    async def arun(self, collection: AsyncCollection) -> Answer:
        found = await collection.search_keyword(
            self.text,
            self.k,
            filter=self.filter,
            score_threshold=self.threshold,
            include=["envelope"],
            options=self.options,
        )
        return self._answer(found)

    def _answer(self, found: Sequence[Match]) -> Answer:
        return Answer(found, [match.score for match in found])


@dataclass(frozen=True, slots=True)
class _Hybrid:
    """The k that words and embedding find together."""

    text: str
    embedding: Sequence[float]
    k: int
    filter: Filter | None
    options: HybridOptions

    @classmethod
    def of(cls, query: VectorStoreQuery, keywords: Mapping[str, Any], wanted: Filter | None) -> _Hybrid:
        if query.query_embedding is None:
            msg = f"mode {_mode_name(query.mode)!r} needs query_embedding; without one use mode 'text_search'"
            raise ConfigError(msg)
        said = dict(keywords)
        # The keyword counts where it is given; the retriever has the query's own.
        if query.alpha is not None and said.get("fusion") in (None, "convex"):
            said.setdefault("alpha", query.alpha)
        if query.sparse_top_k is not None:
            said.setdefault("keyword_k", query.sparse_top_k)
        options = hybrid_options(said)
        if query.mode == VectorStoreQueryMode.SEMANTIC_HYBRID and options.rerank is None:
            msg = (
                "mode 'semantic_hybrid' needs a model that orders anew what was found: pass rerank=, a callable that "
                "takes the query and a list of texts and returns one number for each, as vector_store_kwargs of the "
                "retriever, or as reranker= of the store"
            )
            raise ConfigError(msg)
        k = query.similarity_top_k if query.hybrid_top_k is None else query.hybrid_top_k
        return cls(_text(query), query.query_embedding, k, wanted, options)

    def run(self, collection: Collection) -> Answer:
        found = collection.search_hybrid(
            self.text, self.embedding, self.k, filter=self.filter, include=["envelope"], options=self.options
        )
        return self._answer(found)

    async def arun(self, collection: AsyncCollection) -> Answer:
        found = await collection.search_hybrid(
            self.text, self.embedding, self.k, filter=self.filter, include=["envelope"], options=self.options
        )
        return self._answer(found)

    def _answer(self, found: Sequence[Match]) -> Answer:
        return Answer(found, [match.score for match in found])


def _text(query: VectorStoreQuery) -> str:
    if query.query_str is None:
        msg = f"mode {_mode_name(query.mode)!r} looks for words: it needs query_str"
        raise ConfigError(msg)
    return query.query_str


def _threshold(query: VectorStoreQuery, keywords: Mapping[str, Any]) -> float:
    # The keyword counts wherever it is given, be it `None`: the retriever has no other way to pass a threshold.
    value = keywords.get(_THRESHOLD, query.mmr_threshold)
    if value is None:
        return _DEFAULT_THRESHOLD
    return float(check_number(value, _THRESHOLD, 0, 1))


def _prefetch(k: int, keywords: Mapping[str, Any]) -> int:
    """Return from how many of the nearest to pick k."""
    wanted, factor = keywords.get(_PREFETCH), keywords.get(_FACTOR)
    if wanted is not None and factor is not None:
        msg = f"{_PREFETCH} and {_FACTOR} say the same thing twice; pass one of them"
        raise ConfigError(msg)
    if wanted is not None:
        return max(k, check_range(wanted, _PREFETCH, 1, MAX_K))
    factor = _DEFAULT_FACTOR if factor is None else factor
    check_number(factor, _FACTOR, 1, MAX_K)
    return min(MAX_K, max(k, int(k * factor)))


_MODES: Final = frozenset(VectorStoreQueryMode)
_WAYS: Final[Mapping[VectorStoreQueryMode, Callable[[VectorStoreQuery, Mapping[str, Any], Filter | None], Way]]] = {
    VectorStoreQueryMode.DEFAULT: _Nearest.of,
    VectorStoreQueryMode.MMR: _Varied.of,
    VectorStoreQueryMode.TEXT_SEARCH: _Worded.of,
    VectorStoreQueryMode.SPARSE: _Worded.of,
    VectorStoreQueryMode.HYBRID: _Hybrid.of,
    VectorStoreQueryMode.SEMANTIC_HYBRID: _Hybrid.of,
}
_BY_WORDS: Final = frozenset(_WAYS) - {VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.MMR}


def _mode_name(mode: object) -> object:
    return mode.value if isinstance(mode, VectorStoreQueryMode) else mode


def _unsupported(mode: object) -> str:
    known = ", ".join(way.value for way in _WAYS)
    return f"query mode {_mode_name(mode)!r} is not supported; there are: {known}"
