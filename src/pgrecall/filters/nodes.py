"""The filter tree. Nodes are frozen and hashable, so that a filter can be the key of a cache.

They combine with ``&``, ``|`` and ``~``. A node that a row gives no sense to (another type, no such key) is
not true of it, and so its negation is: ``~`` means "everything else".
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator


class Order(enum.StrEnum):
    """Comparisons of size."""

    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the metadata; more than one name leads into nested objects, never into lists."""

    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Column:
    """A column beside the metadata."""

    name: Literal["id", "document_id", "chunk_index", "created_at", "content"]

    def __str__(self) -> str:
        return f"${self.name}"


Field = Key | Column


class Node:
    """What all nodes can do."""

    __slots__ = ()

    def __and__(self, other: Node) -> And:
        return And((*_parts(self, And), *_parts(other, And)))

    def __or__(self, other: Node) -> Or:
        return Or((*_parts(self, Or), *_parts(other, Or)))

    def __invert__(self) -> Not:
        return Not(self)


@dataclass(frozen=True, slots=True)
class Equals(Node):
    """The field holds this value: the same JSON type and the same value.

    Attributes:
        field: What is compared.
        json: The value as JSON text, which makes the node hashable whatever it holds. ``null`` is also
            true of rows that lack the field.
    """

    field: Field
    json: bytes


@dataclass(frozen=True, slots=True)
class In(Node):
    """The field holds one of these values; without any value it is true of no row.

    Attributes:
        field: What is compared.
        jsons: The values as JSON text.
    """

    field: Field
    jsons: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """The field holds a number below or above this number, or a text before or after this text.

    Texts are in the order of their code points, in which dates and times in ISO 8601 are in order too.

    Attributes:
        field: What is compared.
        order: How.
        json: A number or a text, as JSON text.
    """

    field: Field
    order: Order
    json: bytes


@dataclass(frozen=True, slots=True)
class Exists(Node):
    """The field is there, be it null."""

    field: Field


@dataclass(frozen=True, slots=True)
class IsEmpty(Node):
    """The field is missing, null, the empty text or the empty list."""

    field: Field


@dataclass(frozen=True, slots=True)
class Contains(Node):
    """The field is a list with this element, a text with this text in it, or an object with this key.

    Attributes:
        field: What is looked into.
        json: A scalar as JSON text.
    """

    field: Field
    json: bytes


@dataclass(frozen=True, slots=True)
class Matches(Node):
    """The field is a text that fits a pattern.

    Attributes:
        field: What is matched.
        kind: ``like`` (``%`` and ``_`` are wildcards, a backslash escapes), ``regex`` (PostgreSQL's advanced
            regular expressions) or ``substring`` (the pattern itself, nothing in it is special).
        pattern: The pattern.
        fold: Whether upper and lower case are the same.
    """

    field: Field
    kind: Literal["like", "regex", "substring"]
    pattern: str
    fold: bool = False


@dataclass(frozen=True, slots=True)
class InTable(Node):
    """The field is, as text, what a column of another table has in some row; made by `in_table`.

    Attributes:
        field: What is compared.
        schema: Schema of the other table.
        table: The other table.
        column: Its column that the field is compared with.
        where: Which of its rows count: name of a column, the types of what it must be, and what it must be.
    """

    field: Field
    schema: str
    table: str
    column: str
    where: tuple[tuple[str, str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class And(Node):
    """All of the clauses are true; without any clause it is true of every row."""

    clauses: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or(Node):
    """One of the clauses is true; without any clause it is true of no row."""

    clauses: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    """The clause is not true."""

    clause: Node


Filter = Node


def leaves(filter: Filter) -> Iterator[Filter]:
    """Return the conditions that *filter* joins, each of which is about one field."""
    match filter:
        case And(clauses) | Or(clauses):
            for clause in clauses:
                yield from leaves(clause)
        case Not(clause):
            yield from leaves(clause)
        case _:
            yield filter


def _parts(node: Node, kind: type[And | Or]) -> tuple[Node, ...]:
    if not isinstance(node, Node):
        msg = f"{node!r} is not a filter"
        raise TypeError(msg)
    return node.clauses if isinstance(node, kind) else (node,)
