"""Whether a collection is in good shape: its table, its indexes, and what searches find, judged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from pgrecall.checks import check_range
from pgrecall.collection.finding import searching
from pgrecall.collection.indexes import maintenance
from pgrecall.collection.indexes.maintenance import Facts, Kind
from pgrecall.collection.measuring.recall import RecallReport, recall
from pgrecall.errors import ConfigError
from pgrecall.findings import Finding, fail, ok, warn
from pgrecall.planner.recommend import recommend_index
from pgrecall.postgres import condition, statistics
from pgrecall.postgres.statistics import TableFigures
from pgrecall.sql import upkeep

if TYPE_CHECKING:
    from pgrecall.collection.handle import Handle
    from pgrecall.plan import Plan
    from pgrecall.postgres import Session
    from pgrecall.table import Table

_MOST: Final = 10_000
# Below the first a search misses so much that users see it; the second is what pgvector gives untuned.
_BAD_RECALL: Final = 0.80
_GOOD_RECALL: Final = 0.95
# The cells of an IVFFlat index are as many as suited the rows that there were.
_GROWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is known of a collection when it is judged.

    Attributes:
        table: Its table.
        user: The role.
        facts: What maintenance goes by.
        vacuumed: Whether autovacuum looks after the table.
        built_for: Rows that the IVFFlat index was built for, where that is known.
        plan: How a search without filter would run; `None` where that is not known.
        recall: Searches held against exact ones; `None` where nothing was measured.
    """

    table: Table
    user: str = ""
    facts: Facts = field(default_factory=lambda: Facts(figures=TableFigures()))
    vacuumed: bool = True
    built_for: int | None = None
    plan: Plan | None = None
    recall: RecallReport | None = None


async def check(handle: Handle, *, k: int, sample: int) -> tuple[Finding, ...]:
    """See `AsyncCollection.check`."""
    check_range(k, "k", 1, _MOST)
    check_range(sample, "sample", 0, _MOST)
    # Another process may just have built the index, or dropped it.
    handle.knowledge.forget()
    looked = await handle.run(lambda session: _look(handle, session))
    if looked is None:
        name = f"{handle.config.schema}.{handle.config.name}"
        return (warn("table", f"{name} does not exist yet", "the first write makes it, and so does pgrecall init"),)
    plan = await _plan(handle, looked.table, k)
    report = await _recall(handle, k, sample) if sample else None
    return tuple(judge_table(replace(looked, plan=plan, recall=report)))


async def _look(handle: Handle, session: Session) -> Condition | None:
    table = await handle.table(session)
    if table is None:
        return None
    index, built_for = table.usable_index(), None
    if index is not None and index.method == "ivfflat":
        built_for = upkeep.noted_rows(await statistics.index_note(session, table.schema, index.name))
    return Condition(
        table=table,
        user=session.server.user,
        facts=await maintenance.look(session, table),
        vacuumed=await condition.is_vacuumed(session, table),
        built_for=built_for,
    )


async def _plan(handle: Handle, table: Table, k: int) -> Plan | None:
    """Return how a search would run, by PostgreSQL's own account; what is searched for does not matter to that."""
    if table.dimensions is None or table.partitioned:
        return None
    query = searching.Query.of(np.ones(table.dimensions, np.float32), k, None, None)
    return await searching.explain(handle, query, postgres=True)


async def _recall(handle: Handle, k: int, sample: int) -> RecallReport | None:
    query = searching.Query.of((), k, None, None)
    try:
        return await recall(handle, query, sample=sample, queries=None)
    except ConfigError:
        # There is nothing in scope to draw queries from, and nothing that searches could miss.
        return None


def judge_table(found: Condition) -> list[Finding]:
    """Return what is to be said of a collection."""
    return [
        *_writing(found),
        *_security(found),
        *_index(found),
        *_others(found.table),
        *_upkeep(found),
        *_searches(found),
    ]


def _writing(found: Condition) -> list[Finding]:
    table, role = found.table, f"role {found.user}"
    findings: list[Finding] = []
    if not table.writable:
        advice = f"GRANT INSERT, UPDATE, DELETE ON {table.qualified_name} TO {found.user}, where it is to write"
        findings.append(warn("rights", f"{role} may only read {table.qualified_name}", advice))
    elif not table.owned:
        advice = "have its owner build indexes and maintain it"
        findings.append(ok("rights", f"{role} may read and write; {advice}"))
    else:
        findings.append(ok("rights", f"{role} may do everything with {table.qualified_name}"))
    if table.unfilled:
        names = ", ".join(table.unfilled)
        advice = "give these columns defaults, or let them be NULL"
        findings.append(fail("columns", f"writes fail, because nothing fills {names}", advice))
    if not table.key:
        advice = "make a primary key of the domain's column and the id"
        findings.append(warn("key", "no unique key: records cannot be upserted by their ids", advice))
    return findings


def _security(found: Condition) -> list[Finding]:
    table = found.table
    if table.policed and not table.secured:
        have = f"row-level security does not bind role {found.user}, a superuser or one with BYPASSRLS"
        return [warn("security", have, "work as a role that it binds: pgrecall init --role … makes one")]
    return [ok("security", "row-level security keeps domains apart")] if table.policed else []


def _index(found: Condition) -> list[Finding]:
    table, figures = found.table, found.facts.figures
    findings = [
        fail("index", f"{name} is not valid: it slows writes and serves no search", "pgrecall maintain drops it")
        for name in found.facts.broken
    ]
    index = table.usable_index()
    if table.dimensions is None:
        advice = f"ALTER TABLE {table.qualified_name} ALTER COLUMN {table.columns.embedding} TYPE … with the dimensions"
        return [
            *findings,
            warn("index", "the column does not say how many dimensions there are: no index fits", advice),
        ]
    if index is None:
        return [*findings, _no_index(table, figures.rows)]
    if found.plan is not None and _is_passed_over(found.plan):
        have = f"PostgreSQL does not use {found.plan.index}, and reads the table instead"
        return [*findings, fail("index", have, "set random_page_cost to 1.1, and run pgrecall maintain")]
    if found.built_for and figures.rows > _GROWN * found.built_for:
        have = f"{index.name} has cells for {found.built_for:,} rows, and there are {figures.rows:,}"
        return [*findings, warn("index", have, "pgrecall index create --ivfflat --replace builds it anew")]
    used = "" if found.plan is None else f"; the way of a search: {found.plan.access.value}"
    return [*findings, ok("index", f"{index.name} ({index.method}) is valid{used}")]


def _is_passed_over(plan: Plan) -> bool:
    """Whether PostgreSQL does not use the index that it was to use."""
    return plan.index is not None and bool(plan.postgres) and not any(plan.index in line for line in plan.postgres)


def _no_index(table: Table, rows: int) -> Finding:
    others = [index for index in table.indexes if index.valid and index.condition is None]
    if recommend_index(rows, table.dimensions or 1).index is None:
        return ok("index", f"none, and none is needed: comparing {rows:,} rows is fast enough")
    if others:
        served = ", ".join(f"{index.name} serves {index.distance}" for index in others)
        have = f"none serves {table.distance.value}: {served}"
        return warn("index", have, "build one for this distance: pgrecall index create")
    return warn("index", f"none: each search compares all {rows:,} rows", "pgrecall index create builds one")


def _others(table: Table) -> list[Finding]:
    """Return what is wrong with indexes that filters and words need."""
    findings = [
        warn("fields", f"{index.name} on {index.column} is not valid", "pgrecall index create builds it anew")
        for index in table.field_indexes
        if not index.valid
    ]
    if table.text is not None and not table.text.indexed and table.text.index is None:
        have = f"{table.text.column} has no index: searches by words read all rows"
        findings.append(warn("words", have, "add_text_search() builds it"))
    return findings


def _upkeep(found: Condition) -> list[Finding]:
    figures = found.facts.figures
    findings = [
        warn("upkeep", step.why, "pgrecall maintain sees to it")
        for step in maintenance.steps(found.facts)
        if step.kind not in (Kind.DROP, Kind.PREWARM)
    ]
    if not found.vacuumed:
        advice = f"ALTER TABLE {found.table.qualified_name} RESET (autovacuum_enabled)"
        findings.append(warn("upkeep", "autovacuum is switched off for the table", advice))
    return findings or [ok("upkeep", f"{figures.rows:,} rows, {figures.dead:,} dead")]


def _searches(found: Condition) -> list[Finding]:
    report = found.recall
    if report is None:
        return []
    have = f"recall@{report.k} {report.recall:.3f} of {report.queries} stored embeddings, p50 {report.live_p50:.1f} ms"
    advice = "pgrecall tune finds the value with which searches find enough"
    if report.recall < _BAD_RECALL:
        return [fail("recall", have, advice)]
    if report.recall < _GOOD_RECALL:
        return [warn("recall", have, advice)]
    if report.short:
        return [warn("recall", f"{have}, {report.short} answers with fewer rows than there are", advice)]
    return [ok("recall", have)]
