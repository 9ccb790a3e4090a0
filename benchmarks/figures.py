"""What was measured, what it is compared with, and what it should be."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound on a figure, or on its ratio to another.

    Attributes:
        bound: The bound.
        at_least: Whether more is better.
        against: Key of the other figure; `None` for the figure itself.
    """

    bound: float
    at_least: bool
    against: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measurement.

    Attributes:
        key: What other figures call it.
        what: What was measured, for a reader.
        unit: Of the values.
        values: One a repetition.
        against: Key of the figure that it is shown relative to.
        targets: What it should be.
        note: How it was measured, where that is not the same for all.
        apart: Whether it was measured by itself, not in turn with the others.
    """

    key: str
    what: str
    unit: str
    values: tuple[float, ...]
    against: str | None = None
    targets: tuple[Target, ...] = ()
    note: str = ""
    apart: bool = False

    @property
    def median(self) -> float:
        """The value in the middle."""
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        """The least value."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The greatest value."""
        return max(self.values)

    def ratios(self, other: Figure) -> list[float]:
        """Return this figure relative to *other*: a repetition at a time, as they were run side by side.

        Where they were not (one is apart, or there is another number of repetitions), the medians are compared.
        """
        if not self.apart and not other.apart and len(self.values) == len(other.values):
            return [mine / theirs for mine, theirs in zip(self.values, other.values, strict=True)]
        return [self.median / other.median]


@dataclass(slots=True)
class Findings:
    """All figures of one run, in the order in which they were found."""

    figures: dict[str, Figure] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        key: str,
        what: str,
        unit: str,
        values: Iterable[float],
        *,
        against: str | None = None,
        targets: Sequence[Target] = (),
        note: str = "",
        apart: bool = False,
    ) -> None:
        """Take a figure in; see `Figure`."""
        self.figures[key] = Figure(
            key=key,
            what=what,
            unit=unit,
            values=tuple(values),
            against=against,
            targets=tuple(targets),
            note=note,
            apart=apart,
        )

    def ratio(self, figure: Figure, against: str | None) -> dict[str, float] | None:
        """Return median, least and greatest ratio of *figure* to another, if that was measured."""
        if against is None or against not in self.figures:
            return None
        return spread(figure.ratios(self.figures[against]))

    def met(self, figure: Figure, target: Target) -> bool | None:
        """Return whether *target* is met, by the median; `None` where its other figure is missing."""
        if target.against is None:
            value = figure.median
        elif (ratio := self.ratio(figure, target.against)) is not None:
            value = ratio["median"]
        else:
            return None
        return value >= target.bound if target.at_least else value <= target.bound

    def as_json(self) -> list[dict[str, Any]]:
        """Return everything as JSON values."""
        return [self._figure(figure) for figure in self.figures.values()]

    @classmethod
    def of_json(cls, figures: Iterable[Mapping[str, Any]], notes: Iterable[str]) -> Findings:
        """Return what `as_json` has made JSON of."""
        found = cls(notes=list(notes))
        for each in figures:
            targets = [
                Target(bound=target["bound"], at_least=target["at_least"], against=target["against"])
                for target in each["targets"]
            ]
            figure = {name: each[name] for name in ("key", "what", "unit", "values", "against", "note", "apart")}
            found.add(**figure, targets=targets)
        return found

    def _figure(self, figure: Figure) -> dict[str, Any]:
        return {
            "key": figure.key,
            "what": figure.what,
            "unit": figure.unit,
            **spread(figure.values),
            "values": list(figure.values),
            "against": figure.against,
            "ratio": self.ratio(figure, figure.against),
            "targets": [
                {
                    "bound": target.bound,
                    "at_least": target.at_least,
                    "against": target.against,
                    "ratio": self.ratio(figure, target.against),
                    "met": self.met(figure, target),
                }
                for target in figure.targets
            ],
            "note": figure.note,
            "apart": figure.apart,
        }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest of *values*."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that *percent* per cent of *values* do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
