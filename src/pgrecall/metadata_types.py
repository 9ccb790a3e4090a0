"""The Python types of metadata, which JSON does not keep: noted beside it, and given back on reading.

What is stored as metadata is plain JSON, which filters, other programs and other languages read. Where a
value is more than that (a datetime, a UUID, a Decimal, NumPy's numbers and arrays, a tuple), its type is
noted under the same key:

======================  =============================================================
value                   note
======================  =============================================================
datetime, date, time    ``"datetime"``, ``"date"``, ``"time"``
UUID                    ``"uuid"``
Decimal                 ``["decimal", its digits]``, as JSON readers make it a float
float from 1e16 on      ``"float"``, as jsonb writes it like a whole number
-0.0                    ``"-0.0"``, as jsonb knows one zero
NumPy scalar            ``["scalar", dtype]``
NumPy array             ``["array", dtype, shape]``
tuple                   ``["tuple", the notes of its elements]``
mapping, list           the notes of its elements, by key or by position as text
======================  =============================================================

A value that was changed since by somebody who keeps no notes, and does not fit its note any more, is given
back as it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import numpy as np

COLUMN_NOTES: Final[Mapping[str, str]] = {
    "date": "date",
    "timestamp without time zone": "datetime",
    "timestamp with time zone": "datetime",
    "time without time zone": "time",
    "uuid": "uuid",
    "numeric": "digits",
}
"""For metadata in columns of its own, what a value is by the type of its column; numeric is read as a text."""

_PLAIN: Final = frozenset({str, int, bool, type(None)})
_PLAIN_OR_FLOAT: Final = _PLAIN | {float}
# A datetime is a date too, so it comes first.
_NAMES: Final[Mapping[type, str]] = {datetime: "datetime", date: "date", time: "time", UUID: "uuid"}
# From here on jsonb, which keeps numbers in decimal, writes a float without a point.
_WHOLE: Final = 1e16
# Nothing else is made from what is stored: a dtype can be as large, and as strange, as its name says.
_DTYPE: Final = re.compile(r"bool|u?int\d{1,2}|float\d{1,2}|datetime64\[[a-zA-Zμ]{1,2}\]")


def describe(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the notes on *metadata*, which can be written as JSON, or `None` where it needs none."""
    values = metadata.values()
    return None if _are_plain(values) else _noted(metadata.items())


def restore(metadata: dict[str, Any], notes: Mapping[str, Any]) -> dict[str, Any]:
    """Return *metadata*, as it was read, with its values changed to the types that *notes* tell."""
    for key, note in notes.items():
        if note is not None and key in metadata:
            metadata[key] = _restored(metadata[key], note)
    return metadata


def _are_plain(values: Iterable[Any]) -> bool:
    types = set(map(type, values))
    if types <= _PLAIN:
        return True
    return types <= _PLAIN_OR_FLOAT and not any(type(value) is float and _float_note(value) for value in values)


def _float_note(value: float) -> str | None:
    if abs(value) >= _WHOLE:
        return "float"
    return "-0.0" if value == 0 and math.copysign(1, value) < 0 else None


def _noted(items: Iterable[tuple[Any, Any]]) -> dict[str, Any] | None:
    return {str(key): note for key, value in items if (note := _note(value)) is not None} or None


def _note(value: Any) -> Any:
    if isinstance(value, Mapping):
        return describe(value)
    if isinstance(value, list | tuple):
        notes = None if _are_plain(value) else _noted(enumerate(value))
        return ["tuple", notes or {}] if type(value) is tuple else notes
    if type(value) is float:
        return _float_note(value)
    if isinstance(value, Decimal):
        return ["decimal", str(value)]
    if isinstance(value, np.ndarray):
        return ["array", value.dtype.name, list(value.shape)]
    if isinstance(value, np.generic) and not isinstance(value, str):
        return ["scalar", value.dtype.name]
    return next((name for kind, name in _NAMES.items() if isinstance(value, kind)), None)


def _restored(value: Any, note: Any) -> Any:
    try:
        if isinstance(note, str):
            return _READ[note](value)
        if isinstance(note, list):
            kind, *details = note
            return _MADE[kind](value, *details)
        if isinstance(note, Mapping):
            return _children(value, note)
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError):
        pass  # changed since; see above
    return value


def _children(value: Any, notes: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return restore(value, notes)
    for position, note in notes.items():
        value[int(position)] = _restored(value[int(position)], note)
    return value


def _float(value: Any) -> Any:
    return float(value) if isinstance(value, int) else value


def _negative_zero(value: Any) -> Any:
    return -0.0 if value == 0 else value


def _decimal(value: Any, digits: str) -> Any:
    noted = Decimal(digits)
    return noted if float(noted) == float(value) else value


def _dtype(name: str) -> np.dtype[Any]:
    if not _DTYPE.fullmatch(name):
        msg = f"{name!r} is no type of ours"
        raise ValueError(msg)
    return np.dtype(name)


def _scalar(value: Any, name: str) -> Any:
    made = np.array(value, _dtype(name))
    return made[()] if made.ndim == 0 else value


def _array(value: Any, name: str, shape: list[int]) -> Any:
    return np.array(value, _dtype(name)).reshape(shape)


def _tuple(value: Any, notes: Mapping[str, Any]) -> Any:
    return tuple(_children(value, notes)) if isinstance(value, list) else value


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "uuid": UUID,
    "float": _float,
    "-0.0": _negative_zero,
    "digits": Decimal,
}
_MADE: Final[Mapping[str, Callable[..., Any]]] = {
    "decimal": _decimal,
    "scalar": _scalar,
    "array": _array,
    "tuple": _tuple,
}
