"""What an argument is, as settings everywhere have to know of what callers pass them."""

from __future__ import annotations

import math
from numbers import Real
from typing import Final, TypeGuard

INT4: Final = range(-(2**31), 2**31)
"""What PostgreSQL's integer holds."""


def is_number(value: object) -> TypeGuard[float]:
    """Whether *value* is a finite number, NumPy's own among them: no truth value, and nothing that reads like one."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False  # a whole number beyond every float
