"""Conditions on promoted fields: answered from the column wherever that gives the metadata's own answer."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, LiteralString

from pgrecall import jsonb
from pgrecall.filters import And, Column, Compare, Contains, Equals, Filter, In, InTable, Key, Matches, Or, leaves
from pgrecall.filters.limits import FEW
from pgrecall.promoted import MAX_NUMBER_DIGITS, MAX_TEXT_BYTES, FieldType, PromotedField
from pgrecall.sql.comparison import OPERATORS, has_trigram
from pgrecall.sql.compose import SQL, Composable, Identifier, Literal, Param

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.sql.dialect import Dialect
    from pgrecall.table import Table

_PARAM_TYPES: Final[Mapping[FieldType, LiteralString]] = {
    FieldType.NUMBER: "numeric",
    FieldType.TEXT: "text",
    FieldType.TIME: "text",
    FieldType.BOOLEAN: "boolean",
}
# Of a text that is too long for the column nothing is known, which matters where texts are ordered. Dates
# and times are never that long.
_ORDERED: Final = frozenset({FieldType.NUMBER, FieldType.TIME})


def field_condition(field: PromotedField, node: Filter, dialect: Dialect) -> Composable | None:
    """Return *node*, a condition on the key of *field*, as one on its column; `None` where that cannot answer it."""
    if not answers(field, node):
        return None
    column = Identifier(field.column)
    match node:
        case Equals():
            return SQL("{c} = {value}").format(c=column, value=_param(field, node.json))
        case In():
            values = [_value(field, json) for json in node.jsons]
            kind: LiteralString = _PARAM_TYPES[field.type] + "[]"
            return SQL("{c} = ANY({values})").format(c=column, values=Param(values, kind))
        case Compare():
            return SQL("{c} {operator} {value}").format(
                c=column, operator=SQL(OPERATORS[node.order]), value=_param(field, node.json)
            )
        case Contains():
            return SQL("{c} @> {element}").format(c=column, element=dialect.json(b"[" + node.json + b"]"))
        case _:
            return None


def literal_condition(table: Table, condition: Equals) -> Composable:
    """Return that a promoted field has a value, all of it in the text, as the definition of an index needs it."""
    field = _field(table, condition)
    value = None if field is None else _value(field, condition.json)
    if field is None or value is None:
        msg = f"{condition!r} is not about a value of a promoted field"
        raise ValueError(msg)
    column = Identifier(field.column)
    if field.type is FieldType.BOOLEAN:
        return column if value else SQL("NOT {c}").format(c=column)
    kind = SQL(_PARAM_TYPES[field.type])
    return SQL("{c} = {value}::{type}").format(c=column, value=Literal(str(value)), type=kind)


def answers(field: PromotedField, node: Filter) -> bool:
    """Whether the column of *field* can answer *node*, a condition on its key."""
    match node:
        case Equals():
            return field.is_scalar and _value(field, node.json) is not None
        case In():
            return field.is_scalar and bool(node.jsons) and all(_value(field, json) is not None for json in node.jsons)
        case Compare():
            return field.type in _ORDERED and _value(field, node.json) is not None
        case Contains():
            return field.type is FieldType.LIST
        case _:
            return False


def number_of(field: PromotedField, json: bytes) -> Decimal | None:
    """Return a JSON value as the number with which the column of *field* is compared; `None` where it is not so."""
    value = _value(field, json) if field.type is FieldType.NUMBER else None
    return value if isinstance(value, Decimal) else None


def is_covered(table: Table, filter: Filter) -> bool:
    """Whether scalar columns of promoted fields answer all of *filter*."""
    return all(
        field is not None and field.is_scalar and answers(field, leaf)
        for leaf in leaves(filter)
        for field in [_field(table, leaf)]
    )


def is_entered(table: Table, filter: Filter) -> bool:
    """Whether an index on a promoted scalar field finds the rows, without looking at others."""
    if isinstance(filter, And):
        return any(is_entered(table, clause) for clause in filter.clauses)
    field = _field(table, filter)
    return field is not None and field.is_scalar and answers(field, filter)


def is_indexed(table: Table, filter: Filter) -> bool:
    """Whether some index of the table finds the rows that *filter* lets pass, without looking at all of them."""
    if isinstance(filter, And):
        return any(is_indexed(table, clause) for clause in filter.clauses)
    if isinstance(filter, Or):
        return all(is_indexed(table, clause) for clause in filter.clauses)
    field = _field(table, filter)
    if field is not None and answers(field, filter):
        return True
    match filter:
        case Equals(field=Key(), json=json):
            return table.is_plain and json != b"null"
        case In(field=Key(), jsons=jsons):
            return table.is_plain and len(jsons) <= FEW and b"null" not in jsons
        case Equals(field=column) | In(field=column) | InTable(field=column):
            return str(column) == "$document_id" or (str(column) == "$id" and table.newest_by is None)
        case Matches(field=Column(name="content")):
            return table.content_indexed and has_trigram(filter)
        case Contains(field=Column(name="content") as column, json=json) if json[:1] == b'"':
            part = Matches(column, "substring", jsonb.loads(json))
            return table.content_indexed and has_trigram(part)
        case _:
            return False


def _field(table: Table, leaf: Filter) -> PromotedField | None:
    key = getattr(leaf, "field", None)
    return None if key is None else table.field(key)


def _param(field: PromotedField, json: bytes) -> Param:
    return Param(_value(field, json), _PARAM_TYPES[field.type])


def _value(field: PromotedField, json: bytes) -> Any:
    """Return a JSON value as the column's, or `None` where the column does not hold such values."""
    match field.type:
        case FieldType.NUMBER if json[:1] in b"-0123456789":
            number = Decimal(json.decode())
            written_out = abs(number.adjusted()) <= MAX_NUMBER_DIGITS and len(f"{number:f}") <= MAX_NUMBER_DIGITS
            return number if written_out else None
        case FieldType.TEXT | FieldType.TIME if json[:1] == b'"':
            text = jsonb.loads(json)
            return text if len(text.encode()) <= MAX_TEXT_BYTES else None
        case FieldType.BOOLEAN if json in (b"true", b"false"):
            return json == b"true"
        case _:
            return None
