"""Statements that keep a table and its indexes in shape; none of them blocks readers or writers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall import jsonb
from pgrecall.sql.compose import SQL, Identifier, Literal, Param, Statement

if TYPE_CHECKING:
    from pgrecall.table import Table

NOTE_PREFIX: Final = "pgrecall "
"""An index's comment begins so where we have noted something on it, which follows as JSON."""


def vacuum(table: Table) -> Statement:
    """Return the statement that frees what dead rows take, and refreshes statistics and visibility map."""
    # Giving empty pages at the end back to the system would lock readers out for a moment.
    return SQL("VACUUM (ANALYZE, TRUNCATE FALSE) {table}").format(table=Identifier(table.schema, table.name)).compile()


def reindex(schema: str, name: str) -> Statement:
    """Return the statement that builds an index anew, under its name."""
    return SQL("REINDEX INDEX CONCURRENTLY {name}").format(name=Identifier(schema, name)).compile()


def prewarm(extension_schema: str, schema: str, name: str) -> Statement:
    """Return the statement that reads an index into PostgreSQL's memory."""
    return (
        SQL("SELECT {prewarm}({name}::regclass)")
        .format(prewarm=Identifier(extension_schema, "pg_prewarm"), name=Param(Identifier(schema, name).text, "text"))
        .compile()
    )


def note_rows(schema: str, name: str, rows: int) -> Statement:
    """Return the statement that notes how many rows an index was built for."""
    note = NOTE_PREFIX + jsonb.dumps({"rows": rows}).decode()
    return SQL("COMMENT ON INDEX {name} IS {note}").format(name=Identifier(schema, name), note=Literal(note)).compile()


def noted_rows(note: str) -> int | None:
    """Return how many rows an index was built for, by the comment on it; `None` where it does not say."""
    if not note.startswith(NOTE_PREFIX):
        return None
    try:
        facts = jsonb.loads(note.removeprefix(NOTE_PREFIX))
    except ValueError:
        return None
    rows = facts.get("rows") if isinstance(facts, dict) else None
    return rows if isinstance(rows, int) else None
