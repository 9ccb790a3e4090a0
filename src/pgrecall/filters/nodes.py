"""The filter tree. Nodes are frozen and hashable, so that a filter can be the key of a cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the metadata; more than one name leads into nested objects."""

    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Column:
    """A column beside the metadata."""

    name: Literal["id", "document_id"]

    def __str__(self) -> str:
        return self.name


Field = Key | Column


class Node:
    """What all nodes can do."""

    __slots__ = ()

    def __and__(self, other: Filter) -> And:
        clauses = [*_clauses(self), *_clauses(other)]
        return And(tuple(clauses))


@dataclass(frozen=True, slots=True)
class Equals(Node):
    """The field holds this value: the same JSON type and the same value.

    Attributes:
        field: What is compared.
        json: The value as JSON text, which makes the node hashable whatever it holds. ``null`` also
            matches rows that lack the field.
    """

    field: Field
    json: bytes


@dataclass(frozen=True, slots=True)
class In(Node):
    """The field holds one of these values; without any value no row passes.

    Attributes:
        field: What is compared.
        jsons: The values as JSON text.
    """

    field: Field
    jsons: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class And(Node):
    """All of the clauses hold; without any clause every row passes."""

    clauses: tuple[Filter, ...]


Filter = Equals | In | And


def _clauses(node: object) -> tuple[Filter, ...]:
    match node:
        case And(clauses):
            return clauses
        case Equals() | In():
            return (node,)
        case _:
            msg = f"{node!r} is not a filter"
            raise TypeError(msg)
