"""What counts as a number where settings want one."""

from decimal import Decimal

import numpy as np
import pytest

from pgrecall import MMR, Convex
from pgrecall.checks import check_range, is_number
from pgrecall.errors import ConfigError


@pytest.mark.parametrize("value", [0, -1, 0.5, np.float32(0.5), np.int64(3), np.float64(2)])
def test_finite_numbers_are_numbers(value):
    assert is_number(value)


@pytest.mark.parametrize(
    "value", [True, np.True_, None, "1", Decimal(1), 1j, float("nan"), float("inf"), 10**400, [1], np.float32("nan")]
)
def test_nothing_else_is_one(value):
    assert not is_number(value)


def test_settings_take_numbers_of_numpy():
    assert MMR(lambda_mult=np.float32(0.5)).lambda_mult == 0.5
    assert Convex(alpha=np.float32(0.25)).alpha == 0.25
    assert check_range(np.int64(3), "k", 1, 5) == 3
    with pytest.raises(ConfigError, match="k must be a whole number from 1 to 5"):
        check_range(np.float64(3), "k", 1, 5)
