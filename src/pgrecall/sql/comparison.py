"""Comparisons that metadata and columns have in common."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, LiteralString

from pgrecall.filters.nodes import Matches, Order
from pgrecall.sql.compose import SQL, Composable, Param

if TYPE_CHECKING:
    from collections.abc import Mapping

OPERATORS: Final[Mapping[Order, LiteralString]] = {
    Order.LESS: "<",
    Order.LESS_OR_EQUAL: "<=",
    Order.GREATER: ">",
    Order.GREATER_OR_EQUAL: ">=",
}


_SPECIAL: Final = re.compile(r"([%_\\])")
_WILDCARD: Final = re.compile(r"(?:[^%_\\]|\\.)+")
_TRIGRAM: Final = 3


def as_like(node: Matches) -> Matches:
    """Return *node*, where it looks for a part of a text, as a pattern, which an index on trigrams serves."""
    if node.kind != "substring" or len(node.pattern) < _TRIGRAM:
        return node
    pattern = _SPECIAL.sub(r"\\\1", node.pattern)
    return Matches(node.field, "like", f"%{pattern}%", node.fold)


def has_trigram(node: Matches) -> bool:
    """Whether what fits *node* must hold three characters in a row that are known."""
    if node.kind == "substring":
        return len(node.pattern) >= _TRIGRAM
    runs = _WILDCARD.findall(node.pattern) if node.kind == "like" else []
    return any(sum(character.isalnum() for character in run) >= _TRIGRAM for run in runs)


def matches(node: Matches, text: Composable) -> Composable:
    """Return that *text* fits the pattern of *node*."""
    pattern = Param(node.pattern, "text")
    if node.kind == "substring":
        form: LiteralString = (
            "strpos(lower({text}), lower({pattern})) > 0" if node.fold else "strpos({text}, {pattern}) > 0"
        )
    elif node.kind == "regex":
        form = "{text} ~* {pattern}" if node.fold else "{text} ~ {pattern}"
    else:
        form = "{text} ILIKE {pattern}" if node.fold else "{text} LIKE {pattern}"
    return SQL(form).format(text=text, pattern=pattern)
