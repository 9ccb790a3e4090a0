"""Scope and filter to conditions.

Every condition is true, or it is not: null and false mean the same, and nothing in a row can make a
condition fail. So what is compared is first made sure to be of the right type, and negation is
``IS NOT TRUE``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, LiteralString, assert_never

from pgrecall import jsonb
from pgrecall.errors import SchemaError
from pgrecall.filters.limits import FEW
from pgrecall.filters.nodes import (
    And,
    Column,
    Compare,
    Contains,
    Equals,
    Exists,
    Filter,
    In,
    InTable,
    IsEmpty,
    Key,
    Matches,
    Not,
    Or,
    Order,
)
from pgrecall.sql.columns import column_condition, column_text
from pgrecall.sql.comparison import OPERATORS, matches
from pgrecall.sql.compose import SQL, Composable, Param
from pgrecall.sql.domains import domain_column, in_scope
from pgrecall.sql.fields import field_condition
from pgrecall.sql.metadata import place_of
from pgrecall.sql.metadata_columns import metadata_column_condition
from pgrecall.sql.related import in_table

if TYPE_CHECKING:
    from pgrecall.sql.dialect import Dialect
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table

Leaf = Equals | In | Compare | Exists | IsEmpty | Contains | Matches
FALSE: Final = SQL("false")


def conditions(selection: Selection) -> list[Composable]:
    """Return the conditions that a selected row meets, to be joined with AND; the scope's comes first.

    Raises:
        SchemaError: The table has not the column that the scope or the filter needs.
    """
    table = selection.table
    found = in_scope(table, selection.scope, domain_column(table))
    if selection.filter is not None:
        found += _conjunction(table, selection.filter, selection.dialect)
    return found


def where(parts: list[Composable]) -> Composable:
    """Return ``WHERE … AND …``, or nothing where there are no conditions."""
    return SQL("WHERE {all}").format(all=SQL(" AND ").join(parts)) if parts else SQL("")


def _conjunction(table: Table, node: Filter, dialect: Dialect) -> list[Composable]:
    """Return *node* as conditions to be joined with AND."""
    if isinstance(node, And):
        return [part for clause in node.clauses for part in _conjunction(table, clause, dialect)]
    return [_condition(table, node, dialect)]


def _condition(table: Table, node: Filter, dialect: Dialect) -> Composable:
    match node:
        case And():
            parts = _conjunction(table, node, dialect)
            return _joined(" AND ", parts) if parts else SQL("true")
        case Or():
            return _joined(" OR ", [_condition(table, clause, dialect) for clause in node.clauses])
        case Not():
            return SQL("({clause}) IS NOT TRUE").format(clause=_condition(table, node.clause, dialect))
        case Equals() | In() | Compare() | Exists() | IsEmpty() | Contains() | Matches():
            if isinstance(node.field, Column):
                return column_condition(table, node.field, node)
            promoted = table.field(node.field)
            if promoted is not None and (condition := field_condition(promoted, node, dialect)) is not None:
                return condition
            if (condition := metadata_column_condition(table, node.field, node)) is not None:
                return condition
            return _KeyConditions(table, node.field, dialect).of(node)
        case InTable(field=Column() as column):
            return in_table(node, column_text(table, column))
        case InTable(field=Key() as key):
            return in_table(node, _KeyConditions(table, key, dialect).text)
        case _:
            msg = f"{node!r} is not a filter"
            raise TypeError(msg)


def _joined(operator: LiteralString, parts: list[Composable]) -> Composable:
    if not parts:
        return FALSE
    return parts[0] if len(parts) == 1 else SQL("({all})").format(all=SQL(operator).join(parts))


class _KeyConditions:
    """Conditions on one key of the metadata."""

    def __init__(self, table: Table, key: Key, dialect: Dialect) -> None:
        place = place_of(table, key)
        if place is None:
            msg = f"{table.qualified_name} has no metadata column, so the filter on {str(key)!r} cannot be answered"
            raise SchemaError(msg)
        self._dialect = dialect
        self._metadata, self._path = place
        if not self._path:
            self._value = self._metadata
            self.text = SQL("({value} #>> '{empty}')").format(value=self._value, empty=SQL("{}"))
            return
        # Step by step, because a path in one would take a name that is a number for a place in a list.
        *steps, last = [Param(name, "text") for name in self._path]
        parent = self._metadata
        for step in steps:
            parent = SQL("{parent} -> {step}").format(parent=parent, step=step)
        self._value = SQL("({parent} -> {last})").format(parent=parent, last=last)
        self.text = SQL("({parent} ->> {last})").format(parent=parent, last=last)

    def of(self, node: Leaf) -> Composable:
        match node:
            case Equals():
                return self._equals(node.json)
            case In() if len(node.jsons) > FEW:
                # One parameter, since a statement takes 32,767; no index serves so many anyway.
                others = [json for json in node.jsons if json != b"null"]
                parts: list[Composable] = [
                    SQL("{value} = ANY({others})").format(value=self._value, others=self._dialect.jsons(others))
                ]
                if len(others) < len(node.jsons):
                    parts.append(self._equals(b"null"))
                return _joined(" OR ", [*parts])
            case In():
                return _joined(" OR ", [self._equals(json) for json in node.jsons])
            case Compare():
                return self._compare(node.order, node.json)
            case Exists():
                return SQL("{value} IS NOT NULL").format(value=self._value)
            case IsEmpty():
                empty = SQL("""('null'::jsonb, '""'::jsonb, '[]'::jsonb)""")
                return SQL("COALESCE({value}, 'null') IN {empty}").format(value=self._value, empty=empty)
            case Contains():
                return self._contains(node.json)
            case Matches():
                fits = matches(node, self.text)
                return SQL("({is_text} AND {fits})").format(is_text=self._is("string"), fits=fits)
            case _:
                assert_never(node)

    def _equals(self, json: bytes) -> Composable:
        if json == b"null":
            return SQL("COALESCE({value}, 'null') = 'null'").format(value=self._value)
        # Containment is what a GIN index serves. It is equality for all but objects and arrays, of which
        # it takes a part for the whole, so those are compared once more.
        equal = SQL("{value} = {other}").format(value=self._value, other=self._dialect.json(json))
        if not self._path:
            return equal
        contains = self._holds(json)
        if json[:1] not in b"{[":
            return contains
        return _joined(" AND ", [contains, equal])

    def _holds(self, json: bytes) -> Composable:
        """Return that the metadata contains this value at the key."""
        for name in reversed(self._path):
            json = b"{" + jsonb.dumps(name) + b":" + json + b"}"
        return SQL("{metadata} @> {nested}").format(metadata=self._metadata, nested=self._dialect.json(json))

    def _compare(self, order: Order, json: bytes) -> Composable:
        operator = SQL(OPERATORS[order])
        if json[:1] == b'"':
            # Not the database's collation, in which the order of two texts depends on the machine.
            text = Param(jsonb.loads(json), "text")
            return SQL('({is_text} AND {text} COLLATE "C" {operator} {other})').format(
                is_text=self._is("string"), text=self.text, operator=operator, other=text
            )
        return SQL("({is_number} AND {value} {operator} {other})").format(
            is_number=self._is("number"), value=self._value, operator=operator, other=self._dialect.json(json)
        )

    def _contains(self, json: bytes) -> Composable:
        in_list = SQL("({is_list} AND {value} @> {element})").format(
            is_list=self._is("array"), value=self._value, element=self._dialect.json(b"[" + json + b"]")
        )
        if json[:1] != b'"':
            return in_list
        text = Param(jsonb.loads(json), "text")
        in_text = SQL("({is_text} AND strpos({text}, {part}) > 0)").format(
            is_text=self._is("string"), text=self.text, part=text
        )
        is_key = SQL("({is_object} AND jsonb_exists({value}, {part}))").format(
            is_object=self._is("object"), value=self._value, part=text
        )
        return _joined(" OR ", [in_list, in_text, is_key])

    def _is(self, kind: LiteralString) -> Composable:
        return SQL("jsonb_typeof({value}) = {kind}").format(value=self._value, kind=SQL("'" + kind + "'"))
