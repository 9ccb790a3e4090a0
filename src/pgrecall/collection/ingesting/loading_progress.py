"""How far an ingestion has come, told as it goes on: loading, and the index of the bulk mode."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from pgrecall.progress import own_errors

if TYPE_CHECKING:
    from collections.abc import Generator

    from pgrecall.build import IndexProgress
    from pgrecall.collection.ingesting.ingestion import IngestReport


class IngestProgress(TypedDict):
    """How far an ingestion has come.

    Attributes:
        phase: ``loading``, ``indexing`` in bulk mode, ``done``.
        processed: Items of the source that are done with, those of earlier attempts of the run among them.
        total: How many there are; `None` where the source has no length and none was given.
        percent: Share of them, with one decimal; in ``indexing`` of the index. `None` where it is not known.
        written: Rows written.
        unchanged: Records that are stored just so.
        failed: Records set aside.
        seconds: Since the beginning.
        rate: Items a second.
    """

    phase: str
    processed: int
    total: int | None
    percent: float | None
    written: int
    unchanged: int
    failed: int
    seconds: float
    rate: float


IngestProgressLike = Callable[[IngestProgress], object] | bool | None
"""Who is told how far an ingestion has come: a function, a progress bar (`True`), or nobody."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a progress bar shows of it."""

    title: str
    phase: str
    fraction: float | None


class Announcer:
    """Tells a listener, or a progress bar, how far one ingestion has come.

    Args:
        title: What is loaded.
        total: Items of the source, where that is known.
        told: Whom to tell, as `progress.listener` gives it.
        bar: Whether that is a progress bar.
    """

    def __init__(self, title: str, total: int | None, told: Callable[[Any], object] | None, *, bar: bool) -> None:
        self._title = title
        self._total = total
        self._told = told
        self._bar = bar
        self._last: IngestProgress | None = None

    def tell(self, phase: str, report: IngestReport) -> None:
        """Tell how far it has come."""
        processed = report.resumed_at + report.read
        total = processed if phase == "done" and self._total is None else self._total
        percent = 100.0 if phase == "done" else _percent(processed, total)
        self._last = IngestProgress(
            phase=phase,
            processed=processed,
            total=total,
            percent=percent,
            written=report.written,
            unchanged=report.unchanged,
            failed=len(report.failed),
            seconds=report.seconds,
            rate=round(report.rate, 1),
        )
        self._say(self._last)

    @contextmanager
    def indexing(self) -> Generator[Callable[[IndexProgress], object] | None]:
        """Return a context manager that gives whom a build is to tell, which is passed on from here."""

        def say(progress: IndexProgress) -> None:
            if self._last is not None:
                percent = None if progress.fraction is None else round(100 * progress.fraction, 1)
                self._say({**self._last, "phase": "indexing", "percent": percent})

        with own_errors():
            yield None if self._told is None else say

    def _say(self, progress: IngestProgress) -> None:
        if self._told is None:
            return
        if not self._bar:
            self._told(progress)
            return
        percent = progress["percent"]
        detail = f"{progress['phase']}, {progress['processed']} items"
        self._told(_Shown(self._title, detail, None if percent is None else percent / 100))


def _percent(processed: int, total: int | None) -> float | None:
    return round(min(100.0, 100 * processed / total), 1) if total else None
