"""Statements of named runs: how far each has come in its source, and what it has set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.sql.compose import SQL, Composable, Identifier, Param, Statement
from pgrecall.sql.side_tables import SideTable
from pgrecall.sql.where import where

if TYPE_CHECKING:
    from pgrecall.scope import Scope
    from pgrecall.sql.side_tables import SideRows

RUNS: Final = SideTable(
    name="pgrecall_runs",
    holds="runs: how far each ingestion has come",
    columns={
        "position": "bigint NOT NULL",
        "owner": "uuid NOT NULL",
        "finished": "boolean NOT NULL",
        "failures": "jsonb NOT NULL DEFAULT '[]'",
        "updated_at": "timestamptz NOT NULL DEFAULT now()",
    },
)


def begin(rows: SideRows, run: str, owner: str, *, anew: bool) -> Statement:
    """Return the statement that takes a run over for *owner*: position, failures as JSON text.

    One that has finished begins anew. It waits for what the owner before is committing.

    Args:
        rows: Where.
        run: Its name.
        owner: Who begins it.
        anew: Whether it begins anew in any case.
    """
    return (
        SQL(
            "INSERT INTO {table} AS stored (domain_id, namespace, key, position, owner, finished) "
            "VALUES ({domain}, {namespace}, {key}, 0, {owner}, false) "
            "ON CONFLICT (domain_id, namespace, key) DO UPDATE SET owner = EXCLUDED.owner, finished = false, "
            "position = CASE WHEN stored.finished OR {anew} THEN 0 ELSE stored.position END, "
            "failures = CASE WHEN stored.finished OR {anew} THEN '[]' ELSE stored.failures END, updated_at = now() "
            "RETURNING position, failures::text"
        )
        .format(
            table=rows.name,
            domain=rows.domain_param,
            namespace=rows.namespace_param,
            key=Param(run, "text"),
            owner=Param(owner, "text::uuid"),
            anew=SQL("true" if anew else "false"),
        )
        .compile()
    )


def advance(rows: SideRows, run: str, owner: str, position: int, failures: str) -> Statement:
    """Return the statement that notes how far a run has come; it touches no row where another one owns it.

    Args:
        rows: Where.
        run: Its name.
        owner: Who has begun it.
        position: Items of the source that are done with.
        failures: What was set aside since the position before, as a JSON array.
    """
    return (
        SQL(
            "UPDATE {table} SET failures = CASE WHEN position < {position} THEN failures || {failures} "
            "ELSE failures END, position = {position}, updated_at = now() {where}"
        )
        .format(
            table=rows.name,
            position=Param(position, "bigint"),
            failures=Param(failures, "text::jsonb"),
            where=where([*rows.conditions_of([run]), SQL("owner = {owner}").format(owner=Param(owner, "text::uuid"))]),
        )
        .compile()
    )


def finish(rows: SideRows, run: str, owner: str) -> Statement:
    """Return the statement that notes that a run has finished."""
    owned = SQL("owner = {owner}").format(owner=Param(owner, "text::uuid"))
    return (
        SQL("UPDATE {table} SET finished = true, updated_at = now() {where}")
        .format(table=rows.name, where=where([*rows.conditions_of([run]), owned]))
        .compile()
    )


def forget(schema: str, collection: str, scope: Scope) -> Statement:
    """Return the statement that forgets the runs of a collection's domains, finished or not."""
    parts: list[Composable] = [SQL("namespace = {name}").format(name=Param(collection, "text"))]
    if scope.domains is not None:
        parts.append(SQL("domain_id = ANY({domains})").format(domains=Param(list(scope.domains), "text[]")))
    return SQL("DELETE FROM {table} {where}").format(table=Identifier(schema, RUNS.name), where=where(parts)).compile()


def rename(schema: str, collection: str, new_name: str) -> Statement:
    """Return the statement that takes the runs of a collection along to its new name."""
    return (
        SQL("UPDATE {table} SET namespace = {new} WHERE namespace = {old}")
        .format(table=Identifier(schema, RUNS.name), old=Param(collection, "text"), new=Param(new_name, "text"))
        .compile()
    )
