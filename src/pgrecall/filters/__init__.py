"""Filters as values: what rows a search, a count or a deletion may touch."""

from __future__ import annotations

from pgrecall.filters.nodes import And, Column, Equals, Filter, In, Key
from pgrecall.filters.parse import parse

__all__ = ["And", "Column", "Equals", "Filter", "In", "Key", "parse"]
