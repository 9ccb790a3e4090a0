"""What an argument is, as settings everywhere have to know of what callers pass them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Final, TypeGuard, cast

from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from types import UnionType

INT4: Final = range(-(2**31), 2**31)
"""What PostgreSQL's integer holds."""
MAX_IDENTIFIER_BYTES: Final = 63


def is_number(value: object) -> TypeGuard[float]:
    """Whether *value* is a finite number, NumPy's own among them: no truth value, and nothing that reads like one."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False  # a whole number beyond every float


def is_text(value: object) -> TypeGuard[str]:
    """Whether *value* is a text that PostgreSQL can store: without NUL, and of whole characters only."""
    if not isinstance(value, str) or "\x00" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False  # half of a pair of surrogates
    return True


def has_order(value: Any) -> bool:
    """Whether *value* has entries in an order, of which parts can be taken; a text has, too."""
    if isinstance(value, Mapping) or getattr(value, "ndim", 1) == 0:  # an array of no dimensions has none
        return False
    return hasattr(value, "__len__") and hasattr(value, "__getitem__")


def check_range(value: object, what: str, low: int, high: int) -> int:
    """Return *value* if it is a whole number from *low* to *high*.

    Raises:
        ConfigError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        msg = f"{what} must be a whole number from {low} to {high}, not {_shown(value)}"
        raise ConfigError(msg)
    return int(value)


def check_number(value: object, what: str, low: float, high: float = math.inf) -> float:
    """Return *value* if it is a finite number from *low* to *high*.

    Raises:
        ConfigError: It is not.
    """
    if not is_number(value) or not low <= value <= high:
        wanted = f"of {low} or more" if high == math.inf else f"from {low} to {high}"
        msg = f"{what} must be a number {wanted}, not {_shown(value)}"
        raise ConfigError(msg)
    return value


def check_score(value: object, what: str = "score_threshold") -> float | None:
    """Return *value* if it can be the lowest score that counts: a finite number, or `None`.

    Raises:
        ConfigError: It is neither.
    """
    if value is None:
        return None
    if not is_number(value):
        msg = f"{what} must be a finite number, not {_shown(value)}"
        raise ConfigError(msg)
    return float(value)


def check_seconds(value: object, what: str) -> None:
    """Raise `ConfigError` where *value* is no positive, finite number of seconds."""
    if not is_number(value) or value <= 0:
        msg = f"{what} must be a positive number of seconds, not {_shown(value)}"
        raise ConfigError(msg)


def check_choice(value: object, what: str, allowed: tuple[str | None, ...]) -> None:
    """Raise `ConfigError` where *value* is none of *allowed*."""
    if not (value is None or isinstance(value, str)) or value not in allowed:
        msg = f"{what} must be one of {allowed}, not {_shown(value)}"
        raise ConfigError(msg)


def check_flag(value: object, what: str) -> None:
    """Raise `ConfigError` where *value* is neither `True` nor `False`: a text such as ``"no"`` would count as true."""
    if not isinstance(value, bool):
        msg = f"{what} must be True or False, not {_shown(value)}"
        raise ConfigError(msg)


def check_instance(value: object, what: str, kind: type | UnionType, wanted: str) -> None:
    """Raise `ConfigError` where *value* is not of *kind*, which the message calls *wanted*."""
    if not isinstance(value, kind):
        msg = f"{what} must be {wanted}, not {_shown(value)}"
        raise ConfigError(msg)


def check_list(value: object, what: str, entries: str) -> list[Any]:
    """Return *value*, which may be read only once, as a list of what the message calls *entries*.

    Raises:
        ConfigError: It is one text, whose characters nobody means, a mapping, or nothing that has entries.
    """
    if isinstance(value, str | bytes):
        msg = f"{what} must be a sequence of {entries}, not one string: [{value!r:.80}]"
        raise ConfigError(msg)
    try:
        entries_of = None if isinstance(value, Mapping) else iter(cast("Any", value))
    except TypeError:  # an array of no dimensions has a method for it, which refuses
        entries_of = None
    if entries_of is None:
        msg = f"{what} must be a sequence of {entries}, not {type(value).__name__}"
        raise ConfigError(msg)
    return list(entries_of)


def check_identifier(name: object, what: str) -> str:
    """Return *name* if PostgreSQL can keep it whole as an identifier.

    Raises:
        ConfigError: It is empty, holds NUL, or is longer than 63 bytes (PostgreSQL would cut it).
    """
    if not isinstance(name, str) or not name or "\x00" in name:
        msg = f"{what} must be a non-empty string without NUL, not {name!r}"
        raise ConfigError(msg)
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        msg = f"{what} {name!r} holds a lone surrogate, which is not valid Unicode"
        raise ConfigError(msg) from None
    if size > MAX_IDENTIFIER_BYTES:
        msg = f"{what} {name!r} is longer than {MAX_IDENTIFIER_BYTES} bytes, the most that PostgreSQL keeps"
        raise ConfigError(msg)
    return name


def check_texts(value: object, what: str) -> None:
    """Raise `ConfigError` where *value* is no mapping of texts to texts."""
    check_instance(value, what, Mapping, "a mapping of texts to texts")
    for key, text in cast("Mapping[Any, Any]", value).items():
        check_instance(key, f"a key of {what}", str, "a text")
        check_instance(text, f"{key!r} in {what}", str, "a text")


def check_function(value: object, what: str, wanted: str) -> None:
    """Raise `ConfigError` where *value* cannot be called; the message says what is *wanted* of it."""
    if not callable(value):
        msg = f"{what} must be a function that {wanted}, not {_shown(value)}"
        raise ConfigError(msg)


def _shown(value: object) -> str:
    """Return what a message says of *value*, however long that is."""
    return f"{value!r:.200}"
