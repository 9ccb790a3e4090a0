"""What LangChain passes to a search beside the query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pgrecall.collection.keywords import OPTIONS, refuse_unknown, search_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.collection import Collection
    from pgrecall.config import SearchOptions
    from pgrecall.filters import Filter

_SEARCH: Final = ("filter", "domain", "score_threshold", *OPTIONS)


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
            options=search_options(keywords),
        )
