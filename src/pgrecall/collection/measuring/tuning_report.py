"""What tuning an index found: recall and latency, value by value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningPoint:
    """What searches find, and take, with one value of the knob.

    Attributes:
        value: The ``ef_search`` or ``probes``.
        recall: The share of the k nearest rows that was found.
        p50: Milliseconds that half of the searches did not exceed.
        p95: Milliseconds that 95 of 100 searches did not exceed.
    """

    value: int
    recall: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningReport:
    """Recall and latency over the values of a knob, and which one was chosen; printable.

    Attributes:
        index: The index that was tuned.
        knob: ``ef_search`` or ``probes``.
        target: The recall that was asked for.
        k: Rows wanted.
        queries: How many queries were asked with each value.
        points: What was found, by ascending value.
        value: The smallest that reaches the target, which searches use from now on; `None` where none does.
        before: What they used until now.
        exact_p50: Milliseconds that half of the exact searches did not exceed.
    """

    index: str
    knob: str
    target: float
    k: int
    queries: int
    points: tuple[TuningPoint, ...]
    value: int | None
    before: int
    exact_p50: float

    @property
    def reached(self) -> bool:
        """Whether a value reaches the target."""
        return self.value is not None

    def __str__(self) -> str:
        lines = [
            f"{self.index}, {self.queries} queries",
            f"  {self.knob:>9}  {f'recall@{self.k}':>10}  {'p50 ms':>8}  {'p95 ms':>8}",
        ]
        for point in self.points:
            mark = ">" if point.value == self.value else " "
            lines.append(f"{mark} {point.value:>9}  {point.recall:>10.3f}  {point.p50:>8.2f}  {point.p95:>8.2f}")
        lines.append(f"  {'exact':>9}  {1:>10.3f}  {self.exact_p50:>8.2f}")
        if self.value is None:
            best = max(self.points, key=lambda point: point.recall)
            lines.append(
                f"no {self.knob} reaches {self.target}: {best.recall:.3f} is the most, and {self.before} stays; "
                "an index with a larger m and ef_construction may, or one of finer quantization"
            )
        else:
            lines.append(
                f"{self.knob}={self.value} reaches {self.target}, and is used from now on ({self.before} before)"
            )
        return "\n".join(lines)
