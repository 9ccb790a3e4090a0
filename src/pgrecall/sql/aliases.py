"""Statements of aliases: names that point to collections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.sql.compose import SQL, Param, Statement
from pgrecall.sql.side_tables import SideTable
from pgrecall.sql.where import where

if TYPE_CHECKING:
    from pgrecall.sql.side_tables import SideRows

ALIASES: Final = SideTable(
    name="pgrecall_aliases",
    holds="aliases: names that point to collections",
    columns={"collection": 'text COLLATE "C" NOT NULL', "updated_at": "timestamptz NOT NULL DEFAULT now()"},
)


def create(rows: SideRows, alias: str, collection: str) -> Statement:
    """Return the statement that makes an alias, unless there is one; it waits for who is making it."""
    return _write(rows, alias, collection, SQL("DO NOTHING"))


def point(rows: SideRows, alias: str, collection: str) -> Statement:
    """Return the statement that points an alias to a collection, in one moment for everybody."""
    return _write(rows, alias, collection, SQL("DO UPDATE SET collection = EXCLUDED.collection, updated_at = now()"))


def _write(rows: SideRows, alias: str, collection: str, conflict: SQL) -> Statement:
    return (
        SQL(
            "INSERT INTO {table} (domain_id, namespace, key, collection) "
            "VALUES ({domain}, {namespace}, {alias}, {collection}) ON CONFLICT (domain_id, namespace, key) {conflict}"
        )
        .format(
            table=rows.name,
            domain=rows.domain_param,
            namespace=rows.namespace_param,
            alias=Param(alias, "text"),
            collection=Param(collection, "text"),
            conflict=conflict,
        )
        .compile()
    )


def target(rows: SideRows, alias: str, *, lock: bool = False) -> Statement:
    """Return the statement that reads where an alias points to, for update where *lock* is given."""
    return (
        SQL("SELECT collection FROM {table} {where} {lock}")
        .format(table=rows.name, where=where(rows.conditions_of([alias])), lock=SQL("FOR UPDATE" if lock else ""))
        .compile()
    )


def every(rows: SideRows) -> Statement:
    """Return the statement that reads all aliases: alias, collection."""
    return (
        SQL("SELECT key, collection FROM {table} {where} ORDER BY key")
        .format(table=rows.name, where=where(rows.conditions()))
        .compile()
    )
