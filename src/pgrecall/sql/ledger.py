"""Statements of the ledger: which keys have been written, when, and for which group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pgrecall.sql.compose import SQL, Composable, Integer, Param, Statement
from pgrecall.sql.side_tables import SideTable
from pgrecall.sql.where import where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.sql.dialect import Dialect
    from pgrecall.sql.side_tables import SideRows

LEDGER: Final = SideTable(
    name="pgrecall_ledger",
    holds="ledger: which keys have been written, when, and for which group",
    columns={
        "updated_at": "double precision NOT NULL",
        "group_id": 'text COLLATE "C"',
        # Set from when a key is marked together with its row until somebody says which group it belongs to.
        "provisional_at": "double precision",
        "candidates": "jsonb",
    },
    # Neither has updated_at, so that a key that is only seen again is updated within its page, and no index.
    indexes=(
        "(domain_id, namespace, group_id)",
        "(domain_id, namespace, provisional_at) WHERE provisional_at IS NOT NULL",
    ),
)
# In a subquery, so that all keys of a statement get the same time.
_NOW: Final = SQL("(SELECT extract(epoch FROM clock_timestamp())::double precision)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Which marks are wanted.

    Attributes:
        before: Set earlier than this.
        after: Set later than this.
        groups: Of one of these groups, or, as long as that is open, perhaps of one of them.
        limit: At most so many.
    """

    before: float | None = None
    after: float | None = None
    groups: Sequence[str] | None = None
    limit: int | None = None


def time() -> Statement:
    """Return the statement that asks for the server's time, in seconds since 1970."""
    return SQL("SELECT {now}").format(now=_NOW).compile()


def mark(rows: SideRows, keys: Sequence[str], groups: Sequence[str | None] | None, at: float | None) -> Statement:
    """Return the statement that marks keys.

    Args:
        rows: Where.
        keys: The keys, distinct and sorted.
        groups: One for each, `None` where it has none; without, what is known of their groups stays.
        at: The time to note instead of the server's.
    """
    # The provisional time is never later than the other: whoever looks for old marks relies on it.
    standing = SQL(
        "provisional_at = CASE WHEN stored.provisional_at > EXCLUDED.updated_at THEN EXCLUDED.updated_at "
        "ELSE stored.provisional_at END"
    )
    if groups is not None:
        standing = SQL("provisional_at = NULL, candidates = NULL")
    return (
        SQL(
            "INSERT INTO {table} AS stored (domain_id, namespace, key, group_id, updated_at) "
            "SELECT {domain}, {namespace}, new.key, new.group_id, {now} "
            "FROM unnest({keys}, {groups}) AS new(key, group_id) "
            "ON CONFLICT (domain_id, namespace, key) DO UPDATE SET updated_at = EXCLUDED.updated_at, "
            "group_id = COALESCE(EXCLUDED.group_id, stored.group_id), {standing}"
        )
        .format(
            table=rows.name,
            domain=rows.domain_param,
            namespace=rows.namespace_param,
            now=_NOW if at is None else Param(at, "double precision"),
            keys=Param(list(keys), "text[]"),
            groups=Param([None] * len(keys) if groups is None else list(groups), "text[]"),
            standing=standing,
        )
        .compile()
    )


def mark_provisionally(rows: SideRows, keys: Sequence[str], candidates: Sequence[bytes], dialect: Dialect) -> Statement:
    """Return the statement that marks keys whose groups are open.

    Args:
        rows: Where.
        keys: The keys, distinct and sorted.
        candidates: For each a JSON array of what its group may be called.
        dialect: How values travel.
    """
    return (
        SQL(
            "INSERT INTO {table} (domain_id, namespace, key, updated_at, provisional_at, candidates) "
            "SELECT {domain}, {namespace}, new.key, now.seconds, now.seconds, new.candidates "
            "FROM unnest({keys}, {candidates}) AS new(key, candidates), {now} AS now(seconds) "
            "ON CONFLICT (domain_id, namespace, key) DO UPDATE SET updated_at = EXCLUDED.updated_at, "
            "provisional_at = EXCLUDED.provisional_at, candidates = EXCLUDED.candidates"
        )
        .format(
            table=rows.name,
            domain=rows.domain_param,
            namespace=rows.namespace_param,
            keys=Param(list(keys), "text[]"),
            candidates=dialect.jsons(candidates),
            now=_NOW,
        )
        .compile()
    )


def marked(rows: SideRows, keys: Sequence[str]) -> Statement:
    """Return the statement that finds which of *keys* are marked."""
    statement = SQL("SELECT key FROM {table} {where}")
    return statement.format(table=rows.name, where=where(rows.conditions_of(keys))).compile()


def keys(rows: SideRows, wanted: Marks) -> Statement:
    """Return the statement that lists the keys whose marks are wanted, sorted."""
    parts = rows.conditions()
    before = None if wanted.before is None else Param(wanted.before, "double precision")
    if before is not None:
        parts.append(SQL("updated_at < {before}").format(before=before))
    if wanted.after is not None:
        parts.append(SQL("updated_at > {after}").format(after=Param(wanted.after, "double precision")))
    found: Composable = SQL("SELECT key FROM {table} {where}").format(table=rows.name, where=where(parts))
    if wanted.groups is not None:
        groups = Param(list(wanted.groups), "text[]")
        of_group = [*parts, SQL("group_id = ANY({groups})").format(groups=groups)]
        # Not one condition with OR: each half has an index of its own. That of the second is asked for what
        # is old enough, and so does not see what the run that asks has just marked.
        perhaps = [*parts, SQL("provisional_at IS NOT NULL")]
        if before is not None:
            perhaps.append(SQL("provisional_at < {before}").format(before=before))
        perhaps.append(SQL("jsonb_exists_any(candidates, {groups})").format(groups=groups))
        found = SQL(
            "SELECT key FROM (SELECT key FROM {table} {of_group} UNION SELECT key FROM {table} {perhaps}) AS found"
        ).format(table=rows.name, of_group=where(of_group), perhaps=where(perhaps))
    limit = SQL("") if wanted.limit is None else SQL("LIMIT {n}").format(n=Integer(wanted.limit))
    return SQL("{found} ORDER BY key {limit}").format(found=found, limit=limit).compile()
