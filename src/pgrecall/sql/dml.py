"""Statements that write, change, delete, read by id, and count."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, LiteralString

from pgrecall.sql import metadata_writes
from pgrecall.sql.compose import SQL, Composable, Composed, Identifier, Integer, Param, Statement
from pgrecall.sql.domains import domain_column, domain_text, domain_values, in_scope
from pgrecall.sql.metadata import merged
from pgrecall.sql.where import conditions, where

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgrecall.rows import Rows
    from pgrecall.sql.dialect import Dialect
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table

_ARRAY_TYPES: Final[Mapping[str, LiteralString]] = {
    "document_id": "text[]",
    "chunk_index": "integer[]",
    "content": "text[]",
    "created_at": "timestamptz[]",
    "content_hash": "bytea[]",
}
_JSON_COLUMNS: Final = frozenset({"metadata", "metadata_types", "envelope"})
# What an upsert leaves alone in a row that exists: its key, and when it was first written.
_KEPT: Final = frozenset({"domain_id", "id", "created_at"})
# A name that no table has.
_WANTED: Final = Identifier("pgrecall wanted")


def ids_array(ids: Sequence[str], table: Table) -> Composable:
    """Return *ids* as an array of the type of the id's column."""
    return Composed([Param(list(ids), "text[]"), SQL("::"), id_type(table), SQL("[]")])


def id_type(table: Table) -> SQL:
    """Return the SQL type of the id's column."""
    return _ID_TYPES[table.id_type]


_ID_TYPES: Final[Mapping[str, SQL]] = {
    "text": SQL("text"),
    "character varying": SQL("varchar"),
    "uuid": SQL("uuid"),
    "smallint": SQL("smallint"),
    "integer": SQL("integer"),
    "bigint": SQL("bigint"),
}
ADOPTABLE_ID_TYPES: Final = tuple(_ID_TYPES)


def existing(table: Table, rows: Rows) -> Statement:
    """Return the statement that finds which of *rows* exist, under the table's unique key.

    Its rows are: id as text, domain (NULL where the table has none), content hash (likewise). Where the
    key is the id alone, rows of other domains are found too.
    """
    columns = table.columns
    stored = SQL("NULL::bytea") if columns.content_hash is None else Identifier(columns.content_hash)
    parts: list[Composable] = [has_id(table, rows.columns["id"])]
    if columns.domain_id is not None and columns.domain_id in table.key:
        domains = sorted(set(rows.columns["domain_id"]))
        parts.append(
            SQL("{domain} = ANY({domains})").format(
                domain=Identifier(columns.domain_id), domains=domain_values(table, domains)
            )
        )
    return (
        SQL("SELECT {id}::text, {domain}, {hash} FROM {table} {where}")
        .format(
            id=Identifier(columns.id), domain=domain_text(table), hash=stored, table=_name(table), where=where(parts)
        )
        .compile()
    )


def upsert(table: Table, rows: Rows, dialect: Dialect) -> Statement:
    """Return the statement that inserts rows or, under the table's unique key, replaces them.

    Rows whose content hash is the same are left alone, and so are rows that belong to another domain
    although the key is the id alone.
    """
    replaced = [logical for logical in rows.columns if logical not in _KEPT]
    if table.metadata_columns:
        changed = list(metadata_writes.filled(table, replaced))
    else:
        changed = [getattr(table.columns, logical) for logical in replaced]
    conflict = SQL("ON CONFLICT ({key}) DO UPDATE SET {assignments} {where}").format(
        key=SQL(", ").join(Identifier(name) for name in table.key),
        assignments=SQL(", ").join(SQL("{c} = EXCLUDED.{c}").format(c=Identifier(name)) for name in changed),
        where=where(_replaceable(table)),
    )
    return _insert(table, rows, dialect, conflict).compile()


def insert_missing(table: Table, rows: Rows, dialect: Dialect) -> Statement:
    """Return the statement that inserts the rows whose key is not there yet; without a key all of them, or it fails.

    Its rows are those that were inserted: id as text, domain (NULL where the table has none).
    """
    # Where no key says which row is there, one that is passed over would be lost.
    ending = SQL("{passing} RETURNING {id}::text, {domain}").format(
        passing=SQL("ON CONFLICT DO NOTHING" if table.key else ""),
        id=Identifier(table.columns.id),
        domain=domain_text(table),
    )
    return _insert(table, rows, dialect, ending).compile()


def update(selection: Selection, columns: Mapping[str, Sequence[Any]], *, merge: bool) -> Statement:
    """Return the statement that changes columns of rows that exist.

    Args:
        selection: Which rows may be touched; its filter plays no part.
        columns: Logical name to encoded values, with ``id``.
        merge: Whether metadata is merged into what is there (its keys replace, others stay).
    """
    table, scope, dialect = selection.table, selection.scope, selection.dialect
    values = [_array(logical, values, table, dialect) for logical, values in columns.items()]
    row_id = Identifier(table.columns.id)
    if table.metadata_columns:
        source = metadata_writes.source(table, list(columns), values)
        new = metadata_writes.changed(table, list(columns), merge=merge)
        assignments: list[Composable] = [
            SQL("{c} = {new}").format(c=Identifier(name), new=value) for name, value in new.items()
        ]
        same = SQL("stored.{id} = new.id").format(id=row_id)
    else:
        names = {logical: Identifier(getattr(table.columns, logical)) for logical in columns}
        source = SQL("unnest({values}) AS new({names})").format(
            values=SQL(", ").join(values), names=SQL(", ").join(names.values())
        )
        assignments = _assignments(table, names, merge=merge)
        same = SQL("stored.{id} = new.{id}").format(id=row_id)
    if table.columns.content_hash is not None:
        # The hash was of the whole row; without it the next upsert writes the row again.
        assignments.append(SQL("{c} = NULL").format(c=Identifier(table.columns.content_hash)))
    parts = [same, *in_scope(table, scope, SQL("stored.{c}").format(c=domain_column(table)))]
    return (
        SQL("UPDATE {table} AS stored SET {assignments} FROM {source} {where}")
        .format(table=_name(table), assignments=SQL(", ").join(assignments), source=source, where=where(parts))
        .compile()
    )


def delete(table: Table, parts: list[Composable]) -> Statement:
    """Return the statement that deletes the rows that meet all of *parts*."""
    return SQL("DELETE FROM {table} {where}").format(table=_name(table), where=where(parts)).compile()


def has_id(table: Table, ids: Sequence[str]) -> Composable:
    """Return the condition that a row has one of these ids."""
    return SQL("{id} = ANY({ids})").format(id=Identifier(table.columns.id), ids=ids_array(ids, table))


def delete_returning(table: Table, parts: list[Composable]) -> Statement:
    """Return the statement that deletes the rows that meet all of *parts*, and returns their ids as text."""
    return (
        SQL("DELETE FROM {table} {where} RETURNING {id}::text")
        .format(table=_name(table), where=where(parts), id=Identifier(table.columns.id))
        .compile()
    )


def count(selection: Selection) -> Statement:
    """Return the statement that counts rows."""
    selection = replace(selection, counted=True)
    parts = [*conditions(selection), *selection.places()]
    query = SQL("SELECT count(*) FROM {table} {where}")
    return selection.compile(query.format(table=_name(selection.table), where=where(parts)))


def count_up_to(selection: Selection, limit: int) -> Statement:
    """Return the statement that counts rows but stops at *limit*."""
    selection = replace(selection, counted=True)
    parts = [*conditions(selection), *selection.places()]
    query = SQL("SELECT count(*) FROM (SELECT 1 FROM {table} {where} LIMIT {limit}) AS passing")
    return selection.compile(query.format(table=_name(selection.table), where=where(parts), limit=Integer(limit)))


def matching(selection: Selection) -> Statement:
    """Return the statement whose plan says how many rows PostgreSQL expects to pass."""
    parts = conditions(selection)
    query = SQL("SELECT 1 FROM {table} {where}")
    return selection.compile(query.format(table=_name(selection.table), where=where(parts)))


def partitions_of(selection: Selection) -> Statement:
    """Return the statement that finds the partitions that have rows of the domains in scope: their OIDs.

    By the index: a row of a domain is where all of its rows are.
    """
    table = selection.table
    name = domain_column(table)
    query = SQL(
        "SELECT DISTINCT place.oid FROM unnest({domains}) AS {wanted}(domain) CROSS JOIN LATERAL "
        "(SELECT tableoid::oid AS oid FROM {table} WHERE {name} = {wanted}.domain LIMIT 1) AS place"
    )
    domains = domain_values(table, selection.scope.domains or ())
    return selection.compile(query.format(domains=domains, table=_name(table), name=name, wanted=_WANTED))


def count_sample(selection: Selection, percent: float) -> Statement:
    """Return the statement that counts, in a random part of the table's pages, rows that are selected, and all.

    Where there are partitions by domain, only those of the domains in scope are read, and all are those in scope.
    """
    table = selection.table
    query = SQL("SELECT count(*) FILTER ({where}), count(*) FROM {table} TABLESAMPLE SYSTEM ({percent}) {read}")
    return selection.compile(
        query.format(
            table=_name(table),
            where=where(conditions(selection)),
            percent=Param(percent, "real"),
            read=where(in_scope(table, selection.scope, domain_column(table)) if table.layout is not None else []),
        )
    )


def sample_rows(selection: Selection, limit: int, percent: float | None) -> Statement:
    """Return the statement that reads some selected rows at random: id as text, domain (or NULL), embedding.

    Args:
        selection: Which rows.
        limit: Most rows.
        percent: Share of the table's pages to draw from; `None` for all of them.
    """
    table = selection.table
    embedding = Identifier(table.columns.embedding)
    pages: Composable = SQL("")
    if percent is not None:
        pages = SQL("TABLESAMPLE SYSTEM ({percent})").format(percent=Param(percent, "real"))
    return selection.compile(
        SQL(
            "SELECT {id}::text, {domain}, {values} FROM {table} {pages} {where} ORDER BY random() LIMIT {limit}"
        ).format(
            id=Identifier(table.columns.id),
            domain=domain_text(table),
            values=selection.dialect.select(embedding),
            table=_name(table),
            pages=pages,
            where=where([*conditions(selection), SQL("{c} IS NOT NULL").format(c=embedding)]),
            limit=Integer(limit),
        )
    )


def count_by_domain(selection: Selection) -> Statement:
    """Return the statement that counts the rows of each domain."""
    table = selection.table
    domain = SQL("'default'") if table.columns.domain_id is None else domain_text(table)
    parts = conditions(selection)
    query = SQL("SELECT {domain}, count(*) FROM {table} {where} GROUP BY 1 ORDER BY 1")
    return selection.compile(query.format(domain=domain, table=_name(table), where=where(parts)))


def explain(statement: Statement) -> Statement:
    """Return the statement that asks PostgreSQL how it would run *statement*."""
    return replace(statement, text="EXPLAIN " + statement.text)


def _assignments(table: Table, names: Mapping[str, Identifier], *, merge: bool) -> list[Composable]:
    """Return what an update of the columns *names* sets, where the metadata is in one column."""
    assignments: list[Composable] = []
    for logical, name in names.items():
        if logical == "id":
            continue
        new: Composable = SQL("new.{c}").format(c=name)
        if logical == "metadata" and merge:
            new = merged(table, new)
        elif logical == "metadata_types" and merge:
            # A key whose new value needs no note brings a null, which takes the old note away.
            new = SQL(
                "NULLIF(jsonb_strip_nulls(COALESCE(stored.{c}, {empty}) || COALESCE(new.{c}, {empty})), {empty})"
            ).format(c=name, empty=SQL("'{}'::jsonb"))
        assignments.append(SQL("{c} = {new}").format(c=name, new=new))
    return assignments


def _insert(table: Table, rows: Rows, dialect: Dialect, ending: Composable) -> Composable:
    logical = list(rows.columns)
    values = [_array(name, values, table, dialect) for name, values in rows.columns.items()]
    if table.metadata_columns:
        filled = metadata_writes.filled(table, logical)
        names = [Identifier(name) for name in filled]
        selected, source = SQL(", ").join(filled.values()), metadata_writes.source(table, logical, values)
    else:
        names = [Identifier(getattr(table.columns, name)) for name in logical]
        selected, source = SQL("*"), SQL("unnest({values})").format(values=SQL(", ").join(values))
    return SQL("INSERT INTO {table} AS stored ({columns}) {overriding}SELECT {selected} FROM {source} {ending}").format(
        table=_name(table),
        columns=SQL(", ").join(names),
        # As COPY does by itself: the ids of a table of others may be an identity.
        overriding=SQL("OVERRIDING SYSTEM VALUE " if table.has_whole_ids else ""),
        selected=selected,
        source=source,
        ending=ending,
    )


def _array(logical: str, values: Sequence[Any], table: Table, dialect: Dialect) -> Composable:
    if logical == "id":
        return ids_array(values, table)
    if logical == "domain_id":
        return domain_values(table, values)
    if logical == "embedding":
        return dialect.embeddings(values, table.vector_type)
    if logical == "sparse_embedding":
        return dialect.sparse_embeddings(values)
    if logical in _JSON_COLUMNS:
        return dialect.jsons(values)
    return Param(list(values), _ARRAY_TYPES[logical])


def _replaceable(table: Table) -> list[Composable]:
    """Return the conditions under which a row that exists may be replaced."""
    parts: list[Composable] = []
    columns = table.columns
    if columns.domain_id is not None and columns.domain_id not in table.key:
        parts.append(SQL("stored.{c} = EXCLUDED.{c}").format(c=Identifier(columns.domain_id)))
    if columns.content_hash is not None:
        parts.append(SQL("stored.{c} IS DISTINCT FROM EXCLUDED.{c}").format(c=Identifier(columns.content_hash)))
    return parts


def _name(table: Table) -> Identifier:
    return Identifier(table.schema, table.name)
