"""JSON as PostgreSQL's jsonb takes it: what it cannot hold is an error here, not a silent change there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any, Final

import orjson

# Times by `isoformat`: orjson 3.11 writes 10 ms as "00:00:00.10000", and refuses time zones there.
_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME
# orjson reads whole numbers above 64 bits, and long fractions, as floats; the standard library does not.
_LONG_NUMBER: Final = b"0" * 19
_DIGITS_ALIKE: Final = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))
_INT64: Final = 2**63
_MAX_DEPTH: Final = 100


class JSONValueError(ValueError):
    """A value that jsonb cannot hold; the message says which one and where."""


def dumps(value: Any) -> bytes:
    """Return *value* as JSON text in UTF-8.

    Dates, times and UUIDs become strings (ISO 8601), Decimals exact numbers, NumPy scalars and arrays
    what they hold, integers of any size themselves.

    Raises:
        JSONValueError: A key is not a string, a number is NaN or infinite, a string holds NUL or a lone
            surrogate, or a value has a type that JSON does not know.
    """
    try:
        # A copy, since orjson hands out its buffer, of which a short text holds on to 4 kB.
        encoded = b"%b" % orjson.dumps(value, _default, _OPTIONS)
    except orjson.JSONEncodeError:
        # Find out what it was; integers above 64 bits are the one case that only orjson refuses.
        _check(value, "", 0)
        try:
            return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False).encode()
        except ValueError as error:  # Python writes integers of up to 4,300 digits
            msg = f"a number is too long: {error}"
            raise JSONValueError(msg) from None
    # orjson writes NaN as null and NUL as an escape that jsonb refuses. Both are rare, so look closer
    # only where the text could hold one.
    if b"null" in encoded or b"\\u0000" in encoded:
        _check(value, "", 0)
    return encoded


def loads(data: bytes | memoryview | str) -> Any:
    """Return the value of JSON text; integers of any size stay exact."""
    raw = data.encode() if isinstance(data, str) else data
    # Several times as fast as a regular expression, which takes longer than orjson itself on many numbers.
    if _LONG_NUMBER in bytes(raw).translate(_DIGITS_ALIKE):
        return json.loads(bytes(raw))
    return orjson.loads(raw)


def storable(text: str) -> str:
    """Return *text* with U+FFFD in place of what PostgreSQL cannot store: NUL and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        if not value.is_finite():
            msg = f"{value} is not a JSON number"
            raise TypeError(msg)
        return orjson.Fragment(format(value, "f"))
    if isinstance(value, date | time):
        if value != value:  # noqa: PLR0124 - as NaT of pandas, which is a datetime but no time
            raise TypeError
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if type(value).__module__ == "numpy" and hasattr(value, "flags"):
        return value.copy(order="C")  # orjson takes arrays that lie in memory in one piece
    # Subclasses, which orjson passes on: named tuples, and the strings and numbers of other libraries.
    if isinstance(value, list | tuple):
        return list(value)
    for plain in (str, int, float):
        if isinstance(value, plain):
            return plain(value)
    raise TypeError


def _plain(value: Any) -> Any:
    """Return *value* with everything but containers and big integers turned into what JSON knows."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, int) and not -_INT64 <= value < 2 * _INT64:
        return value
    return json.loads(orjson.dumps(value, _default, _OPTIONS))


def _check(value: Any, path: str, depth: int) -> None:
    """Raise `JSONValueError` for the first part of *value* that jsonb cannot hold."""
    where = path or "the value"
    if depth > _MAX_DEPTH:
        msg = f"{where} is nested deeper than {_MAX_DEPTH} levels"
        raise JSONValueError(msg)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                msg = f"{where} has the key {key!r}: keys must be strings"
                raise JSONValueError(msg)
            _check_text(key, f"a key of {where}")
            _check(inner, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list | tuple):
        for position, inner in enumerate(value):
            _check(inner, f"{path}[{position}]", depth + 1)
    else:
        _check_scalar(value, where)


def _check_scalar(value: Any, where: str) -> None:
    if isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, bool | int) or value is None:
        return
    elif isinstance(value, float):
        if not math.isfinite(value):
            msg = f"{where} is {value}: JSON knows no NaN or infinity"
            raise JSONValueError(msg)
    else:
        try:
            encoded = orjson.dumps(value, _default, _OPTIONS)
        except orjson.JSONEncodeError as error:
            detail = str(error) if "Decimal" not in str(error) else f"{value} is not a JSON number"
            msg = f"{where} is a {type(value).__name__}, which JSON cannot hold ({detail})"
            raise JSONValueError(msg) from None
        if b"null" in encoded:
            msg = f"{where} holds NaN, infinity or no date: JSON knows none of them"
            raise JSONValueError(msg)


def _check_text(text: str, where: str) -> None:
    if "\x00" in text:
        msg = f"{where} holds the character NUL, which PostgreSQL cannot store"
        raise JSONValueError(msg)
    try:
        text.encode()
    except UnicodeEncodeError:
        msg = f"{where} holds a lone surrogate, which is not valid Unicode text"
        raise JSONValueError(msg) from None
