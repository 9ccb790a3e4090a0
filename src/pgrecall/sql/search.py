"""Plan to SELECT: one statement, one round trip, for each way to the nearest rows.

The shape of the text carries the planner's choice, so that PostgreSQL's own estimates cannot undo it:

* exact: ``ORDER BY distance + 0`` cannot be served by a vector index;
* index: the scope's condition is wrapped in COALESCE, so that no other index can serve it;
* iterative: the same, scanning on until enough rows pass, and the best re-sorted;
* partial: the same, with the condition of the index as a constant, by which PostgreSQL recognises it;
* covering: ordered by code, which only an index-only scan gives cheaply; then the best by embedding.

Settings of the scan travel in the statement (``set_config`` in a one-time filter, local to it), so that
nothing leaks to the next user of the connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

from pgrecall.config import CODE_COLUMN
from pgrecall.distance import Distance, VectorType
from pgrecall.plan import Access, Plan
from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Param, Statement
from pgrecall.sql.fields import literal_condition
from pgrecall.sql.quantized import indexed_expression, indexed_operator
from pgrecall.sql.select import projection
from pgrecall.sql.where import conditions, where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.sql.dialect import Encoded
    from pgrecall.sql.selection import Selection
    from pgrecall.table import SparseColumn, Table

# Up to so many rows the second step costs more planning than it saves.
_FEW: Final = 500
_QUERY: Final = object()
_CODE: Final = object()
_QUERIES: Final = object()
_CODES: Final = object()
# Names that no column of an adopted table has.
_PLACE: Final = Identifier("pgrecall place")
_DISTANCE: Final = Identifier("pgrecall distance")
_ASKED: Final = Identifier("pgrecall asked")
_FOUND: Final = Identifier("pgrecall found")


@dataclass(frozen=True, slots=True)
class Search:
    """A search that lacks only the query's embedding; made once, it serves many queries."""

    text: str
    args: tuple[object, ...]
    selection: Selection
    sparse: bool = False

    @property
    def needs_code(self) -> bool:
        """Whether `bind` needs the query's code."""
        return _CODE in self.args

    def bind(self, query: Encoded, code: Encoded = b"") -> Statement:
        """Return the statement for *query*, an embedding in pgvector's binary format, and its code."""
        dialect, table = self.selection.dialect, self.selection.table
        values = {
            _QUERY: dialect.sparse_embedding(query) if self.sparse else dialect.embedding(query, table.vector_type)
        }
        if self.needs_code:
            values[_CODE] = dialect.embedding(code, VectorType.BIT)
        args = tuple(values.get(arg, arg) if type(arg) is object else arg for arg in self.args)
        return Statement(self.text, args, settings=self.selection.table.secured)


def search(
    selection: Selection,
    plan: Plan,
    *,
    extras: frozenset[str] = frozenset(),
    max_distance: float | None = None,
    sparse: SparseColumn | None = None,
) -> Search:
    """Return the statement that finds the nearest of the selected rows by *plan*.

    Args:
        selection: Which rows.
        plan: The way, from the planner.
        extras: What to return too, of what is only read where it is asked for.
        max_distance: Rows farther away are left out. Only for the exact way, where it also saves work;
            after another the caller cuts, so that it can tell few from far.
        sparse: The column to look into in the place of the embedding's, by inner product.
    """
    dialect, vector_type = selection.dialect, selection.table.vector_type
    query = Param(_QUERY, dialect.embedding_type(vector_type) if sparse is None else dialect.sparse_embedding_type)
    code = Param(_CODE, dialect.embedding_type(VectorType.BIT))
    statement = selection.compile(_Shape(selection, plan, extras, query, code, sparse).composed(max_distance))
    return Search(statement.text, statement.args, selection, sparse is not None)


@dataclass(frozen=True, slots=True)
class ManySearches:
    """The same search for many queries at once, which lacks only their embeddings."""

    text: str
    args: tuple[object, ...]
    selection: Selection

    @property
    def needs_codes(self) -> bool:
        """Whether `bind` needs the queries' codes."""
        return _CODES in self.args

    def bind(self, queries: Sequence[Encoded], codes: Sequence[Encoded] = ()) -> Statement:
        """Return the statement for *queries*, embeddings in pgvector's binary format, and their codes."""
        dialect, table = self.selection.dialect, self.selection.table
        values: dict[object, object] = {_QUERIES: [dialect.embedding(query, table.vector_type) for query in queries]}
        if self.needs_codes:
            values[_CODES] = [dialect.embedding(code, VectorType.BIT) for code in codes]
        args = tuple(values.get(arg, arg) if type(arg) is object else arg for arg in self.args)
        return Statement(self.text, args, settings=self.selection.table.secured)


def search_many(selection: Selection, plan: Plan, extras: frozenset[str]) -> ManySearches:
    """Return the statement that finds, for each of many queries, the nearest of the selected rows by *plan*.

    Its rows are: position of the query, from 1 on, then what `search` returns.
    """
    dialect, table = selection.dialect, selection.table
    needs_codes = plan.access is Access.COVERING
    query, code = (SQL("{asked}.{name}").format(asked=_ASKED, name=Identifier(name)) for name in ("e", "c"))
    lists: list[Composable] = [Param(_QUERIES, dialect.embeddings_type(table.vector_type))]
    names = ["e", "n"]
    if needs_codes:
        lists.append(Param(_CODES, dialect.embeddings_type(VectorType.BIT)))
        names = ["e", "c", "n"]
    statement = selection.compile(
        SQL(
            "SELECT {asked}.n::int AS position, {found}.* FROM unnest({lists}) WITH ORDINALITY AS {asked}({names}) "
            "CROSS JOIN LATERAL ({one}) AS {found}"
        ).format(
            asked=_ASKED,
            found=_FOUND,
            lists=SQL(", ").join(lists),
            names=SQL(", ").join(Identifier(name) for name in names),
            one=_Shape(selection, plan, extras, query, code).composed(None),
        )
    )
    return ManySearches(statement.text, statement.args, selection)


class _Shape:
    """The parts that the statements of one search have in common."""

    def __init__(
        self,
        selection: Selection,
        plan: Plan,
        extras: frozenset[str],
        query: Composable,
        code: Composable,
        sparse: SparseColumn | None = None,
    ) -> None:
        self._plan = plan
        self._table: Table = selection.table
        self._dialect = selection.dialect
        self._name = Identifier(self._table.schema, self._table.name)
        self._conditions = conditions(selection)
        self._places = selection.places()
        self._scoped = not selection.scope.is_everything
        self._columns = projection(selection, extras)
        self._query = query
        self._code = code
        self._operator: LiteralString
        if sparse is None:
            self._embedding = Identifier(self._table.columns.embedding)
            self._operator = indexed_operator(self._table, plan.quantized)[0]
            self._distance = self._between(self._table.distance.operator, self._embedding, self._query)
        else:
            self._embedding = Identifier(sparse.column)
            self._operator = Distance.INNER_PRODUCT.operator
            self._distance = self._between(self._operator, self._embedding, self._query)
        self._sized = self._table.sized or sparse is not None

    def composed(self, max_distance: float | None) -> Composable:
        """Return the statement for the plan's way."""
        if self._plan.access is Access.EXACT:
            return self.exact(max_distance)
        return self.covering() if self._plan.access is Access.COVERING else self.scan()

    def exact(self, max_distance: float | None) -> Composable:
        parts = [*self._conditions, *self._places]
        if max_distance is not None:
            limit = Param(max_distance, "float8")
            near = SQL("{distance} <= {limit}").format(distance=self._distance, limit=limit)
            parts = [*parts, near] if self._sized else [self._after(parts, near)]
        # Also where the column takes no NULL: another process may have it take NULL, for those who write with another
        # model, before this one looks at the table again.
        parts = [*parts, SQL("{c} IS NOT NULL").format(c=self._embedding)]
        order = SQL("({distance}) + 0").format(distance=self._distance)
        few = self._plan.matches is not None and self._plan.matches <= _FEW
        if self._table.partitioned or few:
            return self._nearest(self._columns, parts, order, self._plan.k)
        # Rows are wide, and all but k of them are only compared: those are sorted without what they carry.
        return SQL(
            "WITH nearest AS MATERIALIZED (SELECT ctid AS {place}, {distance} AS {how_far} FROM {table} {where} "
            "ORDER BY {order} LIMIT {k}) SELECT {columns}, {how_far} AS distance FROM nearest "
            "JOIN {table} AS found ON found.ctid = {place} ORDER BY {how_far}"
        ).format(
            place=_PLACE,
            how_far=_DISTANCE,
            distance=self._distance,
            table=self._name,
            where=where(parts),
            order=order,
            k=Integer(self._plan.k),
            columns=self._columns,
        )

    def _after(self, parts: list[Composable], condition: Composable) -> Composable:
        """Return *parts*, and then *condition*, which fails on rows of other dimensions that they keep out.

        Conditions that are joined with AND are evaluated in any order.
        """
        first = SQL(" AND ").join([*parts, SQL("{c} IS NOT NULL").format(c=self._embedding)])
        return SQL("CASE WHEN {first} THEN {then} ELSE false END").format(first=first, then=condition)

    def scan(self) -> Composable:
        """Return a scan of a vector index, and where that is not in the right order, the best of it."""
        plan, table = self._plan, self._table
        parts: list[Composable] = [_settings(plan)]
        if self._conditions:
            # All in one, since PostgreSQL takes each for one that half of the rows pass.
            every = SQL(" AND ").join(self._conditions)
            parts.append(SQL("COALESCE({every}, false)").format(every=every))
            if table.layout is not None and self._scoped:
                # Plain, so that PostgreSQL reads one partition only.
                parts.append(self._conditions[0])
        if plan.condition is not None:
            parts.append(literal_condition(table, plan.condition))
        query: Composable = self._query
        if plan.quantized is VectorType.HALFVEC and table.distance is Distance.COSINE:
            # Its length means nothing here, and may be more than half precision holds.
            query = SQL("{normalize}({query})").format(
                normalize=Identifier(self._dialect.vector_schema, "l2_normalize"), query=query
            )
        held, asked = (
            indexed_expression(table, plan.quantized, side, self._dialect) for side in (self._embedding, query)
        )
        scanned = self._nearest(self._columns, parts, self._between(self._operator, held, asked), plan.fetch)
        if plan.access is Access.INDEX and plan.quantized is None:
            return scanned
        # "+ 0": from PostgreSQL 17 on, the order of the inner scan would be taken for granted otherwise.
        return SQL(
            "WITH nearest AS MATERIALIZED ({scan}) SELECT * FROM nearest ORDER BY distance + 0 LIMIT {k}"
        ).format(scan=scanned, k=Integer(plan.k))

    def covering(self) -> Composable:
        code = Identifier(CODE_COLUMN)
        parts = [*self._conditions, SQL("{code} IS NOT NULL").format(code=code)]
        key = SQL(", ").join(Identifier(name) for name in self._table.key)
        return SQL(
            "WITH nearest AS MATERIALIZED (SELECT {key} FROM {table} {where} ORDER BY {order} LIMIT {fetch}) "
            "SELECT {columns}, {distance} AS distance FROM nearest JOIN {table} AS found USING ({key}) "
            "ORDER BY distance LIMIT {k}"
        ).format(
            key=key,
            table=self._name,
            where=where(parts),
            order=self._between(Distance.HAMMING.operator, code, self._code),
            fetch=Integer(self._plan.fetch),
            columns=self._columns,
            distance=self._distance,
            k=Integer(self._plan.k),
        )

    def _between(self, operator: LiteralString, left: Composable, right: Composable) -> Composable:
        return SQL("{left} OPERATOR({schema}.{operator}) {right}").format(
            left=left, schema=Identifier(self._dialect.vector_schema), operator=SQL(operator), right=right
        )

    def _nearest(self, columns: Composable, parts: list[Composable], order: Composable, limit: int) -> Composable:
        return SQL(
            "SELECT {columns}, {distance} AS distance FROM {table} {where} ORDER BY {order} LIMIT {limit}"
        ).format(
            columns=columns,
            distance=self._distance,
            table=self._name,
            where=where(parts),
            order=order,
            limit=Integer(limit),
        )


def _settings(plan: Plan) -> Composable:
    """Return a condition that is always true and sets what the index scan reads when it starts."""
    knob: LiteralString = "ivfflat.probes" if plan.method == "ivfflat" else "hnsw.ef_search"
    settings = [_set(knob, plan.candidates)]
    if plan.max_scan_tuples is not None:
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
