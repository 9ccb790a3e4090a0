"""The best rows of each group, and how many rows have each value: what a field of the rows says, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.errors import SchemaError
from pgrecall.filters import Column
from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Param, Statement
from pgrecall.sql.dml import ids_array
from pgrecall.sql.document_ids import document_id
from pgrecall.sql.domains import domain_text
from pgrecall.sql.metadata import place_of
from pgrecall.sql.select import projection
from pgrecall.sql.where import conditions, where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.filters import Field
    from pgrecall.sql.dialect import Encoded
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table

# Names that no column of an adopted table has.
_DISTANCE: Final = Identifier("pgrecall distance")
_GROUP: Final = Identifier("pgrecall group")
_RANK: Final = Identifier("pgrecall rank")


def value_of(table: Table, field: Field) -> Composable:
    """Return what a row has at *field*, as jsonb; NULL where it has nothing.

    Raises:
        SchemaError: The table has no such column, or no metadata.
    """
    if isinstance(field, Column):
        name = getattr(table.columns, field.name)
        column = document_id(table) if field.name == "document_id" else None if name is None else Identifier(name)
        if column is None:
            msg = f"{table.qualified_name} has no column for {field}"
            raise SchemaError(msg)
        return SQL("to_jsonb({column})").format(column=column)
    place = place_of(table, field)
    if place is None:
        msg = f"{table.qualified_name} has no metadata column, so {str(field)!r} has no values there"
        raise SchemaError(msg)
    value, path = place
    for name in path:
        # Step by step, because a path in one would take a name that is a number for a place in a list.
        value = SQL("{value} -> {name}").format(value=value, name=Param(name, "text"))
    # A null of JSON is no value either; and 1.0 is the same as 1, also where values are compared as text.
    return SQL(
        "CASE jsonb_typeof({value}) WHEN 'null' THEN NULL "
        "WHEN 'number' THEN to_jsonb(trim_scale(({value})::numeric)) ELSE {value} END"
    ).format(value=value)


def groups_of(selection: Selection, field: Field, ids: Sequence[str]) -> Statement:
    """Return the statement that tells the group of given rows: domain, id, value as text."""
    table = selection.table
    wanted = SQL("{id} = ANY({ids})").format(id=Identifier(table.columns.id), ids=ids_array(ids, table))
    return selection.compile(
        SQL("SELECT {domain}, {id}::text, ({value})::text FROM {table} {where}").format(
            domain=domain_text(table),
            id=Identifier(table.columns.id),
            value=value_of(table, field),
            table=_name(table),
            where=where([*conditions(selection), wanted]),
        )
    )


def nearest_groups(selection: Selection, field: Field, count: int, query: Encoded) -> Statement:
    """Return the statement that finds the groups with the nearest rows by comparing all: value as text, distance."""
    table = selection.table
    value = value_of(table, field)
    parts = [
        *conditions(selection),
        SQL("{value} IS NOT NULL").format(value=value),
        SQL("{embedding} IS NOT NULL").format(embedding=Identifier(table.columns.embedding)),
    ]
    return selection.compile(
        SQL(
            "SELECT ({value})::text, min({distance}) FROM {table} {where} GROUP BY 1 ORDER BY 2, 1 LIMIT {count}"
        ).format(
            value=value,
            distance=_distance(selection, query),
            table=_name(table),
            where=where(parts),
            count=Integer(count),
        )
    )


def best_of_groups(selection: Selection, field: Field, size: int, query: Encoded, extras: frozenset[str]) -> Statement:
    """Return the statement that finds the nearest rows of each group: `select.ROW`, distance, value as text.

    Args:
        selection: Which rows; its filter leaves those of the groups that are wanted.
        field: What makes a group.
        size: Most rows of each group.
        query: The embedding, in pgvector's binary format.
        extras: Which of ``embedding`` and ``envelope`` to return too.
    """
    table = selection.table
    parts = [
        *conditions(selection),
        SQL("{embedding} IS NOT NULL").format(embedding=Identifier(table.columns.embedding)),
    ]
    return selection.compile(
        SQL(
            "SELECT {columns}, {how_far} AS distance, {group}::text FROM (SELECT *, row_number() OVER "
            "(PARTITION BY {group} ORDER BY {how_far}) AS {rank} FROM (SELECT *, {value} AS {group}, "
            "{distance} AS {how_far} FROM {table} {where}) AS valued) AS ranked WHERE {rank} <= {size} "
            "ORDER BY {how_far}"
        ).format(
            columns=projection(selection, extras),
            how_far=_DISTANCE,
            group=_GROUP,
            rank=_RANK,
            value=value_of(table, field),
            distance=_distance(selection, query),
            table=_name(table),
            where=where(parts),
            size=Integer(size),
        )
    )


def facets(selection: Selection, field: Field, limit: int) -> Statement:
    """Return the statement that counts rows by their value at *field*, or a list's elements: value as text, rows."""
    table = selection.table
    # An element that is twice in a list is of one row all the same.
    return selection.compile(
        SQL(
            "SELECT element::text, count(*) FROM (SELECT {value} AS value FROM {table} {where}) AS valued, "
            "LATERAL (SELECT DISTINCT e FROM jsonb_array_elements(CASE WHEN jsonb_typeof(value) = 'array' THEN value "
            "ELSE jsonb_build_array(value) END) AS e) AS elements(element) WHERE value IS NOT NULL "
            "GROUP BY element ORDER BY count(*) DESC, element LIMIT {limit}"
        ).format(
            value=value_of(table, field),
            table=_name(table),
            where=where(conditions(selection)),
            limit=Integer(limit),
        )
    )


def _distance(selection: Selection, query: Encoded) -> Composable:
    table, dialect = selection.table, selection.dialect
    return SQL("{embedding} OPERATOR({schema}.{operator}) {query}").format(
        embedding=Identifier(table.columns.embedding),
        schema=Identifier(dialect.vector_schema),
        operator=SQL(table.distance.operator),
        query=Param(dialect.embedding(query, table.vector_type), dialect.embedding_type(table.vector_type)),
    )


def _name(table: Table) -> Identifier:
    return Identifier(table.schema, table.name)
