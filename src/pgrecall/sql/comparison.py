"""Comparisons that metadata and columns have in common."""

from __future__ import annotations

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
