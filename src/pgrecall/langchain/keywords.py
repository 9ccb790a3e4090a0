"""The keywords that LangChain passes through: understood, or refused with the nearest name."""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from pgrecall.config import SearchOptions
from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pgrecall.collection import Collection
    from pgrecall.filters import Filter

_OPTIONS: Final = tuple(option.name for option in fields(SearchOptions))
_SEARCH: Final = ("filter", "domain", "score_threshold", *_OPTIONS)


@dataclass(frozen=True, slots=True)
class Search:
    """One call's keywords.

    Attributes:
        collection: The collection, in the domain that the call names.
        filter: Which metadata the documents must have.
        score_threshold: The smallest relevance.
        options: Overrides of the planner.
    """

    collection: Collection
    filter: Filter | Mapping[str, Any] | None
    score_threshold: float | None
    options: SearchOptions

    @classmethod
    def of(cls, collection: Collection, keywords: dict[str, Any]) -> Search:
        """Return *keywords* of a search on *collection*.

        Raises:
            ConfigError: One of them is not known, or its value is wrong.
        """
        refuse_unknown(keywords, _SEARCH)
        return cls(
            collection=collection.domain(keywords["domain"]) if "domain" in keywords else collection,
            filter=keywords.get("filter"),
            score_threshold=keywords.get("score_threshold"),
            options=SearchOptions(**{name: keywords[name] for name in _OPTIONS if name in keywords}),
        )


def refuse_unknown(keywords: Iterable[str], known: tuple[str, ...]) -> None:
    """Raise `ConfigError` for a keyword that would have no effect."""
    for keyword in keywords:
        if keyword not in known:
            nearest = get_close_matches(keyword, known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(known)}"
            msg = f"unknown keyword {keyword!r}; {hint}"
            raise ConfigError(msg)
