"""Statements of the key-value storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.sql.compose import SQL, Integer, Param, Statement
from pgrecall.sql.side_tables import SideTable
from pgrecall.sql.where import where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.sql.side_tables import SideRows

KEY_VALUES: Final = SideTable(
    name="pgrecall_values",
    holds="values: bytes by key",
    columns={"value": "bytea NOT NULL", "updated_at": "timestamptz NOT NULL DEFAULT now()"},
)


def get(rows: SideRows, keys: Sequence[str]) -> Statement:
    """Return the statement that reads the values of *keys*, as far as there are any: key, value."""
    statement = SQL("SELECT key, value FROM {table} {where}")
    return statement.format(table=rows.name, where=where(rows.conditions_of(keys))).compile()


def put(rows: SideRows, keys: Sequence[str], values: Sequence[bytes]) -> Statement:
    """Return the statement that sets the values of *keys*, which are distinct and sorted."""
    return (
        SQL(
            "INSERT INTO {table} (domain_id, namespace, key, value) "
            "SELECT {domain}, {namespace}, new.key, new.value FROM unnest({keys}, {values}) AS new(key, value) "
            "ON CONFLICT (domain_id, namespace, key) DO UPDATE SET value = EXCLUDED.value, "
            "updated_at = EXCLUDED.updated_at"
        )
        .format(
            table=rows.name,
            domain=rows.domain_param,
            namespace=rows.namespace_param,
            keys=Param(list(keys), "text[]"),
            values=Param(list(values), "bytea[]"),
        )
        .compile()
    )


def page(rows: SideRows, *, first: str | None, after: str | None, limit: int) -> Statement:
    """Return the statement that reads *limit* keys in their order.

    Args:
        rows: Where.
        first: The key to begin with, or with the next if it does not exist.
        after: The key behind which to begin instead.
        limit: Most keys.
    """
    parts = rows.conditions()
    if after is not None:
        parts.append(SQL("key > {after}").format(after=Param(after, "text")))
    elif first is not None:
        parts.append(SQL("key >= {first}").format(first=Param(first, "text")))
    return (
        SQL("SELECT key FROM {table} {where} ORDER BY key LIMIT {limit}")
        .format(table=rows.name, where=where(parts), limit=Integer(limit))
        .compile()
    )
