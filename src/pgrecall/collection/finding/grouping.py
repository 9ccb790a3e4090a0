"""The best groups of records, such as documents, with the best records of each; and records counted by value."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pgrecall import jsonb, vectors
from pgrecall.checks import check_range
from pgrecall.collection.finding import searching
from pgrecall.collection.finding.reading import as_match
from pgrecall.config import MAX_K
from pgrecall.embeddings import as_vector
from pgrecall.filters import In, parse, parse_field
from pgrecall.records import Facet, Group
from pgrecall.sql import groups as sql
from pgrecall.sql.select import ROW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgrecall.collection.finding.searching import Query
    from pgrecall.collection.handle import Handle
    from pgrecall.filters import Field, Filter
    from pgrecall.postgres import Session
    from pgrecall.records import Match
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table

MAX_GROUPS: Final = 1_000
MAX_FACETS: Final = 10_000
# Of the nearest records so many times as many as are wanted, since many are of the same group; then more.
_FIRST: Final = 4
_MORE: Final = 5
_COLUMNS: Final = len(ROW) + 1  # with the distance


async def search_groups(handle: Handle, query: Query, field: Field, groups: int, size: int) -> list[Group]:
    """See `AsyncCollection.search_groups`."""

    async def work(session: Session) -> list[Group]:
        table = await handle.table(session)
        if table is None:
            return []
        vector = as_vector(query.embedding, table.dimensions, table.vector_type, table.distance)
        encoded = vectors.encode(vector[None], table.vector_type)[0]
        selection = handle.selection(session, table, query.filter)
        values = await _nearest(handle, session, selection, query, field, groups)
        if values is None:
            found = await session.fetch(sql.nearest_groups(selection, field, groups, encoded))
            values = [row[0] for row in found]
        if not values:
            return []
        # As PostgreSQL wrote them: read and written again, numbers of many digits would be others.
        inside = In(field, tuple(value.encode() for value in values))
        narrowed = replace(selection, filter=inside if query.filter is None else query.filter & inside)
        rows = await session.fetch(sql.best_of_groups(narrowed, field, size, encoded, query.extras))
        return _grouped(rows, values, table, handle, session)

    return await handle.run(work)


async def _nearest(
    handle: Handle, session: Session, selection: Selection, query: Query, field: Field, groups: int
) -> list[str] | None:
    """Return the values of the nearest groups; `None` where those cannot be found without comparing all records."""
    k = min(MAX_K, _FIRST * groups)
    while True:
        matches, _ = await searching.run(handle, session, replace(query, k=k, extras=frozenset()))
        if not matches:
            return []
        told = await session.fetch(sql.groups_of(selection, field, [match.id for match in matches]))
        domain = handle.scope.domain
        of = {(row[0] if domain is None else domain, row[1]): row[2] for row in told}
        values = list(dict.fromkeys(of.get((match.domain_id, match.id)) for match in matches))
        found = [value for value in values if value is not None]
        if len(found) >= groups or len(matches) < k:
            return found[:groups]
        if k == MAX_K:
            return None
        k = min(MAX_K, _MORE * k)


def _grouped(rows: Sequence[Any], values: Sequence[str], table: Table, handle: Handle, session: Session) -> list[Group]:
    matches: dict[str, list[Match]] = {value: [] for value in values}
    for row in rows:
        match = as_match(
            row[:_COLUMNS],
            table.distance.score(row[_COLUMNS - 1]),
            table,
            session.dialect,
            handle.scope.domain,
        )
        matches.setdefault(row[_COLUMNS], []).append(match)
    made = [Group(jsonb.loads(value), found) for value, found in matches.items() if found]
    return sorted(made, key=lambda group: group.matches[0].distance)


async def facet(handle: Handle, field: str, limit: int, filter: Filter | Mapping[str, Any] | None) -> list[Facet]:
    """See `AsyncCollection.facet`."""
    check_range(limit, "limit", 1, MAX_FACETS)
    counted, parsed = parse_field(field), parse(filter)

    async def work(session: Session) -> list[Facet]:
        table = await handle.table(session)
        if table is None:
            return []
        rows = await session.fetch(sql.facets(handle.selection(session, table, parsed), counted, limit))
        return [Facet(jsonb.loads(row[0]), row[1]) for row in rows]

    return await handle.run(work)
