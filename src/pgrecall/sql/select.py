"""Plan to SELECT: one statement, one round trip, for each way to the nearest rows.

The shape of the text carries the planner's choice, so that PostgreSQL's own estimates cannot undo it:

* exact: ``ORDER BY distance + 0`` cannot be served by a vector index;
* index: the scope's condition is wrapped in COALESCE, so that no other index can serve it;
* iterative: the same, scanning on until enough rows pass, and the best re-sorted.

Settings of the scan travel in the statement (``set_config`` in a one-time filter, local to it), so that
nothing leaks to the next user of the connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

from pgrecall.plan import Access, Plan
from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Param, Statement
from pgrecall.sql.dml import id_type, ids_array
from pgrecall.sql.where import conditions, where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.sql.dialect import Encoded
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table

ROW = ("id", "content", "metadata", "document_id", "chunk_index", "domain_id", "embedding", "envelope")
"""What every row that is read consists of, in this order; a search puts the distance behind it."""
_QUERY: Final = object()


@dataclass(frozen=True, slots=True)
class Search:
    """A search that lacks only the query's embedding; made once, it serves many queries."""

    text: str
    args: tuple[object, ...]
    selection: Selection

    def bind(self, query: Encoded) -> Statement:
        """Return the statement for *query*, an embedding in pgvector's binary format."""
        value = self.selection.dialect.embedding(query, self.selection.table.vector_type)
        return Statement(self.text, tuple(value if arg is _QUERY else arg for arg in self.args))


def search(
    selection: Selection,
    plan: Plan,
    *,
    extras: frozenset[str] = frozenset(),
    max_distance: float | None = None,
) -> Search:
    """Return the statement that finds the nearest of the selected rows by *plan*.

    Args:
        selection: Which rows.
        plan: The way, from the planner.
        extras: Which of ``embedding`` and ``envelope`` to return too.
        max_distance: Rows farther away are left out. Only for the exact way, where it also saves work;
            after an index scan the caller cuts, so that it can tell few from far.
    """
    statement = _composed(selection, plan, extras, max_distance).compile()
    return Search(statement.text, statement.args, selection)


def _composed(selection: Selection, plan: Plan, extras: frozenset[str], max_distance: float | None) -> Composable:
    table, dialect = selection.table, selection.dialect
    distance = SQL("{embedding} OPERATOR({schema}.{operator}) {query}").format(
        embedding=Identifier(table.columns.embedding),
        schema=Identifier(dialect.vector_schema),
        operator=SQL(table.distance.operator),
        query=Param(_QUERY, dialect.embedding_type(table.vector_type)),
    )
    parts = conditions(selection)
    columns = projection(selection, extras)
    if plan.access is Access.EXACT:
        if max_distance is not None:
            parts.append(SQL("{distance} <= {limit}").format(distance=distance, limit=Param(max_distance, "float8")))
        return _exact(plan, table, parts, columns, distance)
    hidden = [SQL("COALESCE({part}, false)").format(part=part) for part in parts]
    parts = [_settings(plan), *hidden]
    if plan.access is Access.INDEX:
        return _nearest(table, parts, columns, distance, order=distance, limit=plan.fetch)
    # "+ 0": from PostgreSQL 17 on, the order of the inner scan would be taken for granted otherwise.
    return SQL("WITH nearest AS MATERIALIZED ({scan}) SELECT * FROM nearest ORDER BY distance + 0 LIMIT {k}").format(
        scan=_nearest(table, parts, columns, distance, order=distance, limit=plan.fetch), k=Integer(plan.k)
    )


def projection(selection: Selection, extras: frozenset[str]) -> Composable:
    """Return the columns of `ROW`; those that the table lacks, or nobody asked for, are NULL."""
    table, columns = selection.table, selection.table.columns
    wanted: dict[str, str | None] = {name: getattr(columns, name) for name in ROW}
    if not selection.scope.is_everything:
        wanted["domain_id"] = None
    for extra in ("embedding", "envelope"):
        if extra not in extras:
            wanted[extra] = None
    parts: list[Composable] = []
    for name in ROW:
        column = wanted[name]
        if column is None:
            parts.append(SQL("NULL AS {alias}").format(alias=Identifier(name)))
        elif name == "id" and table.id_type != "text":
            parts.append(SQL("{c}::text AS {alias}").format(c=Identifier(column), alias=Identifier(name)))
        elif name in ("metadata", "embedding", "envelope"):
            parts.append(
                SQL("{c} AS {alias}").format(c=selection.dialect.select(Identifier(column)), alias=Identifier(name))
            )
        else:
            parts.append(SQL("{c} AS {alias}").format(c=Identifier(column), alias=Identifier(name)))
    return SQL(", ").join(parts)


def by_ids(selection: Selection, ids: Sequence[str], extras: frozenset[str]) -> Statement:
    """Return the statement that reads rows by id: the columns of `ROW`, then the time of creation."""
    table = selection.table
    wanted = SQL("{id} = ANY({ids})").format(id=Identifier(table.columns.id), ids=ids_array(ids, table))
    return _read(selection, extras, [*conditions(selection), wanted], SQL(""))


def page(
    selection: Selection, *, limit: int, after: tuple[str, ...] | None, prefix: str | None, extras: frozenset[str]
) -> Statement:
    """Return the statement that reads *limit* rows in the order of their (domain and) id.

    Args:
        selection: Which rows.
        limit: Most rows.
        after: The id, or domain and id, behind which the page starts.
        prefix: What the ids must begin with.
        extras: Which of ``embedding`` and ``envelope`` to return too.
    """
    table = selection.table
    # With the table's name: a bare name in ORDER BY would first mean an output column.
    identifier = Identifier(table.schema, table.name, table.columns.id)
    order: list[Composable] = [identifier]
    if selection.scope.is_everything and table.columns.domain_id is not None and table.columns.domain_id in table.key:
        order.insert(0, Identifier(table.schema, table.name, table.columns.domain_id))
    parts = conditions(selection)
    if after is not None:
        values: list[Composable] = [Param(value, "text") for value in after]
        values[-1] = SQL("{value}::{type}").format(value=values[-1], type=id_type(table))
        parts.append(SQL("({order}) > ({values})").format(order=SQL(", ").join(order), values=SQL(", ").join(values)))
    if prefix:
        parts.append(SQL("starts_with({id}::text, {prefix})").format(id=identifier, prefix=Param(prefix, "text")))
    tail = SQL("ORDER BY {order} LIMIT {limit}").format(order=SQL(", ").join(order), limit=Integer(limit))
    return _read(selection, extras, parts, tail)


def _read(selection: Selection, extras: frozenset[str], parts: list[Composable], tail: Composable) -> Statement:
    table = selection.table
    created = table.columns.created_at
    return (
        SQL("SELECT {columns}, {created} AS created_at FROM {table} {where} {tail}")
        .format(
            columns=projection(selection, extras),
            created=SQL("NULL") if created is None else Identifier(created),
            table=Identifier(table.schema, table.name),
            where=where(parts),
            tail=tail,
        )
        .compile()
    )


def _exact(plan: Plan, table: Table, parts: list[Composable], columns: Composable, distance: Composable) -> Composable:
    if table.embedding_nullable:
        parts.append(SQL("{c} IS NOT NULL").format(c=Identifier(table.columns.embedding)))
    order = SQL("({distance}) + 0").format(distance=distance)
    return _nearest(table, parts, columns, distance, order=order, limit=plan.k)


def _nearest(
    table: Table,
    parts: list[Composable],
    columns: Composable,
    distance: Composable,
    *,
    order: Composable,
    limit: int,
) -> Composable:
    return SQL("SELECT {columns}, {distance} AS distance FROM {table} {where} ORDER BY {order} LIMIT {limit}").format(
        columns=columns,
        distance=distance,
        table=Identifier(table.schema, table.name),
        where=where(parts),
        order=order,
        limit=Integer(limit),
    )


def _settings(plan: Plan) -> Composable:
    """Return a condition that is always true and sets what the index scan reads when it starts."""
    knob: LiteralString = "ivfflat.probes" if plan.method == "ivfflat" else "hnsw.ef_search"
    settings = [_set(knob, plan.candidates)]
    if plan.access is Access.ITERATIVE:
        if plan.method == "ivfflat":
            settings.append(SQL("set_config('ivfflat.iterative_scan', 'relaxed_order', true)"))
        else:
            settings.append(SQL("set_config('hnsw.iterative_scan', 'relaxed_order', true)"))
            settings.append(_set("hnsw.max_scan_tuples", plan.max_scan_tuples))
            settings.append(_set("hnsw.scan_mem_multiplier", plan.scan_memory))
    return SQL("(SELECT {all}) IS NOT NULL").format(all=SQL(" || ").join(settings))


def _set(name: LiteralString, value: int | None) -> Composable:
    return SQL("set_config({name}, {value}, true)").format(name=_quoted(name), value=Param(str(value), "text"))


def _quoted(name: LiteralString) -> SQL:
    return SQL("'" + name + "'")
