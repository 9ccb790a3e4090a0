"""Whether what was moved is stored as it was read: every record is looked up, and some embeddings compared."""

from __future__ import annotations

import random
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pgrecall.collection.ingesting.entries import with_hashed_id
from pgrecall.collection.writing.copying import difference

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from collections.abc import Set as AbstractSet

    from pgrecall.collection import AsyncCollection, IngestReport
    from pgrecall.distance import VectorType
    from pgrecall.moving.source import Opened, Part
    from pgrecall.records import Record

_LOOKED_UP: Final = 500
_NAMED: Final = 10
_EXTRAS: Final[Any] = ("envelope", "sparse_embedding")
_WHOLE: Final[Any] = (*_EXTRAS, "embedding")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came of holding what is stored against the source.

    Attributes:
        read: Records of the source, read once more.
        found: Those that are stored just so.
        set_aside: Those that were set aside, with a reason each.
        superseded: Those whose id a later one has, which is what is stored.
        differing: Ids of those that are not stored just so, and what differs (``missing``, ``content``,
            ``embedding``, …).
        sampled: How many embeddings were compared.
        changed: How many more, or fewer, records the source has than when it was opened.
    """

    read: int = 0
    found: int = 0
    set_aside: int = 0
    superseded: int = 0
    differing: dict[str, str] = field(default_factory=dict[str, str])
    sampled: int = 0
    changed: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything that was not set aside is stored just so."""
        return not self.differing

    def plus(self, other: Verification) -> Verification:
        """Return what this one and another one have found together."""
        counts = ("read", "found", "set_aside", "superseded", "sampled", "changed")
        summed = {name: getattr(self, name) + getattr(other, name) for name in counts}
        return Verification(**summed, differing=self.differing | other.differing)

    def __str__(self) -> str:
        first = (
            f"{'verified' if self.ok else 'NOT as it was read'}: {self.found} of {self.read} records are stored just "
            f"so, {self.set_aside} were set aside, {self.superseded} superseded, {len(self.differing)} differ; "
            f"{self.sampled} embeddings compared"
        )
        lines = [
            first,
            *(f"  {row_id}: {what}" for row_id, what in list(self.differing.items())[:_NAMED]),
        ]
        if self.changed:
            lines.append(f"  the source has {self.changed:+} records since it was opened: run it once more")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """Holds one part against what is stored of it.

    Attributes:
        opened: The source.
        part: The part.
        target: A handle on the domain that it went to.
        vector_type: Type of the embeddings' column there.
        sample: How many embeddings to compare.
    """

    opened: Opened
    part: Part
    target: AsyncCollection
    vector_type: VectorType
    sample: int

    async def verify(self, report: IngestReport, tell: Callable[[int], object]) -> Verification:
        """Return what came of it.

        Args:
            report: What was done, and set aside.
            tell: Told after each few records how many have been looked at.
        """
        drawn = set(random.sample(range(self.part.count), min(self.sample, self.part.count)))
        tally = _Tally({failure.position for failure in report.failed})
        async with aclosing(self._batches(drawn)) as batches:
            async for batch in batches:
                # What was set aside may have an id that cannot even be looked up.
                looked_up = {place: record for place, record in batch.items() if place not in tally.failed}
                there = await self._stored(looked_up, drawn)
                for place, record in batch.items():
                    embedded = place in drawn
                    tally.add(place, record, self._difference(record, there.get(place), embedded=embedded))
                    tally.sampled += embedded and record is not None and place not in tally.failed
                tell(tally.read)
        return tally.verification(self.part.count)

    async def _batches(self, drawn: AbstractSet[int]) -> AsyncGenerator[dict[int, Record | None]]:
        """Return the records by their places, some at a time; `None` for what is no record."""
        batch: dict[int, Record | None] = {}
        place = 0
        async with aclosing(self.part.rows.reread(drawn)) as items:
            async for item in items:
                try:
                    batch[place] = with_hashed_id(self.opened.convert(item))
                except Exception:  # noqa: BLE001 - the reason is in the report
                    batch[place] = None
                place += 1
                if len(batch) == _LOOKED_UP:
                    yield batch
                    batch = {}
        if batch:
            yield batch

    async def _stored(self, batch: Mapping[int, Record | None], drawn: AbstractSet[int]) -> dict[int, Record | None]:
        """Return what is stored under the ids of a batch; with embeddings where those are compared."""
        found: dict[int, Record | None] = {}
        for include, whole in ((_EXTRAS, False), (_WHOLE, True)):
            ids = {
                place: record.id
                for place, record in batch.items()
                if (place in drawn) is whole and record is not None and self._can_be(record.id)
            }
            stored = await self.target.get([str(row_id) for row_id in ids.values()], include=include) if ids else []
            found |= dict(zip(ids, stored, strict=True))
        return found

    def _can_be(self, row_id: object) -> bool:
        return isinstance(row_id, str) and bool(row_id) and "\0" not in row_id

    def _difference(self, record: Record | None, there: Record | None, *, embedded: bool) -> str:
        return "unreadable" if record is None else difference(record, there, self.vector_type, embedded=embedded)


class _Tally:
    """Counts records, in the order of the source: the last one with an id is what is stored.

    Args:
        failed: Places of those that were set aside.
    """

    def __init__(self, failed: AbstractSet[int]) -> None:
        self.failed = failed
        self.read = self.sampled = 0
        self._found = self._set_aside = self._superseded = 0
        self._differing: dict[str, tuple[int, str]] = {}

    def add(self, place: int, record: Record | None, what: str) -> None:
        """Count one record, and what differs about it, if anything."""
        self.read += 1
        if place in self.failed:
            self._set_aside += 1
            return
        row_id = f"item {place}" if record is None else str(record.id)
        before = self._differing.pop(row_id, (0, ""))[0]
        if what:
            self._differing[row_id] = (before + 1, what)
        else:
            self._found += 1
            self._superseded += before

    def verification(self, expected: int) -> Verification:
        """Return what came of it, where *expected* records were there when the source was opened."""
        again = sum(count - 1 for count, _ in self._differing.values())
        return Verification(
            read=self.read,
            found=self._found,
            set_aside=self._set_aside,
            superseded=self._superseded + again,
            differing={row_id: what for row_id, (_, what) in self._differing.items()},
            sampled=self.sampled,
            changed=self.read - expected,
        )
