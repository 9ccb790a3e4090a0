"""What each column takes, one value at a time, and whole columns where that is faster."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from numbers import Integral
from typing import TYPE_CHECKING, Any, Final

from pgrecall import jsonb
from pgrecall.checks import INT4

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.table import Table

# A B-tree entry must fit a third of a page (2,704 bytes), together with the domain.
MAX_ID_BYTES: Final = 2_000
MAX_CODED_ID_BYTES: Final = 800
"""The most where an index holds the id beside code and promoted fields."""
_INTEGER_BITS: Final = {"smallint": 16, "integer": 32, "bigint": 64}
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")
# Joining more at a time would hold too much text twice.
_JOINED: Final = 1_000


def id_text(value: object) -> str:
    """Return *value*, a text, a whole number or a UUID, as text if it can be an id in any table.

    Raises:
        ValueError: It cannot; the message says what an id must be.
    """
    if isinstance(value, Integral | uuid.UUID) and not isinstance(value, bool):
        value = str(value)
    checked = text(value)
    if not checked:
        msg = "the id must not be empty"
        raise ValueError(msg)
    return checked


def check_id(value: object, table: Table) -> str:
    """Return *value* as text if it can be an id in *table*.

    Raises:
        ValueError: It cannot; the message says what an id must be.
    """
    checked = id_text(value)
    if table.code is not None and len(checked.encode()) > MAX_CODED_ID_BYTES:
        msg = f"is longer than {MAX_CODED_ID_BYTES} bytes, the most that can be indexed beside promoted fields"
        raise ValueError(msg)
    if table.id_type == "uuid":
        try:
            return str(uuid.UUID(checked))
        except ValueError:
            msg = f"{checked!r} is not a UUID, which this table's ids are; use id_type='text' for other ids"
            raise ValueError(msg) from None
    if table.id_type in _INTEGER_BITS:
        limit = 1 << (_INTEGER_BITS[table.id_type] - 1)
        if not _INTEGER.fullmatch(checked) or not -limit <= int(checked) < limit:
            msg = f"{checked!r} is not a whole number of type {table.id_type}, which this table's ids are"
            raise ValueError(msg)
        return str(int(checked))
    return checked


def all_plain(values: Sequence[Any]) -> bool:
    """Whether *values* are all strings that PostgreSQL can store: many times faster than one by one."""
    for start in range(0, len(values), _JOINED):
        part = values[start : start + _JOINED]
        try:
            joined = "\x00".join(part)
            if joined.count("\x00") != len(part) - 1:
                return False
            if not joined.isascii():
                joined.encode()
        except (TypeError, UnicodeEncodeError):
            return False
    return True


def are_indexable(values: Sequence[Any]) -> bool:
    """Whether *values* are all texts that an index can hold, just as they are."""
    return all_plain(values) and max(map(len, values), default=0) * 4 <= MAX_ID_BYTES


def are_plain_ids(values: Sequence[Any], table: Table) -> bool:
    """Whether *values* can all be ids in *table* just as they are."""
    if table.id_type != "text" or not all(values) or not all_plain(values):
        return False
    most = MAX_ID_BYTES if table.code is None else MAX_CODED_ID_BYTES
    return max(map(len, values), default=0) * 4 <= most


def content(value: object) -> str:
    """Return *value* if it is text that PostgreSQL can store; the `ValueError` otherwise says why not."""
    if not isinstance(value, str):
        msg = f"must be text, not {type(value).__name__}"
        raise ValueError(msg)  # noqa: TRY004 - gathered with the other faults of a record
    if "\x00" in value:
        msg = "holds the character NUL, which PostgreSQL cannot store; remove it, as in text.replace('\\x00', '')"
        raise ValueError(msg)
    if not value.isascii():
        value.encode()  # a lone surrogate is no valid Unicode, and a UnicodeEncodeError is a ValueError
    return value


def text(value: object) -> str:
    """Return *value* if it is text that an index can hold."""
    checked = content(value)
    if len(checked) * 4 > MAX_ID_BYTES and len(checked.encode()) > MAX_ID_BYTES:
        msg = f"is longer than {MAX_ID_BYTES} bytes, the most that can be indexed"
        raise ValueError(msg)
    return checked


def chunk_index(value: object) -> int:
    """Return *value* if it is a whole number of 32 bits."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) not in INT4:  # pyright: ignore[reportArgumentType]
        msg = f"must be a whole number of 32 bits, not {value!r}"
        raise ValueError(msg)
    return int(value)  # pyright: ignore[reportArgumentType]


def time(value: object) -> datetime:
    """Return *value* if it is a point in time."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        msg = f"must be a datetime with a time zone, not {value!r}"
        raise ValueError(msg)
    return value


def json_object(value: object) -> bytes:
    """Return *value*, a mapping, as JSON text."""
    if type(value) is not dict and not isinstance(value, Mapping):
        msg = f"must be a mapping, not {type(value).__name__}"
        raise ValueError(msg)
    return jsonb.dumps(value)
