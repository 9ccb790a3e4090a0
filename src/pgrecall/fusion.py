"""Making one ranking of several: by embedding, by words, by sparse embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from pgrecall.checks import check_instance, check_number
from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Identity = tuple[str | None, str]
    Rankings = Mapping[str, Sequence[Identity]]
    LegScores = Mapping[str, Mapping[Identity, float]]

LEGS: Final = ("dense", "keyword", "sparse")
"""What can be fused, in the order in which ties are broken."""


class Fusion(Protocol):
    """How rankings become one."""

    def fuse(self, rankings: Rankings, scores: LegScores) -> dict[Identity, float]:
        """Return the score of every record, from 0 to 1.

        Args:
            rankings: For each leg the records that it found, the best first.
            scores: For each leg the scores of all records that any leg found, from 0 to 1.
        """
        ...

    @property
    def needs_every_score(self) -> bool:
        """Whether the score matters that a leg gives to records which it did not find itself."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Convex:
    """The weighted mean of the legs' scores, each from 0 to 1 (Bruch et al., An Analysis of Fusion Functions, 2023).

    The scores do not depend on what else was found, so those of different queries can be compared.

    Attributes:
        alpha: The weight of the embeddings: 1 for them alone, 0 for the words alone. With sparse embeddings
            too, the rest is shared between the words and those.
    """

    alpha: float = 0.7

    def __post_init__(self) -> None:
        check_number(self.alpha, "alpha", 0, 1)

    @property
    def needs_every_score(self) -> bool:
        """Whether every score matters, which it does."""
        return True

    def fuse(self, rankings: Rankings, scores: LegScores) -> dict[Identity, float]:
        """Return the score of every record; see `Fusion.fuse`."""
        others = len(scores) - 1 if "dense" in scores else len(scores)
        weights = {leg: self.alpha if leg == "dense" else (1 - self.alpha) / max(others, 1) for leg in scores}
        records = {record for ranking in rankings.values() for record in ranking}
        return {
            record: sum(weight * scores[leg].get(record, 0.0) for leg, weight in weights.items()) for record in records
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReciprocalRank:
    """Reciprocal rank fusion (Cormack et al., 2009): the sum of ``weight / (constant + rank)`` over the legs.

    Scores are divided by the most that they can be, so that 1 is for what every leg has first.

    Attributes:
        weights: Weight of each leg: ``"dense"``, ``"keyword"``, ``"sparse"``; 1 for those that are left out.
        constant: The larger, the less the first places count more than the others.
    """

    weights: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)
    constant: float = 60.0

    def __post_init__(self) -> None:
        check_instance(self.weights, "weights", Mapping, "a mapping such as {'dense': 1, 'keyword': 0.5}")
        for leg, weight in self.weights.items():
            if leg not in LEGS:
                msg = f"weights knows {LEGS}, not {leg!r}"
                raise ConfigError(msg)
            check_number(weight, f"the weight of {leg}", 0)
        if self.weights and not any(self.weights.get(leg, 1.0) for leg in LEGS):
            msg = "at least one weight must be above 0"
            raise ConfigError(msg)
        check_number(self.constant, "constant", 0)

    @property
    def needs_every_score(self) -> bool:
        """Whether every score matters, which it does not, since only ranks count."""
        return False

    def fuse(self, rankings: Rankings, scores: LegScores) -> dict[Identity, float]:  # noqa: ARG002 - only ranks count
        """Return the score of every record; see `Fusion.fuse`."""
        weights = {leg: float(self.weights.get(leg, 1.0)) for leg in rankings}
        most = sum(weights.values()) / (self.constant + 1)
        fused: dict[Identity, float] = {}
        for leg, ranking in rankings.items():
            for rank, record in enumerate(ranking, start=1):
                fused[record] = fused.get(record, 0.0) + weights[leg] / (self.constant + rank)
        return {record: score / most if most else 0.0 for record, score in fused.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Union:
    """No fusion: all that was found by embedding, in its order, and then what only words found, in theirs.

    Scores are those of the leg that found the record, from 0 to 1, so they need not fall along the ranking.
    """

    @property
    def needs_every_score(self) -> bool:
        """Whether every score matters, which it does not, since a record has that of the leg which found it."""
        return False

    def fuse(self, rankings: Rankings, scores: LegScores) -> dict[Identity, float]:
        """Return the score of every record, in the order of the union; see `Fusion.fuse`."""
        fused: dict[Identity, float] = {}
        for leg in LEGS:
            for record in rankings.get(leg, ()):
                fused.setdefault(record, scores[leg].get(record, 0.0))
        return fused
