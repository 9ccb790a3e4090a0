"""Metadata that goes to columns of its own: whether each value is of its column's type.

PostgreSQL would take many that are not, and give them back as something else: ``5`` as the text ``"5"``, a
time with its zone cut off.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pgrecall.table import Table
    from pgrecall.table_columns import MetadataColumn

_BITS: Final[Mapping[str, int]] = {"smallint": 16, "integer": 32, "bigint": 64}


def check_keys(metadata: Mapping[str, Any], table: Table, *, complete: bool) -> None:
    """Raise a `ValueError` where a key of *metadata* has no home in *table*, or a value does not fit its column.

    Args:
        metadata: The metadata; it is JSON, which was made sure of before.
        table: A table with columns for metadata.
        complete: Whether keys that must be there have to be.
    """
    if table.columns.metadata is None:
        homes = {column.name for column in table.metadata_columns}
        if homeless := [key for key in metadata if key not in homes]:
            msg = f"has the keys {homeless}, for which {table.qualified_name} has neither columns nor one of type JSON"
            raise ValueError(msg)
    for column in table.metadata_columns:
        value = metadata.get(column.name)
        if value is not None:
            _check(value, column)
        elif not column.nullable and (complete or column.name in metadata):
            msg = f"lacks the key {column.name!r}, whose column takes no NULL"
            raise ValueError(msg)


def _check(value: object, column: MetadataColumn) -> None:
    fits = _FITS.get(column.type)
    if fits is not None and not fits(value, column):
        msg = f"has {value!r} for the key {column.name!r}, whose column is of type {column.type}"
        raise ValueError(f"{msg}({column.limit})" if column.limit is not None else msg)


def _is_integer(value: object, column: MetadataColumn) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return False
    limit = 1 << (_BITS[column.type] - 1)
    return -limit <= int(value) < limit


def _is_number(value: object, _: MetadataColumn) -> bool:
    return isinstance(value, int | float | Decimal | np.integer | np.floating) and not isinstance(value, bool)


def _is_boolean(value: object, _: MetadataColumn) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_text(value: object, column: MetadataColumn) -> bool:
    return isinstance(value, str) and (column.limit is None or len(value) <= column.limit)


def _is_uuid(value: object, _: MetadataColumn) -> bool:
    return isinstance(value, UUID) or (isinstance(value, str) and _reads(UUID, value) is not None)


def _is_date(value: object, _: MetadataColumn) -> bool:
    if isinstance(value, str):
        value = _reads(date.fromisoformat, value)
    return isinstance(value, date) and not isinstance(value, datetime)


def _is_time(value: object, column: MetadataColumn) -> bool:
    if isinstance(value, str):
        value = _reads(datetime.fromisoformat, value)
    return isinstance(value, datetime) and (value.tzinfo is not None) is (column.type == "timestamp with time zone")


def _reads(reader: Callable[[str], object], text: str) -> object:
    try:
        return reader(text)
    except ValueError:
        return None


_FITS: Final[Mapping[str, Callable[[object, MetadataColumn], bool]]] = {
    **dict.fromkeys(_BITS, _is_integer),
    **dict.fromkeys(("numeric", "real", "double precision"), _is_number),
    **dict.fromkeys(("text", "character varying", "character"), _is_text),
    "boolean": _is_boolean,
    "uuid": _is_uuid,
    "date": _is_date,
    "timestamp without time zone": _is_time,
    "timestamp with time zone": _is_time,
}
