"""Lookups by numbers: rows found under row-level security by a promoted field's index, equal to a number or in a range.

PostgreSQL lets no comparison of numerics into an index that policies guard, as little as others (see `lookups`). Each
field that holds numbers has a lookup of its own, which shows where those rows of the named domains are whose number
lies between the two in the parameter ``pgrecall.wanted_numbers``, both included.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from pgrecall.filters import And, Compare, Equals, Filter
from pgrecall.filters.nodes import Order
from pgrecall.promoted import FieldType, PromotedField
from pgrecall.sql import lookups
from pgrecall.sql.compose import SQL, Composable, Identifier, Param, Statement
from pgrecall.sql.fields import number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.table import Table

_WANTED: Final = "NULLIF(current_setting('pgrecall.wanted_numbers', true), '')::numeric[]"
_ENDLESS: Final = Decimal("Infinity")


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers of one field that are wanted.

    Attributes:
        column: The field's column.
        low: The lowest.
        high: The highest.
    """

    column: str
    low: Decimal = -_ENDLESS
    high: Decimal = _ENDLESS

    @property
    def width(self) -> int:
        """How little it says: 0 for one number, 1 between two, 2 where one side is open."""
        return 0 if self.low == self.high else 1 + (_ENDLESS in (-self.low, self.high))

    def within(self, other: Range) -> Range:
        """Return the numbers that are in both."""
        return Range(self.column, max(self.low, other.low), min(self.high, other.high))


def create(table: Table, field: PromotedField, name: str, owner: str | None = None) -> list[Statement]:
    """Return the statements that make the lookup of *table* by the numbers of *field*; see `lookups.create`."""
    view = Identifier(table.schema, name)
    defined = SQL(
        "CREATE VIEW {view} WITH (security_barrier) AS SELECT ctid AS place FROM {table} WHERE {domain} "
        "AND {column} >= (SELECT ({wanted})[1]) AND {column} <= (SELECT ({wanted})[2])"
    ).format(
        view=view,
        table=Identifier(table.schema, table.name),
        domain=lookups.is_named(table),
        column=Identifier(field.column),
        wanted=SQL(_WANTED),
    )
    return lookups.made(view, defined, lookups.NUMBERS_NOTE, owner)


def serves(table: Table, field: PromotedField) -> bool:
    """Whether a table can have a lookup by the numbers of *field*."""
    return field.type is FieldType.NUMBER and table.columns.domain_id is not None and not table.partitioned


def wanted(table: Table, filter: Filter | None, *, counted: bool = False) -> Range | None:
    """Return a range of one field, with a lookup, in which every row is that passes *filter*.

    It is `None` where another way is as good: where no lookup is needed, and where the metadata must hold something
    else too, or several numbers, by all of which it is found at once.

    Args:
        table: The table.
        filter: The filter.
        counted: Whether the rows are only counted. Then the index tells most of it without the rows, and a range, in
            which nearly all of them may be, is not worth looking each one up.
    """
    if filter is None or not table.secured or not table.number_lookups or lookups.is_served(table, filter):
        return None
    found: dict[str, Range] = {}
    rest: list[Filter] = []
    for clause in lookups.conjuncts(filter):
        numbers = None if counted and isinstance(clause, Compare) else _range(table, clause)
        if numbers is None:
            rest.append(clause)
        else:
            before = found.get(numbers.column)
            found[numbers.column] = numbers if before is None else numbers.within(before)
    best = sorted(found.values(), key=lambda one: one.width)
    several = sum(one.width == 0 for one in best) > 1
    if not best or several or (rest and lookups.wanted(table, And(tuple(rest))) is not None):
        return None
    return best[0]


def places(table: Table, numbers: Range) -> Composable:
    """Return the condition that a row is at a place which the lookup has found."""
    return lookups.at_places(Identifier(table.schema, dict(table.number_lookups)[numbers.column]))


def as_setting(numbers: Range) -> Composable:
    """Return the expression that has the lookup find rows with *numbers*, until the transaction ends."""
    ends: Sequence[str] = [f"{numbers.low:f}", f"{numbers.high:f}"]
    return SQL("set_config('pgrecall.wanted_numbers', {ends}::text, true)").format(ends=Param(ends, "text[]"))


def _range(table: Table, clause: Filter) -> Range | None:
    if not isinstance(clause, Equals | Compare):
        return None
    field = table.field(clause.field)
    number = None if field is None else number_of(field, clause.json)
    if field is None or number is None or field.column not in dict(table.number_lookups):
        return None
    if isinstance(clause, Equals):
        return Range(field.column, number, number)
    if clause.order in (Order.LESS, Order.LESS_OR_EQUAL):
        return Range(field.column, high=number)
    return Range(field.column, low=number)
