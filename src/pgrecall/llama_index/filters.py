"""LlamaIndex's `MetadataFilters`, node ids and document ids to the engine's filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilters

from pgrecall import jsonb
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
)

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
    clauses: list[Filter] = []
    if node_ids:
        clauses.append(In(Column("id"), _texts(node_ids)))
    if document_ids is not None:
        clauses.append(In(Column("document_id"), _texts(document_ids)))
    if filters is not None and filters.filters:
        clauses.append(_group(filters))
    if not clauses:
        return None
    return clauses[0] if len(clauses) == 1 else And(tuple(clauses))


def _group(filters: MetadataFilters) -> Filter:
    clauses = tuple(
        _group(entry) if isinstance(entry, MetadataFilters) else _single(entry) for entry in filters.filters
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
    return In(field, tuple(_json(entry, value) for value in _list(entry) if value is not None))


def _compare(order: Order) -> Callable[[Field, MetadataFilter], Filter]:
    def make(field: Field, entry: MetadataFilter) -> Filter:
        ordered = isinstance(entry.value, int | float | str)
        return Compare(field, order, _json(entry, entry.value)) if ordered else _NOTHING

    return make


def _contains(field: Field, entry: MetadataFilter) -> Filter:
    if entry.value is None or isinstance(entry.value, list):
        return _NOTHING
    return Contains(field, _json(entry, entry.value))


def _any(field: Field, entry: MetadataFilter) -> Filter:
    return Or(tuple(Contains(field, _json(entry, value)) for value in _list(entry)))


def _all(field: Field, entry: MetadataFilter) -> Filter:
    there = And((Exists(field), Not(Equals(field, b"null"))))
    return And((there, *(Contains(field, _json(entry, value)) for value in _list(entry))))


def _substring(*, fold: bool) -> Callable[[Field, MetadataFilter], Filter]:
    def make(field: Field, entry: MetadataFilter) -> Filter:
        if not isinstance(entry.value, str):
            msg = f"filter {entry.key!r}: a text is looked for with a text, not with {entry.value!r}"
            raise FilterError(msg)
        _json(entry, entry.value)
        return Matches(field, "substring", entry.value, fold)

    return make


def _list(entry: MetadataFilter) -> list[Any]:
    if not isinstance(entry.value, list):
        msg = f"filter {entry.key!r}: operator {entry.operator.value!r} takes a list, not {entry.value!r}"
        raise FilterError(msg)
    return entry.value


def _json(entry: MetadataFilter, value: Any) -> bytes:
    try:
        return jsonb.dumps(value)
    except jsonb.JSONValueError as error:
        msg = f"the value of filter key {entry.key!r} cannot be compared: {error}"
        raise FilterError(msg) from None


def _texts(ids: Sequence[str]) -> tuple[bytes, ...]:
    try:
        return tuple(jsonb.dumps(str(row_id)) for row_id in ids)
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
    FilterOperator.NIN: lambda field, entry: Not(_in(field, entry)),
    FilterOperator.CONTAINS: _contains,
    FilterOperator.ANY: _any,
    FilterOperator.ALL: _all,
    FilterOperator.TEXT_MATCH: _substring(fold=False),
    FilterOperator.TEXT_MATCH_INSENSITIVE: _substring(fold=True),
    FilterOperator.IS_EMPTY: lambda field, _: IsEmpty(field),
}
