"""Statements about whole domains: one statement each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Param, Statement
from pgrecall.sql.domains import domain_column, domain_text, domain_value
from pgrecall.sql.where import conditions, where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table


def list_domains(selection: Selection, *, limit: int, after: str | None) -> Statement:
    """Return the statement that reads the names of domains, sorted, from name to name through the index."""
    found = SQL("SELECT domain FROM ({names}) AS named ORDER BY 1 LIMIT {limit}")
    return selection.compile(found.format(names=_names(selection, after, limit), limit=Integer(limit)))


def count_domains(selection: Selection) -> Statement:
    """Return the statement that counts the domains that have rows."""
    return selection.compile(SQL("SELECT count(*) FROM ({names}) AS named").format(names=_names(selection, None)))


def describe_domains(selection: Selection) -> Statement:
    """Return the statement that describes domains: name (or NULL), rows, bytes, newest."""
    table = selection.table
    names = [*table.columns.mapping().values(), *table.columns.metadata_columns, *(f.column for f in table.fields)]
    # Column by column: the size of a whole row would have PostgreSQL put it together, TOAST included.
    sizes = SQL(" + ").join(
        SQL("coalesce(pg_column_size({c}), 0)").format(c=Identifier(name)) for name in dict.fromkeys(names)
    )
    created = table.columns.created_at
    return selection.compile(
        SQL(
            "SELECT {domain}, count(*), sum({header} + {sizes})::bigint, {newest} FROM {table} {where} "
            "GROUP BY 1 ORDER BY 1"
        ).format(
            domain=domain_text(table),
            header=Integer(_ROW_HEADER),
            sizes=sizes,
            newest=SQL("NULL::timestamptz") if created is None else SQL("max({c})").format(c=Identifier(created)),
            table=_table(table),
            where=where(conditions(selection)),
        )
    )


def copy_domain(selection: Selection, to: str, others: Sequence[str] = ()) -> Statement:
    """Return the statement that copies the selected rows into domain *to*, if that has none.

    Args:
        selection: The rows.
        to: The domain.
        others: Columns of other models' embeddings.
    """
    table = selection.table
    kept = [name for logical, name in table.columns.mapping().items() if logical != "domain_id"]
    names = SQL(", ").join(Identifier(name) for name in [*kept, *others, *table.columns.metadata_columns])
    return (
        SQL("INSERT INTO {table} ({domain}, {names}) SELECT {to}, {names} FROM {table} {where}")
        .format(
            table=_table(table),
            domain=domain_column(table),
            names=names,
            to=domain_value(table, to),
            where=where([*conditions(selection), _is_free(table, to)]),
        )
        .compile()
    )


def rename_domain(selection: Selection, to: str) -> Statement:
    """Return the statement that gives the selected rows to domain *to*, if that has none."""
    table = selection.table
    return (
        SQL("UPDATE {table} SET {domain} = {to} {where}")
        .format(
            table=_table(table),
            domain=domain_column(table),
            to=domain_value(table, to),
            where=where([*conditions(selection), _is_free(table, to)]),
        )
        .compile()
    )


def has_rows(table: Table, domain: str) -> Statement:
    """Return the statement that says whether a domain has rows."""
    return SQL("SELECT NOT {free}").format(free=_is_free(table, domain)).compile()


# What PostgreSQL keeps of every row beside its columns: header and line pointer.
_ROW_HEADER = 28
# A name that no table has, for what is named where the rows of one are read.
_FOUND = Identifier("pgrecall found")


def _is_free(table: Table, domain: str) -> Composable:
    return SQL("NOT EXISTS (SELECT FROM {table} AS taken WHERE taken.{domain} = {value})").format(
        table=_table(table), domain=domain_column(table), value=domain_value(table, domain)
    )


def _names(selection: Selection, after: str | None, limit: int | None = None) -> Composable:
    """Return the query for the names: each step looks for the next one, and skips the rows in between.

    Args:
        selection: The rows.
        after: The name behind which to begin.
        limit: Steps after which to end, so that a page takes as long among many domains as among few.
    """
    table = selection.table
    if table.columns.domain_id is None:
        return SQL("SELECT 'default'::text AS domain WHERE EXISTS (SELECT FROM {table})").format(table=_table(table))
    column = domain_column(table)
    own = conditions(selection)
    first = own
    if after is not None:
        first = [*own, SQL("{text} > {after}").format(text=domain_text(table), after=Param(after, "text"))]
    behind = SQL("{c} > {found}.domain").format(c=column, found=_FOUND)
    if table.domain_type == "uuid":
        behind = SQL("{c} > {found}.domain::uuid").format(c=column, found=_FOUND)
    form = SQL("SELECT {text} AS domain FROM {table} {where} ORDER BY {column} LIMIT 1")
    parts = {"text": domain_text(table), "table": _table(table), "column": column}
    return SQL(
        "WITH RECURSIVE {found} AS (SELECT ({first}) AS domain, 1 AS step UNION ALL "
        "SELECT ({following}), {found}.step + 1 FROM {found} WHERE {found}.domain IS NOT NULL{more}) "
        "SELECT domain FROM {found} WHERE domain IS NOT NULL"
    ).format(
        found=_FOUND,
        first=form.format(**parts, where=where(first)),
        following=form.format(**parts, where=where([*own, behind])),
        more=SQL("") if limit is None else SQL(" AND {f}.step < {l}").format(f=_FOUND, l=Integer(limit)),
    )


def _table(table: Table) -> Identifier:
    return Identifier(table.schema, table.name)
