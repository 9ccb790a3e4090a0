"""``{"category": "ai", "year": {"$eq": 2024}}`` to nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pgrecall.errors import FilterError
from pgrecall.filters.nodes import And, Equals, Filter, In, Key
from pgrecall.jsonb import JSONValueError, dumps

_MAX_CLAUSES: Final = 1_000


def parse(filter: Filter | Mapping[str, Any] | None) -> Filter | None:
    """Return *filter* as nodes; `None`, and a mapping without keys, mean no filter.

    Args:
        filter: Nodes, or a mapping of metadata keys to the values that they must have: all of them
            (AND). A value may also be written ``{"$eq": value}``.

    Raises:
        FilterError: It is neither, or a part of it is not understood; the message names the part.
    """
    if filter is None or isinstance(filter, Equals | In | And):
        return None if _is_empty(filter) else filter
    if not isinstance(filter, Mapping):
        msg = f"a filter must be a mapping of metadata keys to values, not {type(filter).__name__}"
        raise FilterError(msg)
    if len(filter) > _MAX_CLAUSES:
        msg = f"the filter has {len(filter)} keys; at most {_MAX_CLAUSES} are allowed"
        raise FilterError(msg)
    clauses = tuple(_clause(key, value) for key, value in filter.items())
    if not clauses:
        return None
    return clauses[0] if len(clauses) == 1 else And(clauses)


def _clause(key: object, value: Any) -> Equals:
    if not isinstance(key, str) or not key:
        msg = f"filter key {key!r} must be a non-empty string"
        raise FilterError(msg)
    if key.startswith("$"):
        msg = f"filter operator {key!r} is not known here; a filter maps metadata keys to values"
        raise FilterError(msg)
    if isinstance(value, Mapping) and any(str(k).startswith("$") for k in value):
        if list(value) != ["$eq"]:
            unknown = ", ".join(str(k) for k in value if k != "$eq")
            msg = f"filter operator {unknown!r} at {key!r} is not known; use a bare value or $eq"
            raise FilterError(msg)
        value = value["$eq"]
    try:
        return Equals(Key((_checked(key),)), dumps(value))
    except JSONValueError as error:
        msg = f"the value of filter key {key!r} cannot be compared: {error}"
        raise FilterError(msg) from None


def _is_empty(filter: Filter | None) -> bool:
    """Whether every row passes: a conjunction of nothing, however deep."""
    return filter is None or (isinstance(filter, And) and all(_is_empty(clause) for clause in filter.clauses))


def _checked(key: str) -> str:
    try:
        dumps(key)
    except JSONValueError:
        msg = f"filter key {key!r} holds NUL or a lone surrogate, which PostgreSQL cannot store"
        raise FilterError(msg) from None
    return key
