"""Scope and filter to conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from pgrecall import jsonb
from pgrecall.errors import FilterError, SchemaError
from pgrecall.filters.nodes import And, Column, Equals, Field, Filter, In, Key
from pgrecall.sql.compose import SQL, Composable, Identifier, Param

if TYPE_CHECKING:
    from pgrecall.sql.dialect import Dialect
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table


def conditions(selection: Selection) -> list[Composable]:
    """Return the conditions that a selected row meets, to be joined with AND; the scope's comes first.

    Raises:
        SchemaError: The table has not the column that the scope or the filter needs.
        FilterError: The filter compares a column with a value of another type.
    """
    table, scope = selection.table, selection.scope
    table.check_scope(scope)
    found: list[Composable] = []
    if scope.domain is not None and table.columns.domain_id is not None:
        found.append(
            SQL("{column} = {domain}").format(
                column=Identifier(table.columns.domain_id), domain=Param(scope.domain, "text")
            )
        )
    if selection.filter is not None:
        found += _node(table, selection.filter, selection.dialect)
    return found


def where(parts: list[Composable]) -> Composable:
    """Return ``WHERE … AND …``, or nothing where there are no conditions."""
    return SQL("WHERE {all}").format(all=SQL(" AND ").join(parts)) if parts else SQL("")


def _node(table: Table, node: Filter, dialect: Dialect) -> list[Composable]:
    match node:
        case And():
            return [part for clause in node.clauses for part in _node(table, clause, dialect)]
        case Equals():
            return [_one_of(table, node.field, (node.json,), dialect)]
        case In():
            return [_one_of(table, node.field, node.jsons, dialect)]
        case _:
            assert_never(node)


def _one_of(table: Table, field: Field, jsons: tuple[bytes, ...], dialect: Dialect) -> Composable:
    match field:
        case Column():
            return _column_in(table, field, jsons)
        case Key():
            if not jsons:
                return SQL("false")
            equal = [_key_equals(table, field, json, dialect) for json in jsons]
            return equal[0] if len(equal) == 1 else SQL("({any})").format(any=SQL(" OR ").join(equal))
        case _:
            assert_never(field)


def _key_equals(table: Table, key: Key, json: bytes, dialect: Dialect) -> Composable:
    if table.columns.metadata is None:
        msg = f"{table.qualified_name} has no metadata column, so the filter on {str(key)!r} cannot be answered"
        raise SchemaError(msg)
    metadata = Identifier(table.columns.metadata)
    path = Param(list(key.path), "text[]")
    if json == b"null":
        return SQL("COALESCE({metadata} #> {path}, 'null') = 'null'").format(metadata=metadata, path=path)
    nested = json
    for name in reversed(key.path):
        nested = b"{" + jsonb.dumps(name) + b":" + nested + b"}"
    # Containment is what a GIN index serves. It is equality for all but objects and arrays, of which it
    # takes a part for the whole, so those are compared once more.
    contains = SQL("{metadata} @> {nested}").format(metadata=metadata, nested=dialect.json(nested))
    if json[:1] not in b"{[":
        return contains
    return SQL("({contains} AND {metadata} #> {path} = {value})").format(
        contains=contains, metadata=metadata, path=path, value=dialect.json(json)
    )


def _column_in(table: Table, column: Column, jsons: tuple[bytes, ...]) -> Composable:
    name = getattr(table.columns, column.name)
    if name is None:
        msg = f"{table.qualified_name} has no {column.name} column, so the filter on it cannot be answered"
        raise SchemaError(msg)
    values = [jsonb.loads(json) for json in jsons]
    for value in values:
        if not isinstance(value, str):
            msg = f"{column.name} is text and cannot equal {value!r}"
            raise FilterError(msg)
    return SQL("{column}::text = ANY({values})").format(column=Identifier(name), values=Param(values, "text[]"))
