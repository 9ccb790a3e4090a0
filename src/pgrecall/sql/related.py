"""Conditions that look into other tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall.sql.compose import SQL, Composable, Identifier, Param

if TYPE_CHECKING:
    from pgrecall.filters.nodes import InTable


def in_table(node: InTable, text: Composable) -> Composable:
    """Return that *text*, the field of *node*, is in the other table."""
    # Not EXISTS, which would be asked again for every row that an index on the embeddings gives: here PostgreSQL may
    # read the other table once, and look each row up in memory.
    found = SQL("{text} IN (SELECT related.{column}::text FROM {table} AS related{where})")
    parts = [_condition(name, value) for name, _, value in node.where]
    return found.format(
        text=text,
        column=Identifier(node.column),
        table=Identifier(node.schema, node.table),
        where=SQL(" WHERE {all}").format(all=SQL(" AND ").join(parts)) if parts else SQL(""),
    )


def _condition(name: str, value: Any) -> Composable:
    column = SQL("related.{c}").format(c=Identifier(name))
    if value is None:
        return SQL("{c} IS NULL").format(c=column)
    # Without a type: PostgreSQL takes the column's.
    if isinstance(value, tuple):
        return SQL("{c} = ANY({values})").format(c=column, values=Param(list(value)))  # pyright: ignore[reportUnknownArgumentType]
    return SQL("{c} = {value}").format(c=column, value=Param(value))
