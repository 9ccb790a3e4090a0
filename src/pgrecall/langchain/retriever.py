"""`PGRecallRetriever`: LangChain's retriever with scores in the metadata and the chunks around each hit."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, cast

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStoreRetriever
from pydantic import Field, model_validator

from pgrecall.checks import check_range
from pgrecall.collection.finding.reading import MAX_WINDOW
from pgrecall.collection.keywords import refuse_unknown
from pgrecall.errors import ConfigError
from pgrecall.langchain.documents import to_document
from pgrecall.langchain.keywords import (
    HYBRID_KEYWORDS,
    KEYWORD_KEYWORDS,
    MMR_KEYWORDS,
    SEARCH_KEYWORDS,
    HybridSearch,
    KeywordSearch,
    Search,
    VariedSearch,
    relevance_of,
)
from pgrecall.langchain.searching import SimilarityMethods, VarietyMethods
from pgrecall.langchain.wording import WordMethods

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pgrecall.langchain.keywords import RelevanceFunction
    from pgrecall.records import Match, Record

_K: Final = 4
_KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "mmr": MMR_KEYWORDS,
    "keyword": KEYWORD_KEYWORDS,
    "hybrid": HYBRID_KEYWORDS,
}
# The store's method that LangChain's own retriever would call, and the class that it is of.
_METHODS: Final[Mapping[str, tuple[type, str]]] = {
    "similarity": (SimilarityMethods, "similarity_search"),
    "similarity_score_threshold": (SimilarityMethods, "similarity_search_with_relevance_scores"),
    "mmr": (VarietyMethods, "max_marginal_relevance_search"),
    "keyword": (WordMethods, "keyword_search"),
    "hybrid": (WordMethods, "hybrid_search"),
}
_SEARCHING: Final = frozenset(SEARCH_KEYWORDS).union(*_KNOWN.values())
_UNNUMBERED: Final = (
    "window has no effect: none of the documents found has a document's id and a chunk_index in its metadata; "
    "number_chunks(documents) writes them before they are added"
)


class PGRecallRetriever(VectorStoreRetriever):
    """Retrieves from a `PGRecallVectorStore`.

    ``search_type`` is ``"similarity"``, ``"similarity_score_threshold"``, ``"mmr"``, ``"keyword"`` (by words) or
    ``"hybrid"`` (by words and embedding); for the last two see `PGRecallVectorStore.keyword_search` and
    `PGRecallVectorStore.hybrid_search`. ``search_kwargs`` are the keywords of the
    search, and those of a call, as in ``retriever.invoke(query, k=3, filter=…)``, win over them. The fields
    below can be given in both places too. Where a subclass of the store has a method of its own for the search, that
    one is called, and there is neither ``score_key`` nor ``window``.

    Attributes:
        k: Documents wanted; 4 unless given.
        score_key: Metadata key under which each document found gets its relevance, from 0 to 1; `None` for
            nowhere.
        window: How many chunks before and after each chunk found are returned with it, those of the same
            document that pass the same filter; see `AsyncCollection.neighbours`. They stand in the order of
            their document around the chunk, and none comes twice: where they overlap with those around
            another chunk found, all of them are one run, which stands where the better of the two would.
    """

    allowed_search_types: ClassVar[Collection[str]] = (
        "similarity",
        "similarity_score_threshold",
        "mmr",
        "keyword",
        "hybrid",
    )

    k: int | None = None
    score_key: str | None = None
    window: int = Field(default=0, ge=0)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        asked = _Asked.of(self, kwargs)
        if (method := asked.own_method(self._store, "")) is not None:
            return _bare(method(query, k=asked.k, **asked.keywords))
        found = asked.search.find(query, self._store.embeddings, asked.k)
        around: list[list[Record]] = []
        if asked.window:
            around = asked.search.collection.neighbours(found, asked.window, filter=asked.search.filter)
        return asked.documents(found, around)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        asked = _Asked.of(self, kwargs)
        if (method := asked.own_method(self._store, "a")) is not None:
            return _bare(await method(query, k=asked.k, **asked.keywords))
        found = await asked.search.afind(query, self._store.embeddings, asked.k)
        around: list[list[Record]] = []
        if asked.window:
            collection = asked.search.collection.asynchronous
            around = await collection.neighbours(found, asked.window, filter=asked.search.filter)
        return asked.documents(found, around)

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, values: Any) -> Any:
        # The base ignores what it does not know, and a filter that is ignored shows what it was to hide.
        for name in values if isinstance(values, dict) else ():
            if name in _SEARCHING and name not in cls.model_fields:
                msg = f"{name} is a keyword of the search: write search_kwargs={{{name!r}: …}}"
                raise ConfigError(msg)
            refuse_unknown([name], tuple(cls.model_fields))
        return values

    @model_validator(mode="after")
    def _check_store(self) -> Self:
        if not isinstance(self.vectorstore, SimilarityMethods):
            msg = f"a PGRecallRetriever needs a PGRecallVectorStore, not a {type(self.vectorstore).__name__}"
            raise ValueError(msg)  # noqa: TRY004 - pydantic takes a ValueError for a value that is not valid
        return self

    @property
    def _store(self) -> SimilarityMethods:
        return cast("SimilarityMethods", self.vectorstore)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one call asks for: the retriever's fields and keywords, with the call's own over them."""

    search_type: str
    search: Search | VariedSearch | KeywordSearch | HybridSearch
    keywords: dict[str, Any]
    k: int
    window: int
    score_key: str | None
    relevance: RelevanceFunction | None

    @classmethod
    def of(cls, retriever: PGRecallRetriever, keywords: dict[str, Any]) -> _Asked:
        store = cast("SimilarityMethods", retriever.vectorstore)
        asked: dict[str, Any] = {"k": retriever.k, "window": retriever.window, "score_key": retriever.score_key}
        asked |= retriever.search_kwargs | keywords
        k, window, score_key = (asked.pop(name) for name in ("k", "window", "score_key"))
        if score_key is not None and not isinstance(score_key, str):
            msg = f"score_key must be a metadata key, not {score_key!r}"
            raise ConfigError(msg)
        known = _KNOWN.get(retriever.search_type, SEARCH_KEYWORDS)
        refuse_unknown(asked, (*known, "k", "window", "score_key"))
        return cls(
            search_type=retriever.search_type,
            search=_search_of(retriever.search_type, store, asked),
            keywords=asked,
            k=_K if k is None else k,
            window=check_range(window, "window", 0, MAX_WINDOW),
            score_key=score_key,
            relevance=store.relevance_score_fn,
        )

    def own_method(self, store: SimilarityMethods, prefix: str) -> Callable[..., Any] | None:
        """Return the method of *store* for this search, where it is another than ours.

        Args:
            store: The store.
            prefix: ``"a"`` for the asynchronous one, else nothing.

        Raises:
            ConfigError: It is, and more was asked for than such a method gives.
        """
        kind, name = _METHODS.get(self.search_type, _METHODS["similarity"])
        method = getattr(store, f"{prefix}{name}")
        if getattr(method, "__func__", None) is getattr(kind, f"{prefix}{name}"):
            return None
        if self.window or self.score_key is not None:
            msg = (
                f"{type(store).__name__} has a method {prefix}{name}() of its own, which gives documents alone: leave "
                "window and score_key out"
            )
            raise ConfigError(msg)
        return method

    def documents(self, found: Sequence[Match], around: Sequence[Sequence[Record]]) -> list[Document]:
        """Return what was found as documents, each where it was found within the chunks around it."""
        if around and not any(around):
            warnings.warn(_UNNUMBERED, UserWarning, stacklevel=2)
        relevance: dict[str | None, float] = {match.id: relevance_of(match, self.relevance) for match in found}
        made: list[Document] = []
        for row in _in_runs(found, around) if around else found:
            document = to_document(row)
            if self.score_key is not None and row.id in relevance:
                document.metadata[self.score_key] = relevance[row.id]
            made.append(document)
        return made


def _bare(found: Sequence[Any]) -> list[Document]:
    """Return documents that may come in pairs with their relevance."""
    return [one if isinstance(one, Document) else one[0] for one in found]


def _search_of(
    search_type: str, store: SimilarityMethods, asked: dict[str, Any]
) -> Search | VariedSearch | KeywordSearch | HybridSearch:
    match search_type:
        case "mmr":
            return VariedSearch.of(store.collection, asked)
        case "keyword":
            return KeywordSearch.of(store.collection, asked)
        case "hybrid":
            return HybridSearch.of(store.collection, asked)
        case _:
            return Search.of(store.collection, asked, store.relevance_score_fn)


def _in_runs(found: Sequence[Match], around: Sequence[Sequence[Record]]) -> Iterator[Match | Record]:
    """Yield what was found, each within the chunks around it; what overlaps is one run, in the place of its best."""
    runs: dict[int, dict[str | None, Match | Record]] = {}
    places: dict[str | None, int] = {}
    for position, (match, neighbours) in enumerate(zip(found, around, strict=True)):
        rows = neighbours or (match,)
        place, *others = sorted({places[row.id] for row in rows if row.id in places}) or [position]
        run = runs.setdefault(place, {})
        for other in others:
            run |= runs.pop(other)
        run |= {row.id: row for row in rows}
        places |= dict.fromkeys(run, place)
    for run in runs.values():
        yield from sorted(run.values(), key=lambda row: (row.chunk_index or 0, row.id or ""))
