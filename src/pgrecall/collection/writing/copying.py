"""Copying a collection into another one: a page at a time, checked, and to be gone on with where it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np

from pgrecall import jsonb, sparse
from pgrecall.checks import check_function, check_range
from pgrecall.collection.finding import reading
from pgrecall.collection.writing import upserting
from pgrecall.distance import VectorType
from pgrecall.errors import ConfigError, CopyMismatch, PGRecallError, RecordError
from pgrecall.progress import listener
from pgrecall.records import RecordBatch
from pgrecall.scope import DEFAULT_DOMAIN, Scope

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.records import Page, Record
    from pgrecall.table import Table

DEFAULT_PAGE: Final = 1_000
_EXTRAS: Final = frozenset({"embedding", "envelope", "sparse_embedding"})
# Records that are read back at a time, beside the two pages that are on their way.
_CHECKED: Final = 200
_NAMED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyProgress:
    """How far a copy has come.

    Attributes:
        title: What is copied, such as ``public.old to public.new``.
        phase: ``copying``, and ``done`` at the end.
        done: Records that are written, and checked if that was asked for.
        total: How many there were at the beginning; `None` where the copy went on from another one.
        after: What to pass as ``after=`` to go on from here.
        seconds: Since the copy was begun.
    """

    title: str
    phase: str
    done: int
    total: int | None
    after: str | None
    seconds: float

    @property
    def fraction(self) -> float | None:
        """Share of the whole that is done, 0 to 1; `None` where that is not known."""
        if self.phase == "done":
            return 1.0
        return min(1.0, self.done / self.total) if self.total else None

    def __str__(self) -> str:
        share = "" if self.fraction is None else f"{self.fraction:.0%}, "
        return f"{self.title}: {share}{self.done} records, {self.seconds:.0f} s"


CopyProgressLike = Callable[[CopyProgress], object] | bool | None
"""Who is told how far a copy has come: a function, a progress bar (`True`), or nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """What a copy did.

    Attributes:
        read: Records read from the source.
        inserted: Records that are new in the target.
        updated: Records that were there and differed, or of which that could not be told.
        unchanged: Records that were there just as they are.
        verified: Records that were read back and are the same in the target.
        after: Where the copy ended: with ``after=`` another one goes on from here; `None` where nothing was read.
        seconds: How long it took.
    """

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    verified: int = 0
    after: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Copying:
    """How to copy.

    Attributes:
        batch_size: Records of a page.
        after: Where to begin: the ``after`` of a report, or of a progress.
        verify: Whether to read back what was written.
        convert: Makes of each record that is read the one that is written.
        progress: Who is told how far it has come.
    """

    batch_size: int = DEFAULT_PAGE
    after: str | None = None
    verify: bool = True
    convert: Callable[[Record], Record] | None = None
    progress: CopyProgressLike = None

    def __post_init__(self) -> None:
        check_range(self.batch_size, "batch_size", 1, reading.MAX_PAGE)
        if self.convert is not None:
            check_function(self.convert, "convert", "makes of one Record another")


@dataclass(frozen=True, slots=True)
class LastOfEach:
    """A conversion that may give several records one id, of which the last is meant.

    With any other, a record that gave way to another one is found to be missing when it is checked.

    Attributes:
        convert: Makes of each record that is read the one that is written.
    """

    convert: Callable[[Record], Record]

    def __call__(self, record: Record) -> Record:
        """Return the record that is written."""
        return self.convert(record)


async def copy(source: Handle, target: Handle, wanted: Copying) -> CopyReport:
    """See `Administration.copy_to`."""
    _check_pair(source, target)
    began = time.monotonic()
    title = f"{source.config.schema}.{source.config.name} to {target.config.schema}.{target.config.name}"
    report = CopyReport(after=wanted.after)
    with listener(wanted.progress) as told:
        total = await reading.count(source, None) if told is not None and wanted.after is None else None

        def tell(phase: str) -> None:
            if told is not None:
                done, after, seconds = report.read, report.after, report.seconds
                told(CopyProgress(title=title, phase=phase, done=done, total=total, after=after, seconds=seconds))

        async with aclosing(_pages(source, wanted)) as pages:
            async for page in pages:
                try:
                    report = await _pass_on(source, target, page, report, wanted)
                except PGRecallError as error:
                    error.add_note(f"{report.read} records were copied; after={report.after!r} goes on behind them")
                    raise
                report = replace(report, seconds=time.monotonic() - began)
                tell("copying")
        tell("done")
    return report


def _check_pair(source: Handle, target: Handle) -> None:
    if source.scope.domain is None and target.scope.domain is not None:
        msg = (
            f"the source is of {source.scope} and the target of {target.scope}: pass target.all_domains() to keep the "
            "domain of each record, or copy from a handle of one domain"
        )
        raise ConfigError(msg)
    tables = [(handle.database, handle.config.schema, handle.config.name) for handle in (source, target)]
    if tables[0] == tables[1] and (source.scope.domain is None or target.scope.covers(source.scope)):
        msg = f"{source.config.schema}.{source.config.name} cannot be copied onto itself"
        raise ConfigError(msg)


async def _pages(source: Handle, wanted: Copying) -> AsyncGenerator[Page]:
    """Read page after page, each while the caller works on the one before."""

    async def read(after: str | None) -> Page:
        return await reading.page(
            source, limit=wanted.batch_size, after=after, prefix=None, filter=None, extras=_EXTRAS
        )

    page = await read(wanted.after)
    while page.records:
        if page.next is None:
            yield page
            return
        ahead = asyncio.create_task(read(page.next), name="pgrecall reads ahead")
        try:
            yield page
        except GeneratorExit:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
            raise
        page = await ahead


async def _pass_on(source: Handle, target: Handle, page: Page, report: CopyReport, wanted: Copying) -> CopyReport:
    """Write one page, read it back, and return what has been done up to here."""
    records = page.records if wanted.convert is None else _converted(page.records, wanted.convert)
    if isinstance(wanted.convert, LastOfEach):
        records = list({(record.domain_id, record.id): record for record in records}.values())
    batch = _batch(records, keep_domain=target.scope.domain is None)
    result = await upserting.upsert(target, batch, len(batch))
    table = await target.run(target.table)
    if wanted.verify and table is not None:
        await _verify(target, table, records, result.ids)
    end = page.next
    if end is None:
        end = reading.cursor(page.records[-1], source.scope, await source.run(source.table))
    return replace(
        report,
        read=report.read + len(page.records),
        inserted=report.inserted + result.inserted,
        updated=report.updated + result.updated,
        unchanged=report.unchanged + result.unchanged,
        verified=report.verified + (len(batch) if wanted.verify else 0),
        after=end,
    )


def _converted(records: Sequence[Record], convert: Callable[[Record], Record]) -> list[Record]:
    made = [convert(record) for record in records]
    return [
        replace(one, id=record.id if one.id is None else one.id, domain_id=record.domain_id)
        for record, one in zip(records, made, strict=True)
    ]


def _batch(records: Sequence[Record], *, keep_domain: bool) -> RecordBatch:
    """Return a page as it is written.

    Raises:
        RecordError: A record has no embedding.
    """
    bare = [record.id for record in records if record.embedding is None]
    if bare:
        msg = f"{_some(bare)} without embedding cannot be stored; delete what has none, or embed its content"
        raise RecordError(msg)
    return RecordBatch(
        embeddings=[record.embedding for record in records],
        ids=[record.id for record in records],
        contents=[record.content for record in records],
        metadatas=[record.metadata for record in records],
        document_ids=[record.document_id for record in records],
        chunk_indexes=[record.chunk_index for record in records],
        domain_ids=[record.domain_id or DEFAULT_DOMAIN for record in records] if keep_domain else None,
        created_ats=[record.created_at for record in records],
        envelopes=[record.envelope for record in records],
        sparse_embeddings=[record.sparse_embedding for record in records],
        optional=frozenset({"created_at"}),
    )


async def _verify(target: Handle, table: Table, records: Sequence[Record], ids: Sequence[str]) -> None:
    """Hold what is stored against what was read.

    Raises:
        CopyMismatch: Something differs.
    """
    differing: dict[str, str] = {}
    pairs = list(zip(ids, records, strict=True))
    for start in range(0, len(pairs), _CHECKED):
        for scope, part in _by_domain(pairs[start : start + _CHECKED], target.scope, table):
            stored = await reading.get(replace(target, scope=scope), [row_id for row_id, _ in part], _EXTRAS)
            for (row_id, record), there in zip(part, stored, strict=True):
                if what := difference(record, there, table.vector_type):
                    differing[row_id] = what
    if differing:
        named = ", ".join(f"{row_id!r} ({what})" for row_id, what in list(differing.items())[:_NAMED])
        msg = f"{len(differing)} of {len(records)} records are not in {table.qualified_name} as they were read: {named}"
        raise CopyMismatch(msg, ids=tuple(differing))


def _by_domain(
    pairs: Sequence[tuple[str, Record]], scope: Scope, table: Table
) -> Iterator[tuple[Scope, list[tuple[str, Record]]]]:
    """Return the records in groups of one domain: an id names one record in one domain only."""
    if scope.domain is not None or table.columns.domain_id is None:
        yield scope, list(pairs)
        return
    for domain, part in groupby(pairs, key=lambda pair: pair[1].domain_id or DEFAULT_DOMAIN):
        yield Scope.of(domain), list(part)


def difference(record: Record, there: Record | None, vector_type: VectorType, *, embedded: bool = True) -> str:
    """Return what differs, by name; nothing where all is the same.

    Args:
        record: A record as it was written.
        there: What is stored in its place; `None` where nothing is.
        vector_type: Type of the column that its embedding is stored in.
        embedded: Whether the embeddings were read, so that they are to be compared too.
    """
    if there is None:
        return "missing"
    for name in ("content", "document_id", "chunk_index"):
        if getattr(record, name) != getattr(there, name):
            return name
    for name in ("metadata", "envelope"):
        # As JSON: a table that keeps no notes on types gives a date back as a text.
        if jsonb.loads(jsonb.dumps(getattr(record, name))) != jsonb.loads(jsonb.dumps(getattr(there, name))):
            return name
    sparse_embedding = None if record.sparse_embedding is None else sparse.checked(record.sparse_embedding)
    if sparse_embedding != there.sparse_embedding:
        return "sparse_embedding"
    if not embedded:
        return ""
    expected = np.asarray(record.embedding)
    if vector_type is not VectorType.BIT:
        expected = expected.astype(np.float32)
    if vector_type is VectorType.HALFVEC:
        expected = expected.astype(np.float16).astype(np.float32)
    return "" if there.embedding is not None and np.array_equal(expected, there.embedding) else "embedding"


def _some(ids: Sequence[str | None]) -> str:
    named = ", ".join(map(repr, ids[:_NAMED]))
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return f"records {named}{more}" if len(ids) > 1 else f"record {named}"
