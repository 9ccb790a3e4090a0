"""The column of the domain, which in an adopted table can be of type uuid; here a domain is always text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgrecall.sql.compose import SQL, Composable, Identifier, Param, Statement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pgrecall.scope import Scope
    from pgrecall.table import Table


def domain_value(table: Table, domain: str) -> Composable:
    """Return a domain as a parameter of the column's type, so that an index on the column serves."""
    value = Param(table.stored_domain(domain), "text")
    return SQL("{value}::uuid").format(value=value) if table.domain_type == "uuid" else value


def domain_values(table: Table, domains: Iterable[str]) -> Composable:
    """Return several domains as one array parameter."""
    values = Param([table.stored_domain(domain) for domain in domains], "text[]")
    return SQL("{values}::uuid[]").format(values=values) if table.domain_type == "uuid" else values


def domain_column(table: Table) -> Composable:
    """Return the name of the column; NULL where the table has none."""
    return SQL("NULL") if table.columns.domain_id is None else Identifier(table.columns.domain_id)


def in_scope(table: Table, scope: Scope, column: Composable) -> list[Composable]:
    """Return the conditions that a row in *scope* meets: one, or none where the scope holds all there is.

    Args:
        table: The table.
        scope: Whose rows.
        column: The column of the domain, as the statement names it.

    Raises:
        SchemaError: The table cannot keep the scope apart.
    """
    table.check_scope(scope)
    if scope.domains is None or table.columns.domain_id is None:
        return []
    if scope.domain is not None:
        return [SQL("{c} = {domain}").format(c=column, domain=domain_value(table, scope.domain))]
    return [SQL("{c} = ANY({domains})").format(c=column, domains=domain_values(table, scope.domains))]


def domain_text(table: Table) -> Composable:
    """Return the column as text; NULL where the table has none."""
    name = table.columns.domain_id
    if name is None:
        return SQL("NULL::text")
    column = Identifier(name)
    return SQL("{c}::text").format(c=column) if table.domain_type == "uuid" else column


def domain_names(schema: str, table: str, *, domain: str, name: str) -> Statement:
    """Return the statement that reads which names *table* gives to domains: name, domain."""
    return (
        SQL("SELECT {name}::text, {domain}::text FROM {table} WHERE {name} IS NOT NULL ORDER BY 1, 2")
        .format(name=Identifier(name), domain=Identifier(domain), table=Identifier(schema, table))
        .compile()
    )
