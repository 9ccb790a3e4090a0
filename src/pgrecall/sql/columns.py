"""Conditions on the columns beside the metadata."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, LiteralString, assert_never

from pgrecall import jsonb
from pgrecall.errors import SchemaError
from pgrecall.filters.nodes import Column, Compare, Contains, Equals, Exists, In, IsEmpty, Matches, Order
from pgrecall.sql.comparison import OPERATORS, as_like, matches
from pgrecall.sql.compose import SQL, Composable, Identifier, Param
from pgrecall.sql.document_ids import document_id, is_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pgrecall.table import Table

_FALSE: Final = SQL("false")


def column_condition(
    table: Table, column: Column, node: Equals | In | Compare | Exists | IsEmpty | Contains | Matches
) -> Composable:
    """Return the condition *node* on *column*; one that gives no sense there is false.

    Raises:
        SchemaError: The table has no such column.
    """
    kind = _Kind(column, table)
    match node:
        case Equals():
            return kind.one_of([node.json])
        case In():
            return kind.one_of(node.jsons)
        case Compare():
            return kind.compare(node.order, node.json)
        case Exists():
            return SQL("{c} IS NOT NULL").format(c=kind.column)
        case IsEmpty():
            empty = SQL("COALESCE({c}::text, '') = ''")
            return empty.format(c=kind.column)
        case Contains() | Matches():
            return kind.look(node)
        case _:
            assert_never(node)


def column_text(table: Table, column: Column) -> Composable:
    """Return *column* as text.

    Raises:
        SchemaError: The table has no such column.
    """
    kind = _Kind(column, table)
    # Without a cast that changes nothing, an index on the column serves.
    is_text = column.name != "id" or table.id_type == "text"
    return kind.column if is_text and kind.is_text else SQL("{c}::text").format(c=kind.column)


class _Kind:
    """What can be asked of a column: texts, numbers and times differ."""

    def __init__(self, column: Column, table: Table) -> None:
        name = getattr(table.columns, column.name)
        found = document_id(table) if column.name == "document_id" else None if name is None else Identifier(name)
        if found is None:
            msg = f"{table.qualified_name} has no column for {column}, so the filter on it cannot be answered"
            raise SchemaError(msg)
        self.column = found
        self._table = table
        self._name = column.name
        self.is_text = column.name in ("id", "document_id", "content")

    def one_of(self, jsons: Iterable[bytes]) -> Composable:
        values = [_loaded(json) for json in jsons]
        known = [converted for value in values if (converted := self._value(value)) is not None]
        parts: list[Composable] = []
        if known and self._name == "document_id" and self._table.columns.document_key is not None:
            parts.append(is_of(self._table, known) or _FALSE)
        elif known:
            parts.append(SQL("{c} = ANY({values})").format(c=self._typed(), values=Param(known, self._type + "[]")))
        if None in values:
            parts.append(SQL("{c} IS NULL").format(c=self.column))
        if not parts:
            return _FALSE
        return parts[0] if len(parts) == 1 else SQL("({any})").format(any=SQL(" OR ").join(parts))

    def compare(self, order: Order, json: bytes) -> Composable:
        value = self._value(_loaded(json))
        if value is None:
            return _FALSE
        collation = SQL(' COLLATE "C"') if self.is_text else SQL("")
        return SQL("{c}{collation} {operator} {value}").format(
            c=self._typed(), collation=collation, operator=SQL(OPERATORS[order]), value=Param(value, self._type)
        )

    def look(self, node: Contains | Matches) -> Composable:
        if not self.is_text:
            return _FALSE
        if isinstance(node, Contains):
            part = jsonb.loads(node.json)
            if not isinstance(part, str):
                return _FALSE
            node = Matches(node.field, "substring", part)
        if self._name == "content":
            return matches(as_like(node), self.column)
        return matches(node, self._typed())

    @property
    def _type(self) -> LiteralString:
        return "text" if self.is_text else "numeric" if self._name == "chunk_index" else "timestamptz"

    def _typed(self) -> Composable:
        if self._name == "created_at":
            return self.column
        return SQL("{c}::{type}").format(c=self.column, type=SQL(self._type))

    def _value(self, value: Any) -> Any:
        """Return *value* as this column's type, or `None` where it is of another."""
        if self.is_text:
            return value if isinstance(value, str) else None
        if self._name == "chunk_index":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return Decimal(str(value)) if number else None
        try:
            return datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            return None


def _loaded(json: bytes) -> Any:
    """Return the value, or what no column holds in its place: Python reads numbers of up to 4,300 digits."""
    try:
        return jsonb.loads(json)
    except ValueError:
        return ()
