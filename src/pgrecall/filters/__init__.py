"""Filters as values: what rows a search, a count or a deletion may touch."""

from __future__ import annotations

from pgrecall.filters.nodes import (
    And,
    Column,
    Compare,
    Contains,
    Equals,
    Exists,
    Field,
    Filter,
    In,
    InTable,
    IsEmpty,
    Key,
    Matches,
    Not,
    Or,
    Order,
    leaves,
)
from pgrecall.filters.parse import parse, parse_field, parse_key
from pgrecall.filters.related import in_table

__all__ = [
    "And",
    "Column",
    "Compare",
    "Contains",
    "Equals",
    "Exists",
    "Field",
    "Filter",
    "In",
    "InTable",
    "IsEmpty",
    "Key",
    "Matches",
    "Not",
    "Or",
    "Order",
    "in_table",
    "leaves",
    "parse",
    "parse_field",
    "parse_key",
]
