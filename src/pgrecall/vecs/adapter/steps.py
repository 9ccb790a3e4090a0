"""What an adapter is: steps, each of which makes records of records."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from pgrecall.vecs.exc import ArgError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    RecordsIn = Iterable[tuple[str, Any, dict[str, Any] | None]]
    RecordsOut = Generator[tuple[str, Any, dict[str, Any]]]


class AdapterContext(enum.StrEnum):
    """What records are adapted for."""

    upsert = "upsert"
    query = "query"


class AdapterStep(ABC):
    """One step; what it makes is what the next one is given."""

    @property
    def exported_dimension(self) -> int | None:
        """Length of the vectors that it makes; `None` where it makes none."""
        return None

    @abstractmethod
    def __call__(self, records: RecordsIn, adapter_context: AdapterContext) -> RecordsOut:
        """Return what it makes of *records*: tuples of id, media and metadata, as they are taken."""


class Adapter:
    """Steps, one after the other.

    Args:
        steps: The steps, of which the last makes vectors.

    Raises:
        ArgError: There are none.
    """

    def __init__(self, steps: Sequence[AdapterStep]) -> None:
        if not steps:
            msg = "an adapter needs at least one step"
            raise ArgError(msg)
        self.steps = list(steps)

    @property
    def exported_dimension(self) -> int | None:
        """Length of the vectors, by the last step that makes any."""
        dimensions = (step.exported_dimension for step in reversed(self.steps))
        return next((dimension for dimension in dimensions if dimension is not None), None)

    def __call__(self, records: RecordsIn, adapter_context: AdapterContext) -> RecordsOut:
        """Return what the steps make of *records*, as it is taken."""
        adapted: RecordsIn = records
        for step in self.steps:
            adapted = step(adapted, adapter_context)
        for row_id, media, metadata in adapted:
            yield row_id, media, metadata or {}


class NoOp(AdapterStep):
    """Leaves records as they are, which have vectors already.

    Args:
        dimension: Length of the vectors.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension

    @property
    def exported_dimension(self) -> int | None:
        """Length of the vectors."""
        return self._dimension

    def __call__(self, records: RecordsIn, adapter_context: AdapterContext) -> RecordsOut:
        """Return *records* as they are."""
        for row_id, media, metadata in records:
            yield row_id, media, metadata or {}
