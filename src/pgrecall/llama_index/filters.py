"""LlamaIndex's `MetadataFilters`, node ids and document ids to the engine's filter.

What passes is what passes in LlamaIndex's own `SimpleVectorStore`, and where that raises a `TypeError`, because
a node's value and the filter's cannot be compared, the node does not pass. Three things differ: types are
JSON's, so that ``1`` is not true; groups may be nested; and a text where an operator takes a list, whose
letters Python would look for one by one, is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilters

from pgrecall import jsonb
from pgrecall.checks import check_list
from pgrecall.errors import FilterError
from pgrecall.filters import (
    And,
    Column,
    Compare,
    Contains,
    Equals,
    Exists,
    Field,
    Filter,
    In,
    IsEmpty,
    Key,
    Matches,
    Not,
    Or,
    Order,
    leaves,
)
from pgrecall.filters.parse import MAX_CLAUSES, MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llama_index.core.vector_stores.types import MetadataFilter

# How LlamaIndex's own documentation names the source document in filters.
_DOCUMENT_KEYS: Final = frozenset({"doc_id", "document_id", "ref_doc_id"})
_NOTHING: Final = Or(())


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
        FilterError: A value does not fit its operator, or the operator is not supported.
    """
    if filters is not None and not isinstance(filters, MetadataFilters):
        msg = f"filters must be MetadataFilters, not {type(filters).__name__}"
        raise FilterError(msg)
    clauses: list[Filter] = []
    if node_ids is not None and (node_ids := check_list(node_ids, "node_ids", "ids")):
        clauses.append(In(Column("id"), _texts(node_ids)))
    if document_ids is not None:
        clauses.append(In(Column("document_id"), _texts(document_ids)))
    if filters is not None and filters.filters:
        clauses.append(_group(filters, 0))
        if sum(1 for _ in leaves(clauses[-1])) > MAX_CLAUSES:
            msg = f"there are more than {MAX_CLAUSES} conditions in one filter"
            raise FilterError(msg)
    if not clauses:
        return None
    return clauses[0] if len(clauses) == 1 else And(tuple(clauses))


def _group(filters: MetadataFilters, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        msg = f"the filter is nested deeper than {MAX_DEPTH} levels"
        raise FilterError(msg)
    clauses = tuple(
        _group(entry, depth + 1) if isinstance(entry, MetadataFilters) else _single(entry) for entry in filters.filters
    )
    if filters.condition is FilterCondition.OR and clauses:
        return Or(clauses)
    if filters.condition is FilterCondition.NOT:
        return And(tuple(Not(clause) for clause in clauses))
    return And(clauses)


def _single(entry: MetadataFilter) -> Filter:
    """Return one filter; what is absent, null or of another type passes no comparison."""
    if not entry.key or "\x00" in entry.key:
        msg = f"filter key {entry.key!r} must be a non-empty string without NUL"
        raise FilterError(msg)
    make = _OPERATORS.get(entry.operator)
    if make is None:
        msg = f"filter operator {entry.operator.value!r} at {entry.key!r} is not supported"
        raise FilterError(msg)
    return make(Column("document_id") if entry.key in _DOCUMENT_KEYS else Key((entry.key,)), entry)


def _equals(field: Field, entry: MetadataFilter) -> Filter:
    return _NOTHING if entry.value is None else Equals(field, _json(entry, entry.value))


def _in(field: Field, entry: MetadataFilter) -> Filter:
    return In(field, _jsons(entry) or ())


def _not_in(field: Field, entry: MetadataFilter) -> Filter:
    values = _jsons(entry)
    # Nothing can be looked up in what is no list; only where there is nothing to look up does that not matter.
    return Equals(field, b"null") if values is None else Not(In(field, values))


def _compare(order: Order) -> Callable[[Field, MetadataFilter], Filter]:
    def make(field: Field, entry: MetadataFilter) -> Filter:
        ordered = isinstance(entry.value, int | float | str)
        return Compare(field, order, _json(entry, entry.value)) if ordered else _NOTHING

    return make


def _contains(field: Field, entry: MetadataFilter) -> Filter:
    return _NOTHING if isinstance(entry.value, list) else Contains(field, _json(entry, entry.value))


def _any(field: Field, entry: MetadataFilter) -> Filter:
    return Or(tuple(Contains(field, json) for json in _jsons(entry) or ()))


def _all(field: Field, entry: MetadataFilter) -> Filter:
    values = _jsons(entry)
    if values is None:
        return _NOTHING
    there = And((Exists(field), Not(Equals(field, b"null"))))
    return And((there, *(Contains(field, json) for json in values)))


def _substring(*, fold: bool) -> Callable[[Field, MetadataFilter], Filter]:
    def make(field: Field, entry: MetadataFilter) -> Filter:
        if not isinstance(entry.value, str):
            return _NOTHING
        _json(entry, entry.value)
        return Matches(field, "substring", entry.value, fold)

    return make


def _jsons(entry: MetadataFilter) -> tuple[bytes, ...] | None:
    """Return the values of the filter's list; `None` where its value is none."""
    if isinstance(entry.value, str):
        msg = f"filter {entry.key!r}: operator {entry.operator.value!r} takes a list, not the text {entry.value!r}"
        raise FilterError(msg)
    return tuple(_json(entry, value) for value in entry.value) if isinstance(entry.value, list) else None


def _json(entry: MetadataFilter, value: Any) -> bytes:
    try:
        return jsonb.dumps(value)
    except jsonb.JSONValueError as error:
        msg = f"the value of filter key {entry.key!r} cannot be compared: {error}"
        raise FilterError(msg) from None


def _texts(ids: Sequence[str]) -> tuple[bytes, ...]:
    listed = check_list(ids, "ids", "ids")
    for position, row_id in enumerate(listed):
        if not isinstance(row_id, str | int | UUID):
            msg = f"entry {position} of the ids must be text, not {type(row_id).__name__}"
            raise FilterError(msg)
    try:
        return tuple(jsonb.dumps(str(row_id)) for row_id in listed)
    except jsonb.JSONValueError as error:
        msg = f"an id cannot be compared: {error}"
        raise FilterError(msg) from None


_OPERATORS: Final[Mapping[FilterOperator, Callable[[Field, MetadataFilter], Filter]]] = {
    FilterOperator.EQ: _equals,
    FilterOperator.NE: lambda field, entry: Not(_equals(field, entry)),
    FilterOperator.LT: _compare(Order.LESS),
    FilterOperator.LTE: _compare(Order.LESS_OR_EQUAL),
    FilterOperator.GT: _compare(Order.GREATER),
    FilterOperator.GTE: _compare(Order.GREATER_OR_EQUAL),
    FilterOperator.IN: _in,
    FilterOperator.NIN: _not_in,
    FilterOperator.CONTAINS: _contains,
    FilterOperator.ANY: _any,
    FilterOperator.ALL: _all,
    FilterOperator.TEXT_MATCH: _substring(fold=False),
    FilterOperator.TEXT_MATCH_INSENSITIVE: _substring(fold=True),
    FilterOperator.IS_EMPTY: lambda field, _: IsEmpty(field),
}
