"""Keywords that a framework passes through: understood, or refused with the nearest name."""

from __future__ import annotations

from dataclasses import fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from pgrecall.config import SearchOptions
from pgrecall.errors import ConfigError
from pgrecall.fusion import Convex, Fusion, ReciprocalRank, Union
from pgrecall.hybrid import QUESTION, HybridOptions, KeywordOptions
from pgrecall.reranking import Rerank

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pgrecall.collection.blocking.collection import Collection

OPTIONS: Final = tuple(option.name for option in fields(SearchOptions))
"""The overrides of the planner, each of which is a keyword of an adapter's search."""
KEYWORD_OPTIONS: Final = tuple(option.name for option in fields(KeywordOptions))
"""How words are searched for, likewise."""
HYBRID_OPTIONS: Final = ("fusion", "alpha", "weights", "dense_k", "keyword_k", "score_threshold")
"""How words and embedding are searched for together, beside the two above."""

_FUSIONS: Final = ("convex", "rrf", "union")


def refuse_unknown(keywords: Iterable[str], known: tuple[str, ...] = ()) -> None:
    """Raise `ConfigError` for a keyword that would have no effect."""
    for keyword in keywords:
        if keyword not in known:
            nearest = get_close_matches(keyword, known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are: {', '.join(known) or 'none'}"
            msg = f"unknown keyword {keyword!r}; {hint}"
            raise ConfigError(msg)


def in_domain(collection: Collection, keywords: Mapping[str, Any], known: tuple[str, ...] = ("domain",)) -> Collection:
    """Return *collection* in the domain that a call's keywords name, which is its own unless they name one.

    Raises:
        ConfigError: A keyword is not among those *known*, or the domain is not a non-empty string.
    """
    refuse_unknown(keywords, known)
    return collection.domain(keywords["domain"]) if "domain" in keywords else collection


def search_options(keywords: Mapping[str, Any]) -> SearchOptions:
    """Return the overrides of the planner among *keywords*."""
    return SearchOptions(**{name: keywords[name] for name in OPTIONS if name in keywords})


def keyword_options(keywords: Mapping[str, Any], default: KeywordOptions | None = None) -> KeywordOptions:
    """Return how words are searched for, by *keywords*, and by *default* where they say nothing.

    ``rerank`` may be the callable alone.

    Raises:
        ConfigError: A value is out of range.
    """
    default = default or KeywordOptions()
    said: dict[str, Any] = {name: keywords[name] for name in KEYWORD_OPTIONS if name in keywords}
    if "rerank" in said:
        said["rerank"] = _rerank(said["rerank"])
    return replace(default, **said)


def hybrid_options(keywords: Mapping[str, Any]) -> HybridOptions:
    """Return how words and embedding are searched for together, by *keywords*.

    ``fusion`` is ``"convex"``, ``"rrf"``, ``"union"``, or a `Fusion`; ``alpha`` is of the first, ``weights`` of
    the second. Words are those of a question unless ``syntax`` says otherwise.

    Raises:
        ConfigError: A value is out of range, or would have no effect.
    """
    said: dict[str, Any] = {
        name: keywords[name] for name in ("dense_k", "keyword_k", "score_threshold") if keywords.get(name) is not None
    }
    words = keyword_options({name: value for name, value in keywords.items() if name != "rerank"}, QUESTION)
    return HybridOptions(
        fusion=_fusion(keywords),
        words=words,
        search=search_options(keywords),
        rerank=_rerank(keywords.get("rerank")),
        **said,
    )


def _fusion(keywords: Mapping[str, Any]) -> Fusion:
    asked, alpha, weights = (keywords.get(name) for name in ("fusion", "alpha", "weights"))
    kind = asked if asked is not None else "rrf" if weights is not None and alpha is None else "convex"
    if isinstance(kind, str) and kind not in _FUSIONS:
        msg = f"fusion must be one of {_FUSIONS}, or a Fusion, not {kind!r}"
        raise ConfigError(msg)
    if (alpha is not None and kind != "convex") or (weights is not None and kind != "rrf"):
        word, of = ("alpha", "convex") if alpha is not None and kind != "convex" else ("weights", "rrf")
        msg = f"{word} has no effect with fusion={kind!r}; it is of fusion={of!r}"
        raise ConfigError(msg)
    if kind == "convex":
        return Convex() if alpha is None else Convex(alpha=alpha)
    if kind == "union":
        return Union()
    if kind == "rrf":
        return ReciprocalRank() if weights is None else ReciprocalRank(weights=weights)
    return kind


def _rerank(value: Any) -> Rerank | None:
    return value if value is None or isinstance(value, Rerank) else Rerank(scorer=value)
