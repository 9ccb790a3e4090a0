"""How large a filter may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.errors import FilterError
from pgrecall.filters.nodes import And, Compare, Contains, Equals, In, InTable, Matches, Node, Not, Or, leaves

if TYPE_CHECKING:
    from pgrecall.filters.nodes import Filter

MAX_DEPTH: Final = 20
FEW: Final = 20
"""A list of more values than that is one parameter of a statement."""

MAX_OPERANDS: Final = 30_000
"""Parameters of a statement, of which the protocol allows 32,767."""

MAX_VALUES_IN_ALL: Final = 100_000
MAX_KEPT_BYTES: Final = 8_192
"""Caches hold no filter that is larger."""

# What a value takes beside its bytes.
_OBJECT: Final = 64
# What a mapping of the greatest depth is made of: a negation, an alternative and a conjunction at each level.
_MAX_NODE_DEPTH: Final = 4 * MAX_DEPTH


def check_size(filter: Filter) -> None:
    """Raise `FilterError` where *filter* is too deep, or compares with more values than a statement takes."""
    operands = values = 0
    left: list[tuple[Filter, int]] = [(filter, 1)]
    while left:
        node, depth = left.pop()
        match node:
            case And(clauses) | Or(clauses):
                left += [(clause, depth + 1) for clause in clauses]
            case Not(clause):
                left.append((clause, depth + 1))
            case In(jsons=jsons):
                operands += len(jsons) if len(jsons) <= FEW else 1
                values += len(jsons)
            case InTable(where=where):
                operands += 1 + len(where)
            case Node():
                operands += 1
            case _:  # pyright: ignore[reportUnnecessaryComparison] - callers need not be typed
                msg = f"the filter has a {type(node).__name__} among its nodes"
                raise FilterError(msg)
        if depth > _MAX_NODE_DEPTH:
            msg = f"the filter is nested deeper than {_MAX_NODE_DEPTH} nodes"
            raise FilterError(msg)
        if operands > MAX_OPERANDS or values > MAX_VALUES_IN_ALL:
            most = MAX_OPERANDS if operands > MAX_OPERANDS else MAX_VALUES_IN_ALL
            msg = f"the filter has more than {most} values in all; ask with fewer at a time"
            raise FilterError(msg)


def may_be_kept(filter: Filter | None) -> bool:
    """Whether a cache may hold *filter*, and what is made of it: a list of thousands of values fills memory."""
    size = 0
    for leaf in () if filter is None else leaves(filter):
        size += _OBJECT
        match leaf:
            case In(jsons=jsons):
                # First by their number, since most large filters are one long list.
                size += _OBJECT * len(jsons)
                size += sum(map(len, jsons)) if size <= MAX_KEPT_BYTES else 0
            case InTable(where=where):
                size += sum(_OBJECT * len(value) if isinstance(value, tuple) else _OBJECT for _, _, value in where)
            case Equals(json=json) | Compare(json=json) | Contains(json=json):
                size += len(json)
            case Matches(pattern=pattern):
                size += len(pattern)
            case _:
                pass
        if size > MAX_KEPT_BYTES:
            return False
    return True
