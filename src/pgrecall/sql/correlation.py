"""How a promoted field goes together with the embeddings, and which of its values many rows have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.sql.compose import SQL, Identifier, Integer, Param, Statement
from pgrecall.sql.quantized import indexed_expression, indexed_operator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.promoted import PromotedField
    from pgrecall.sql.dialect import Dialect
    from pgrecall.table import Table, VectorIndex

COMPARED_ROWS: Final = 100
NEIGHBOURS: Final = 31


def large_values(table: Table, field: PromotedField, least: int, limit: int) -> Statement:
    """Return the statement that finds the values of *field* that at least so many rows have: value as JSON, rows."""
    column = Identifier(field.column)
    return (
        SQL(
            "SELECT to_jsonb({column})::text, count(*) FROM {table} WHERE {column} IS NOT NULL GROUP BY {column} "
            "HAVING count(*) >= {least} ORDER BY 2 DESC LIMIT {limit}"
        )
        .format(column=column, table=Identifier(table.schema, table.name), least=Integer(least), limit=Integer(limit))
        .compile()
    )


def sample_values(table: Table, fields: Sequence[PromotedField], percent: float) -> Statement:
    """Return the statement that reads the values of *fields*, as text, in a random part of the table's pages."""
    columns = SQL(", ").join(SQL("{c}::text").format(c=Identifier(field.column)) for field in fields)
    return (
        SQL("SELECT {columns} FROM {table} TABLESAMPLE SYSTEM ({percent})")
        .format(columns=columns, table=Identifier(table.schema, table.name), percent=Param(percent, "real"))
        .compile()
    )


def compare_neighbours(
    table: Table, fields: Sequence[PromotedField], index: VectorIndex, dialect: Dialect, percent: float
) -> Statement:
    """Return the statement that counts how many neighbours of some rows have the same values as those rows.

    Its row is: pairs of a row and one of the 30 rows nearest to it, then for each field the pairs in which
    both have the same value. A row's nearest is itself, which the caller takes off.
    """
    embedding = Identifier(table.columns.embedding)
    held, asked = (
        indexed_expression(table, index.quantized, side, dialect)
        for side in (SQL("near.{c}").format(c=embedding), SQL("one.{c}").format(c=embedding))
    )
    columns = [Identifier(field.column) for field in fields]
    same = SQL(", ").join(
        SQL("count(*) FILTER (WHERE one.{c} IS NOT DISTINCT FROM other.{c})").format(c=column) for column in columns
    )
    listed = SQL(", ").join(columns)
    return (
        SQL(
            "WITH one AS MATERIALIZED (SELECT {embedding}, {columns} FROM {table} TABLESAMPLE SYSTEM ({percent}) "
            "WHERE {embedding} IS NOT NULL ORDER BY random() LIMIT {rows}) "
            "SELECT count(*), {same} FROM one CROSS JOIN LATERAL (SELECT {columns} FROM {table} AS near "
            "ORDER BY {held} OPERATOR({schema}.{operator}) {asked} LIMIT {neighbours}) AS other"
        )
        .format(
            embedding=embedding,
            columns=listed,
            table=Identifier(table.schema, table.name),
            percent=Param(percent, "real"),
            rows=Integer(COMPARED_ROWS),
            same=same,
            held=held,
            asked=asked,
            schema=Identifier(dialect.vector_schema),
            operator=SQL(indexed_operator(table, index.quantized)[0]),
            neighbours=Integer(NEIGHBOURS),
        )
        .compile()
    )
