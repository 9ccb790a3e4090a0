"""How a search by words, or by words and embedding together, is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from pgrecall.checks import check_choice, check_flag, check_instance, check_range, check_score
from pgrecall.config import MAX_K, SearchOptions
from pgrecall.errors import ConfigError
from pgrecall.fusion import Convex, Fusion
from pgrecall.reranking import Rerank
from pgrecall.text_search import TextSearch, configuration

if TYPE_CHECKING:
    from pgrecall.records import SparseEmbedding


def _check_rerank(rerank: object) -> None:
    if rerank is not None:
        check_instance(rerank, "rerank", Rerank, "a Rerank(scorer=…)")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordOptions:
    """How one search by words is done; `None` leaves it to the collection.

    Attributes:
        language: Language of the query, where it is another than the collection's.
        syntax: ``"web"``: quotes, minus and asterisk mean something, see `AsyncCollection.search_keyword`;
            ``"plain"``: they do not, as in a question that somebody has asked.
        fuzzy: Whether words that no record has are taken for those that are spelt alike; needs the
            extension pg_trgm, and knows the common words of the collection.
        k1: See `TextSearch`.
        b: See `TextSearch`.
        rerank: Has a model order what was found anew.
    """

    language: str | None = None
    syntax: Literal["web", "plain"] = "web"
    fuzzy: bool = False
    k1: float | None = None
    b: float | None = None
    rerank: Rerank | None = None

    def __post_init__(self) -> None:
        if self.language is not None:
            configuration(self.language)
        TextSearch(k1=1.2 if self.k1 is None else self.k1, b=0.75 if self.b is None else self.b)
        check_choice(self.syntax, "syntax", ("web", "plain"))
        check_flag(self.fuzzy, "fuzzy")
        _check_rerank(self.rerank)


QUESTION: Final = KeywordOptions(syntax="plain")
"""How the words of a question are searched for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridOptions:
    """How one hybrid search is done.

    Attributes:
        fusion: How the rankings become one: `Convex` (the weighted mean of scores), `ReciprocalRank`, or
            `Union`.
        dense_k: How many records the embedding finds, of which the best are kept; never fewer than k.
        keyword_k: How many records the words find, likewise.
        sparse: The query's sparse embedding, where those are to be fused too: index, from 0, to weight, or
            indices and weights. Kept as a mapping.
        sparse_k: How many records it finds, likewise.
        words: How the words are searched for; unless told otherwise as those of a question, without syntax.
        search: Overrides of the planner for the search by embedding.
        score_threshold: Records with a lower score are left out.
        rerank: Has a model order what was found anew.
    """

    fusion: Fusion = field(default_factory=Convex)
    dense_k: int = 30
    keyword_k: int = 30
    sparse: SparseEmbedding | None = field(default=None, hash=False)
    sparse_k: int = 30
    words: KeywordOptions = QUESTION
    search: SearchOptions = field(default_factory=SearchOptions)
    score_threshold: float | None = None
    rerank: Rerank | None = None

    def __post_init__(self) -> None:
        check_range(self.dense_k, "dense_k", 1, MAX_K)
        check_range(self.keyword_k, "keyword_k", 1, MAX_K)
        check_range(self.sparse_k, "sparse_k", 1, MAX_K)
        check_score(self.score_threshold)
        if self.sparse is not None:
            object.__setattr__(self, "sparse", _checked(self.sparse))
        if not callable(getattr(self.fusion, "fuse", None)):
            msg = f"fusion must be Convex(), ReciprocalRank() or Union(), not {self.fusion!r}"
            raise ConfigError(msg)
        check_instance(self.words, "words", KeywordOptions, "a KeywordOptions")
        check_instance(self.search, "search", SearchOptions, "a SearchOptions")
        _check_rerank(self.rerank)
        if self.words.rerank is not None:
            msg = "pass rerank to HybridOptions itself: what both find together is ordered anew"
            raise ConfigError(msg)


def _checked(weights: SparseEmbedding) -> SparseEmbedding:
    from pgrecall import sparse  # needs NumPy, which settings by themselves do not load

    try:
        return sparse.checked(weights)
    except ValueError as error:
        msg = f"sparse {error}"
        raise ConfigError(msg) from None
