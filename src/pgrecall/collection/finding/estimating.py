"""How many rows pass: from the cheapest source that can be trusted, and kept for a minute."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pgrecall.planner import ALWAYS_EXACT, exact_limit
from pgrecall.postgres import statistics
from pgrecall.postgres.partitions import rows_held
from pgrecall.scope import Scope
from pgrecall.sql import dml
from pgrecall.sql.fields import is_covered, is_indexed
from pgrecall.sql.security import POLICY_SHARE

if TYPE_CHECKING:
    from pgrecall.collection.handle import Handle
    from pgrecall.config import SearchOptions
    from pgrecall.postgres import Session
    from pgrecall.sql.selection import Selection

_SECONDS: Final = 60.0
_MAX_KNOWN: Final = 4_096
# One row of so many tells apart what matters: whether hundreds or thousands pass.
_ROWS: Final = re.compile(r"\(cost=\S+ rows=(\d+) width")
_SAMPLE_ROWS: Final = 800
# Whole pages are sampled, and the rows of a page were often written together and are alike.
_SAMPLE_PAGES: Final = 200
# A scope that keeps this share of the table is not worth filtering for: nearly every row found passes.
_NEARLY_ALL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows a search is about.

    Attributes:
        rows: Estimated rows of the table, or of the partitions that the domains in scope are in.
        matches: Estimated rows that pass scope and filter.
        filtered: Whether a filter, or a scope that keeps only a part of the rows, is in force.
    """

    rows: int
    matches: int
    filtered: bool


async def counts(
    handle: Handle, session: Session, selection: Selection, k: int, options: SearchOptions, dimensions: int
) -> Counts:
    """Return how many rows a search for the k nearest of the selected rows is about.

    Args:
        handle: Keeps what was found out.
        session: Where to ask.
        selection: Which rows.
        k: Rows wanted.
        options: The caller's overrides of the planner.
        dimensions: Length of what is compared.
    """
    filtered = selection.filter is not None
    matches = rows = await _searched_rows(handle, session, selection)
    limit = exact_limit(k, rows, options, dimensions)
    if not selection.scope.is_everything and selection.table.columns.domain_id is not None:
        matches = await estimate(handle, session, replace(selection, filter=None), limit)
        filtered = filtered or matches < _NEARLY_ALL * rows
    if selection.filter is not None:
        matches = await estimate(handle, session, selection, limit)
    return Counts(rows, min(matches, rows), filtered)


async def estimate_rows(handle: Handle, session: Session, selection: Selection) -> int:
    """Return about how many rows the whole table has."""
    return await estimate(handle, session, replace(selection, scope=Scope.everything(), filter=None), 0)


async def _searched_rows(handle: Handle, session: Session, selection: Selection) -> int:
    """Return about how many rows are in what a search reads: the table, or the partitions of the domains in scope."""
    if selection.table.layout is None or selection.scope.is_everything:
        return await estimate_rows(handle, session, selection)
    known = handle.knowledge.held
    now = time.monotonic()
    if (cached := known.get(hash(selection.scope))) is not None and now - cached[1] < _SECONDS:
        return cached[0]
    oids = [row[0] for row in await session.fetch(dml.partitions_of(selection))]
    held = await rows_held(session, oids) if oids else 0
    if held is None:
        # Never counted: their part of the whole cannot be told either.
        return await estimate_rows(handle, session, selection)
    if len(known) >= _MAX_KNOWN:
        known.clear()
    known[hash(selection.scope)] = (held, now)
    return held


async def estimate(handle: Handle, session: Session, selection: Selection, limit: int) -> int:
    """Return about how many rows are selected, and just how many where that is not above *limit*.

    What typed columns say comes from PostgreSQL's statistics. Of what is inside of JSON they know nothing
    that could be relied on, so there a sample of the table is looked at.
    """
    known = handle.knowledge.estimates
    key = hash((selection.scope, selection.filter))
    now = time.monotonic()
    if (cached := known.get(key)) is not None and now - cached[1] < _SECONDS:
        return cached[0]
    passing = await _estimate(handle, session, selection, limit)
    learn(handle, selection, passing)
    return passing


def learn(handle: Handle, selection: Selection, passing: int) -> None:
    """Keep that so many rows are selected."""
    known = handle.knowledge.estimates
    if len(known) >= _MAX_KNOWN:
        known.clear()
    known[hash((selection.scope, selection.filter))] = (passing, time.monotonic())


async def _estimate(handle: Handle, session: Session, selection: Selection, limit: int) -> int:
    filter = selection.filter
    if not limit and selection.table.secured:
        # By the figures of the whole table, of which this role sees only its domain.
        rows = await statistics.estimated_rows(session, selection.table)
        return max(0, round(selection.table.rows)) if rows is None else rows
    if not limit:
        return await _expected(session, selection)
    if filter is None:
        passing = await session.fetch_value(dml.count_up_to(selection, limit + 1))
        return passing if passing <= limit else max(passing, await _expected(session, selection))
    if is_covered(selection.table, filter):
        about = await _expected(session, selection)
        # Twice the limit, since an estimate that is off by so much may lie on the wrong side of it.
        decided = about > 2 * limit
    else:
        about, least = await _sampled(handle, session, selection)
        few = least <= ALWAYS_EXACT and about <= 2 * ALWAYS_EXACT
        about = min(about, ALWAYS_EXACT) if few else about
        # Where no index helps, counting would mean reading the whole table, as the search itself may.
        decided = few or least > ALWAYS_EXACT or not is_indexed(selection.table, filter)
    if decided:
        return about
    passing = await session.fetch_value(dml.count_up_to(selection, limit + 1))
    return passing if passing <= limit else max(passing, about)


async def _expected(session: Session, selection: Selection) -> int:
    """Return how many rows PostgreSQL expects."""
    # As text, since a lent connection may have any codec for JSON.
    lines = await session.fetch(dml.explain(dml.matching(selection)))
    rows = int(_ROWS.findall("\n".join(line[0] for line in lines))[0])
    return round(rows / POLICY_SHARE) if selection.table.secured else rows


async def _sampled(handle: Handle, session: Session, selection: Selection) -> tuple[int, int]:
    """Return how many rows pass by a sample, and how many at the least: two standard deviations fewer."""
    rows = await _searched_rows(handle, session, selection)
    pages = selection.table.pages
    share = max(_SAMPLE_ROWS / max(rows, 1), _SAMPLE_PAGES / pages if pages else 0.0)
    percent = min(100.0, 100.0 * share)
    passing, seen = (await session.fetch(dml.count_sample(selection, percent)))[0]
    of_scope = selection.table.secured or selection.table.layout is not None
    if of_scope and not selection.scope.is_everything:
        # What is seen of the sample is the scope's own part of it.
        rows = await estimate(handle, session, replace(selection, filter=None), ALWAYS_EXACT)
    if percent >= 100.0:  # noqa: PLR2004 - per cent
        return passing, passing
    least = passing - 2 * math.sqrt(passing)
    # Half a row more, so that none in a sample does not mean none in the table.
    return round(rows * (passing + 0.5) / (seen + 1)), round(rows * least / max(seen, 1))
