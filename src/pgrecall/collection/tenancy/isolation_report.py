"""How far a domain has been moved into a partition of its own, and what it took, as values."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgrecall.progress import ProgressFailed

if TYPE_CHECKING:
    from pgrecall.build import IndexProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationProgress:
    """How far a domain has been moved into a partition of its own.

    Attributes:
        domain: Its name.
        phase: ``copying``, ``indexing``, ``attaching``, and ``done`` at the end.
        done: Rows that are copied.
        total: How many there were at the beginning.
        fraction: Share of this phase that is done, 0 to 1; `None` where that is not known.
        seconds: Since it was begun.
    """

    domain: str
    phase: str
    done: int
    total: int
    fraction: float | None
    seconds: float

    @property
    def title(self) -> str:
        """What a progress bar calls it."""
        return self.domain


IsolationProgressLike = Callable[[IsolationProgress], object] | bool | None
"""Who is told how far a domain has been moved: a function, a progress bar (`True`), or nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationReport:
    """What moving a domain into a partition of its own took.

    Attributes:
        domain: Its name.
        rows: Rows that were moved; 0 where it had a partition already.
        seconds: How long it took.
        locked: For how many seconds of them nobody could use the table.
    """

    domain: str
    rows: int = 0
    seconds: float = 0.0
    locked: float = 0.0


@dataclass(slots=True, kw_only=True)
class Teller:
    """Tells a listener how far it has come."""

    domain: str
    told: Callable[[IsolationProgress], object] | None
    began: float = field(default_factory=time.monotonic)
    done: int = 0
    total: int = 0

    def tell(self, phase: str, fraction: float | None = None) -> None:
        """Tell it.

        Raises:
            ProgressFailed: The listener raised an exception.
        """
        if self.told is None:
            return
        progress = IsolationProgress(
            domain=self.domain,
            phase=phase,
            done=self.done,
            total=self.total,
            fraction=fraction,
            seconds=time.monotonic() - self.began,
        )
        try:
            self.told(progress)
        except Exception as error:
            raise ProgressFailed(error) from error

    def hear(self, index: IndexProgress) -> None:
        """Pass on how far the build of an index has come."""
        self.tell("indexing", index.fraction)
