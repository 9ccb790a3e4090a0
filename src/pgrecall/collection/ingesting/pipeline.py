"""From a source to rows: taken in chunks, embedded several at a time, written in order with a checkpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sized
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgrecall.collection.indexes import automatic, indexing
from pgrecall.collection.ingesting import sifting
from pgrecall.collection.ingesting.ahead import several
from pgrecall.collection.ingesting.embedding_calls import Embedder
from pgrecall.collection.ingesting.embedding_stage import EmbeddingStage
from pgrecall.collection.ingesting.entries import chunks_of, items_of
from pgrecall.collection.ingesting.ingestion import IngestReport
from pgrecall.collection.namespaces.runs import Run
from pgrecall.collection.writing import upserting
from pgrecall.errors import ConfigError, DimensionMismatch, PGRecallError, RecordError, TooManyFailures
from pgrecall.records import RecordBatch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from pgrecall.collection.handle import Handle
    from pgrecall.collection.ingesting.embedding_calls import EmbedLike
    from pgrecall.collection.ingesting.entries import Chunk
    from pgrecall.collection.ingesting.ingestion import IngestOptions
    from pgrecall.collection.ingesting.loading_progress import Announcer
    from pgrecall.collection.namespaces.runs import IngestFailure
    from pgrecall.postgres import Session
    from pgrecall.rows import Rows
    from pgrecall.table import Table


@dataclass(slots=True)
class _Ready:
    """A batch that only has to be sent."""

    chunk: Chunk
    table: Table | None = None
    rows: Rows | None = None


class Pipeline:
    """One ingestion."""

    def __init__(
        self,
        handle: Handle,
        embed: EmbedLike | None,
        options: IngestOptions,
        announcer: Announcer,
        on_failure: Callable[[IngestFailure], object] | None = None,
    ) -> None:
        self._handle = handle
        self._options = options
        self._embedder = None if embed is None else Embedder(embed, options.retry)
        self._stage = EmbeddingStage(handle, self._embedder, options)
        self._announcer = announcer
        self._on_failure = on_failure
        self._run: Run | None = None
        self._began = time.monotonic()
        self._failures: list[IngestFailure] = []
        self._unwritten: list[IngestFailure] = []
        self._set_aside = 0
        self._likely_new = False
        self._done = self._start = 0
        self._inserted = self._updated = self._unchanged = 0

    async def take_in(self, source: object, run: str | None) -> IngestReport:
        """Write what *source* holds, and return what was done."""
        if self._handle.scope.domain is None:
            msg = f"ingest() writes to one domain, and this handle is of {self._handle.scope}: take it from domain(…)"
            raise ConfigError(msg)
        if run is not None:
            self._run = await Run.begin(self._handle, run)
            self._done = self._start = self._run.position
            self._failures += self._run.failures
            self._set_aside = len(self._failures)
        try:
            await self._load(items_of(source, self._start))
            if self._options.index is not None and await self._handle.run(self._handle.table) is not None:
                with self._announcer.indexing() as progress:
                    await indexing.create_index(self._handle, self._options.index, replace=False, progress=progress)
            if self._run is not None:
                await self._run.finish()
        except PGRecallError as error:
            if self._run is not None:
                error.add_note(f"{self._done} items are done with; run={self._run.name!r} goes on behind them")
            raise
        self._announcer.tell("done", self.report())
        return self.report()

    def report(self) -> IngestReport:
        """Return what has been done so far."""
        return IngestReport(
            read=self._done - self._start,
            written=self._inserted + self._updated,
            inserted=self._inserted,
            unchanged=self._unchanged,
            failed=tuple(self._failures),
            resumed_at=self._start,
            embedding_calls=0 if self._embedder is None else self._embedder.calls,
            seconds=time.monotonic() - self._began,
        )

    async def _load(self, items: AsyncGenerator[Any]) -> None:
        """Write batch after batch; while the server takes one, the next is gathered, encoded and hashed."""
        writing: asyncio.Task[None] | None = None
        try:
            async with aclosing(items), aclosing(self._batches(items)) as batches:
                async for batch in batches:
                    try:
                        ready = await self._prepared(batch)
                    finally:
                        if writing is not None:
                            await writing
                    writing = asyncio.create_task(self._write(ready), name="pgrecall writes a batch")
            if writing is not None:
                await writing
        finally:
            if writing is not None and not writing.done():
                # What is being sent is let through: it is whole, and its checkpoint with it.
                with suppress(Exception):
                    await asyncio.shield(writing)

    async def _batches(self, items: AsyncGenerator[Any]) -> AsyncGenerator[Chunk]:
        batch: Chunk | None = None
        async with aclosing(self._embedded(items)) as embedded:
            async for chunk in embedded:
                if batch is None:
                    batch = chunk
                else:
                    batch.join(chunk)
                if batch.read >= self._options.write_batch:
                    yield batch
                    batch = None
        if batch is not None:
            yield batch

    async def _embedded(self, items: AsyncGenerator[Any]) -> AsyncGenerator[Chunk]:
        """Return the chunks in their order, with several of them on their way at a time."""
        options = self._options
        size = min(options.write_batch, options.embed_batch) if self._embedder else options.write_batch
        chunks = chunks_of(items, self._start, size, options.record)
        async with aclosing(several(chunks, self._stage, options.embed_calls)) as embedded:
            async for chunk in embedded:
                yield chunk

    async def _prepared(self, batch: Chunk) -> _Ready:
        """Return *batch* checked, encoded and hashed.

        Raises:
            TooManyFailures: More was set aside than is allowed.
        """
        ready = _Ready(batch)
        if batch.records:
            try:
                await self._check(ready)
            except (RecordError, DimensionMismatch):
                first = next((len(one.embedding) for one in batch.records if isinstance(one.embedding, Sized)), 1)
                batch.set_aside(await sifting.faults(self._handle, batch.records, first))
                await self._check(ready)
        self._set_aside += len(batch.failures)
        most = self._options.max_failures
        if most is not None and self._set_aside > most:
            # What stands before this batch is written; it is not.
            failures = (*self._failures, *self._unwritten, *batch.failures)
            last = failures[-1]
            msg = (
                f"{self._set_aside} records could not be stored, and max_failures is {most}; the last of them, "
                f"number {last.position}: {last.reason}"
            )
            raise TooManyFailures(msg, failures=failures)
        self._unwritten += batch.failures
        if ready.rows is not None:
            await asyncio.to_thread(ready.rows.finish)
        return ready

    async def _check(self, ready: _Ready) -> None:
        if ready.chunk.records:
            columns = RecordBatch.from_records(ready.chunk.records)
            ready.table, ready.rows, _ = await upserting.checked(self._handle, columns)

    async def _write(self, ready: _Ready) -> None:
        """Write a batch and its checkpoint in one transaction, and tell of it."""
        chunk, run, handle = ready.chunk, self._run, self._handle

        async def note(session: Session, _: object = None) -> None:
            if run is not None:
                await run.advance(session, chunk.end, chunk.failures)

        if ready.table is not None and ready.rows is not None:
            inserted, updated = await upserting.write(
                handle, ready.table, ready.rows, then=note, likely_new=self._likely_new
            )
            self._likely_new = inserted == len(ready.rows)
            self._inserted, self._updated = self._inserted + inserted, self._updated + updated
            self._unchanged += len(chunk.records) - inserted - updated
            if inserted or updated:
                handle.knowledge.forget_estimates()
            if inserted and self._options.index is None:
                automatic.written(handle, inserted)
        elif run is not None:
            await handle.transaction(note)
        self._unchanged += chunk.unchanged
        self._done = chunk.end
        self._failures += chunk.failures
        del self._unwritten[: len(chunk.failures)]
        if self._on_failure is not None:
            for failure in chunk.failures:
                self._on_failure(failure)
        self._announcer.tell("loading", self.report())
