"""Promoted fields: metadata keys that have a typed, indexed column of their own.

A trigger keeps the columns, whoever writes the row; a value of another type is NULL there. A condition is
answered from a column only where the answer is the same as from the metadata, so promoting a field changes
how fast a filter is, and not what it means. What the column leaves out (numbers of more than 40 characters,
texts of more than 64 bytes where they are times, what is no list in a field of lists) passes no comparison.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, get_origin

from pgrecall.checks import MAX_IDENTIFIER_BYTES
from pgrecall.errors import ConfigError, FilterError
from pgrecall.filters import Key, parse_key

# Together with domain, id and code, the fields must fit an entry of a B-tree, 2,704 bytes.
MAX_FIELDS: Final = 8
MAX_TEXT_BYTES: Final = 64
MAX_NUMBER_DIGITS: Final = 40
_SYSTEM_COLUMNS: Final = frozenset({"ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"})
CONTENT: Final = "$content"
"""Among fields: filters on the content are to be fast, by an index on its trigrams."""


class FieldType(enum.StrEnum):
    """What a promoted field holds, in terms of JSON."""

    NUMBER = "number"
    """``int``, ``float`` or ``Decimal``, of at most 40 characters."""

    TEXT = "text"
    """``str``, of at most 64 bytes."""

    TIME = "time"
    """``date`` or ``datetime``, as text in ISO 8601 of at most 64 bytes. Its texts can be ordered."""

    BOOLEAN = "boolean"
    """``bool``."""

    LIST = "list"
    """``list[str]``, ``list[int]`` and so on."""

    @classmethod
    def parse(cls, kind: object) -> FieldType:
        """Return the member for a Python type, or for a member's own name.

        Raises:
            ConfigError: There is no column for that type.
        """
        origin = get_origin(kind) or kind
        found = _PYTHON_TYPES.get(origin) if isinstance(origin, type) else None
        if found is None and isinstance(kind, str) and kind in cls.__members__.values():
            found = cls(kind)
        if found is None:
            known = ", ".join(python.__name__ for python in _PYTHON_TYPES)
            msg = f"a field's type must be one of {known} (or list[str] …), not {kind!r}"
            raise ConfigError(msg)
        return found


_PYTHON_TYPES: Final[Mapping[type, FieldType]] = {
    int: FieldType.NUMBER,
    float: FieldType.NUMBER,
    Decimal: FieldType.NUMBER,
    str: FieldType.TEXT,
    bool: FieldType.BOOLEAN,
    date: FieldType.TIME,
    datetime: FieldType.TIME,
    list: FieldType.LIST,
}


@dataclass(frozen=True, slots=True)
class PromotedField:
    """A metadata key with a column of its own.

    Attributes:
        key: The key.
        type: What its values are.
        correlation: How much more often than by chance a row's nearest neighbours have the same value, as
            Newman's assortativity coefficient (0 by chance, 1 always); `None` before it was measured.
    """

    key: Key
    type: FieldType
    correlation: float | None = None

    @property
    def column(self) -> str:
        """Name of the column, which is the key with dots between its parts."""
        return str(self.key)

    @property
    def is_scalar(self) -> bool:
        """Whether a B-tree can order it."""
        return self.type is not FieldType.LIST


def parse_fields(fields: Mapping[str, Any]) -> tuple[PromotedField, ...]:
    """Return the fields that *fields* describes: keys as filters name them, and Python types.

    ``$content``, which has a column anyway, is not among them.

    Raises:
        ConfigError: A key cannot be the name of a column, a type is not known, or there are too many.
    """
    if not isinstance(fields, Mapping):
        msg = f"fields must be a mapping of metadata keys to types, not {type(fields).__name__}"
        raise ConfigError(msg)
    found: list[PromotedField] = []
    for name, kind in fields.items():
        if name == CONTENT:
            if FieldType.parse(kind) is not FieldType.TEXT:
                msg = f"{CONTENT} is text: its type is str, not {kind!r}"
                raise ConfigError(msg)
            continue
        try:
            key = parse_key(name)
        except FilterError as error:
            msg = f"field {name!r}: {error}"
            raise ConfigError(msg) from None
        field = PromotedField(key, FieldType.parse(kind))
        if "\x00" in field.column or len(field.column.encode(errors="replace")) > MAX_IDENTIFIER_BYTES:
            msg = f"field {name!r} cannot be the name of a column: that has at most {MAX_IDENTIFIER_BYTES} bytes"
            raise ConfigError(msg)
        found.append(field)
    columns = [field.column for field in found]
    if taken := _SYSTEM_COLUMNS.intersection(columns):
        msg = f"fields cannot be called {sorted(taken)}: every table has columns of these names"
        raise ConfigError(msg)
    if len(set(columns)) < len(columns):
        msg = f"two fields would have the same column: {sorted(columns)}"
        raise ConfigError(msg)
    if sum(field.is_scalar for field in found) > MAX_FIELDS:
        msg = f"at most {MAX_FIELDS} fields that are no lists can be promoted; filter the others by their metadata"
        raise ConfigError(msg)
    return tuple(found)
