"""What searches took: where an estimate was wrong by much, the planner takes another way next time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from pgrecall.plan import Access, Plan

# The least weight of the newest observation in a moving average; the first ones weigh more.
_NEWEST: Final = 0.1
# The machine is judged by many searches, so that one filter does not change what it is taken for.
_NEWEST_OF_ALL: Final = 0.01
# One observation that something else on the machine has delayed is not believed whole.
_MOST_AT_ONCE: Final = 10.0
_ENOUGH: Final = 4
_MOST_KEPT: Final = 4_096
UNTRIED: Final = 1.5
"""So many times what is expected of it a way is taken for that was not tried, where another one was."""


@dataclass(slots=True)
class Experience:
    """What searches took, by what was searched for and by the way.

    How much slower this machine is than the one of `costs`, and how busy, is taken out: it is the same for
    all ways.
    """

    _searches: int = 0
    _slowness: float = 1.0
    # By the hashes of what was searched for, in which there can be a filter with a list of thousands of values.
    _seen: dict[int, dict[Access, tuple[int, float]]] = field(
        default_factory=dict["int", "dict[Access, tuple[int, float]]"]
    )

    def observe(self, key: Hashable, plan: Plan, microseconds: float) -> bool:
        """Note what a search took; return whether its plan should be made anew, since another way may be better."""
        if plan.cost is None:
            return False
        ratio = min(microseconds / plan.cost, _MOST_AT_ONCE * self._slowness)
        self._searches += 1
        self._slowness += max(_NEWEST_OF_ALL, 1 / self._searches) * (ratio - self._slowness)
        if not plan.considered:
            return False
        ways = self._ways(key)
        count, mean = ways.get(plan.access, (0, 0.0))
        count += 1
        mean += max(_NEWEST, 1 / count) * (plan.cost * ratio / self._slowness - mean)
        ways[plan.access] = (count, mean)
        # Looked at ever more rarely: 4, 8, 16 … times.
        if count < _ENOUGH or count & (count - 1):
            return False
        believed = self.of(key)
        return any(believed.get(access, cost * UNTRIED) < mean for access, cost in plan.considered)

    def fell_short(self, key: Hashable, plan: Plan) -> bool:
        """Note that the way gave too few rows, so that all were compared after all; return whether to plan anew."""
        if plan.cost is None or not plan.considered:
            return False
        dearest = max(cost for _, cost in plan.considered)
        self._ways(key)[plan.access] = (_ENOUGH, 2 * UNTRIED * max(dearest, plan.cost))
        return True

    def _ways(self, key: Hashable) -> dict[Access, tuple[int, float]]:
        place = hash(key)
        if len(self._seen) >= _MOST_KEPT and place not in self._seen:
            self._seen.clear()
        return self._seen.setdefault(place, {})

    def of(self, key: Hashable) -> Mapping[Access, float]:
        """Return what the ways that were tried often enough took, in microseconds on the machine of `costs`."""
        # A copy, since another thread may note a way that is new at any point.
        ways = self._seen.get(hash(key), {}).copy()
        return {access: mean for access, (count, mean) in ways.items() if count >= _ENOUGH}
