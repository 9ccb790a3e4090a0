"""LlamaIndex's `MetadataFilters`, node ids and document ids to the engine's filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilters

from pgrecall import jsonb
from pgrecall.errors import FilterError
from pgrecall.filters import And, Column, Equals, Filter, In, Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.vector_stores.types import MetadataFilter

# How LlamaIndex's own documentation names the source document in filters.
_DOCUMENT_KEYS: Final = frozenset({"doc_id", "document_id", "ref_doc_id"})


def to_filter(
    filters: MetadataFilters | None,
    *,
    node_ids: Sequence[str] | None = None,
    document_ids: Sequence[str] | None = None,
) -> Filter | None:
    """Return everything that restricts a query as one filter; `None` where nothing does.

    Args:
        filters: The metadata filters; without any filter in them all nodes pass.
        node_ids: The nodes to consider; none and `None` mean all, as LlamaIndex's retriever passes them.
        document_ids: The source documents to consider; none means no node, `None` means all.

    Raises:
        FilterError: An operator or a condition is not supported.
    """
    clauses: list[Filter] = []
    if node_ids:
        clauses.append(In(Column("id"), _texts(node_ids)))
    if document_ids is not None:
        clauses.append(In(Column("document_id"), _texts(document_ids)))
    if filters is not None:
        clauses += _clauses(filters)
    if not clauses:
        return None
    return clauses[0] if len(clauses) == 1 else And(tuple(clauses))


def _clauses(filters: MetadataFilters) -> list[Filter]:
    if filters.condition not in (FilterCondition.AND, None):
        msg = f"filter condition {filters.condition!r} is not supported; use AND"
        raise FilterError(msg)
    clauses: list[Filter] = []
    for entry in filters.filters:
        clauses += _clauses(entry) if isinstance(entry, MetadataFilters) else [_equals(entry)]
    return clauses


def _equals(entry: MetadataFilter) -> Filter:
    if entry.operator is not FilterOperator.EQ:
        msg = f"filter operator {entry.operator.value!r} at {entry.key!r} is not supported; use =="
        raise FilterError(msg)
    if not entry.key or "\x00" in entry.key:
        msg = f"filter key {entry.key!r} must be a non-empty string without NUL"
        raise FilterError(msg)
    if entry.value is None:
        return In(Key((entry.key,)), ())  # nothing equals None, as in LlamaIndex's own store
    try:
        value = jsonb.dumps(entry.value)
    except jsonb.JSONValueError as error:
        msg = f"the value of filter key {entry.key!r} cannot be compared: {error}"
        raise FilterError(msg) from None
    field = Column("document_id") if entry.key in _DOCUMENT_KEYS else Key((entry.key,))
    return Equals(field, value)


def _texts(ids: Sequence[str]) -> tuple[bytes, ...]:
    try:
        return tuple(jsonb.dumps(str(row_id)) for row_id in ids)
    except jsonb.JSONValueError as error:
        msg = f"an id cannot be compared: {error}"
        raise FilterError(msg) from None
