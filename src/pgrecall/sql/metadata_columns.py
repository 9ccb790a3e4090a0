"""Conditions on metadata that has a column of its own, by the column itself where its answer is the metadata's.

What is not answered here is asked of the JSON that the column's value makes. Dates and times are compared as
such, in whatever way they are written, if the filter names a date or time; in JSON they would be texts.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, LiteralString
from uuid import UUID

from pgrecall import jsonb
from pgrecall.filters.nodes import Compare, Contains, Equals, Exists, Filter, In, Key, Matches
from pgrecall.sql.comparison import OPERATORS, matches
from pgrecall.sql.compose import SQL, Composable, Identifier, Param

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.table import Table
    from pgrecall.table_columns import MetadataColumn

_INTEGERS: Final = frozenset({"smallint", "integer", "bigint"})
_TEXTS: Final = frozenset({"text", "character varying"})
_FRACTIONS: Final = frozenset({"numeric", "double precision"})
_TIMES: Final[Mapping[str, LiteralString]] = {
    "date": "text::timestamp",
    "timestamp without time zone": "text::timestamp",
    "timestamp with time zone": "text::timestamptz",
}
# What a column of each type is compared with; an index on the column serves all of these.
_PARAM_TYPES: Final[Mapping[str, LiteralString]] = {
    **dict.fromkeys(_INTEGERS, "bigint"),
    **dict.fromkeys(_TEXTS, "text"),
    "numeric": "numeric",
    "double precision": "float8",
    "boolean": "boolean",
    "uuid": "text::uuid",
    **_TIMES,
}
_ORDERED: Final = _INTEGERS | _TEXTS | _FRACTIONS | _TIMES.keys()
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_INT64: Final = 2**63
_MAX_EXPONENT: Final = 1_000


def metadata_column_condition(table: Table, key: Key, node: Filter) -> Composable | None:
    """Return *node*, a condition on *key*, as one on the key's own column; `None` where that cannot answer it."""
    if not table.metadata_columns:
        return None
    column = table.metadata_column(key.path[0]) if len(key.path) == 1 else None
    return None if column is None else _condition(column, node)


def _condition(column: MetadataColumn, node: Filter) -> Composable | None:
    name = Identifier(column.name)
    match node:
        case Exists():
            return SQL("{c} IS NOT NULL").format(c=name)
        case Equals():
            return _one_of(column, (node.json,))
        case In() if node.jsons:
            return _one_of(column, node.jsons)
        case Compare() if column.type in _ORDERED:
            return _compared(column, node)
        case Contains() | Matches() if column.type in _TEXTS:
            if isinstance(node, Contains):
                part = jsonb.loads(node.json)
                if not isinstance(part, str):
                    return None
                node = Matches(node.field, "substring", part)
            return matches(node, name)
        case _:
            return None


def _one_of(column: MetadataColumn, jsons: tuple[bytes, ...]) -> Composable | None:
    values = [_value(column.type, json) for json in jsons]
    if any(value is None for value in values):
        return None
    name, kind = Identifier(column.name), _PARAM_TYPES[column.type]
    if len(values) == 1:
        return SQL("{c} = {value}").format(c=name, value=Param(values[0], kind))
    array = SQL(kind.replace("::", "[]::") + "[]")
    return SQL("{c} = ANY({values})").format(c=name, values=Param(values, array))


def _compared(column: MetadataColumn, node: Compare) -> Composable | None:
    value = _value(column.type, node.json)
    if value is None:
        return None
    form: LiteralString = "{c} {operator} {value}"
    if column.type in _TEXTS:
        form = '{c} COLLATE "C" {operator} {value}'
    elif column.type in _FRACTIONS:
        # What is infinite or no number is a text in JSON, and no match.
        form = "({c} {operator} {value} AND {c} < 'Infinity' AND {c} > '-Infinity')"
    return SQL(form).format(
        c=Identifier(column.name),
        operator=SQL(OPERATORS[node.order]),
        value=Param(value, _PARAM_TYPES[column.type]),
    )


def _value(kind: str, json: bytes) -> Any:
    """Return a JSON value as one of the column's type, or `None` where that is not the same value."""
    is_text = json[:1] == b'"'
    if json[:1] in b"-0123456789":
        return _number(kind, Decimal(json.decode()))
    if kind == "boolean" and json in (b"true", b"false"):
        return json == b"true"
    if not is_text:
        return None
    text: str = jsonb.loads(json)
    if kind in _TEXTS:
        return text
    return _uuid(text) if kind == "uuid" else _time(kind, text)


def _number(kind: str, number: Decimal) -> Any:
    if abs(number.adjusted()) > _MAX_EXPONENT:
        return None
    if kind in _INTEGERS:
        return int(number) if number == number.to_integral_value() and -_INT64 <= number < _INT64 else None
    if kind == "double precision":
        return float(number) if Decimal(repr(float(number))) == number else None
    return number if kind == "numeric" else None


def _uuid(text: str) -> str | None:
    try:
        return text if str(UUID(text)) == text else None
    except ValueError:
        return None


def _time(kind: str, text: str) -> str | None:
    if kind not in _TIMES or not _DATE.match(text):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    # A column without time zones cannot be held against a time with one.
    return None if time.tzinfo is not None and kind != "timestamp with time zone" else time.isoformat()
