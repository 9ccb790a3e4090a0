"""Keywords that a framework passes through: understood, or refused with the nearest name."""

from __future__ import annotations

from dataclasses import fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from pgrecall.config import SearchOptions
from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OPTIONS: Final = tuple(option.name for option in fields(SearchOptions))
"""The overrides of the planner, each of which is a keyword of an adapter's search."""


def refuse_unknown(keywords: Iterable[str], known: tuple[str, ...] = ()) -> None:
    """Raise `ConfigError` for a keyword that would have no effect."""
    for keyword in keywords:
        if keyword not in known:
            nearest = get_close_matches(keyword, known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are: {', '.join(known) or 'none'}"
            msg = f"unknown keyword {keyword!r}; {hint}"
            raise ConfigError(msg)


def search_options(keywords: Mapping[str, Any]) -> SearchOptions:
    """Return the overrides of the planner among *keywords*."""
    return SearchOptions(**{name: keywords[name] for name in OPTIONS if name in keywords})
