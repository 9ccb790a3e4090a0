"""Re-embedding beside readers and writers: a second column, filled a few blocks at a time, indexed and compared."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from pgrecall import vectors
from pgrecall.collection import indexing, model_columns
from pgrecall.collection.building import Builder, alone, require_direct
from pgrecall.collection.comparing import compare
from pgrecall.collection.embedding_calls import Embedder, EmbedLike
from pgrecall.collection.entries import reason_of
from pgrecall.collection.reembed_report import ReembedOptions, ReembedProgress, ReembedReport
from pgrecall.collection.runs import IngestFailure
from pgrecall.config import ORIGINAL_MODEL, check_model, check_range
from pgrecall.embeddings import as_matrix
from pgrecall.errors import ConfigError, DimensionMismatch, RecordError, SchemaError
from pgrecall.postgres import catalog, statistics
from pgrecall.sql import models

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.table import Table

    Row = tuple[str, str | None, str]

# Blocks that are looked at in one statement; with embeddings in the row, a few hundred rows.
_BLOCKS: Final = 256
_MOST: Final = 10_000
_ROUNDS: Final = 10
_REPORTED: Final = 1_000


class Reembedding:
    """One call of `Models.reembed`, or one round of `Models.keep_models` for one model."""

    def __init__(
        self,
        handle: Handle,
        name: str,
        embed: EmbedLike,
        options: ReembedOptions,
        told: Callable[[ReembedProgress], object] | None = None,
    ) -> None:
        self._handle = handle
        self._name = check_model(name)
        self._embedder = Embedder(embed, options.retry)
        self._options = options
        self._told = told
        self._began = time.monotonic()
        self._column = model_columns.column_of(self._handle, name)
        self._refused: dict[tuple[str | None, str], str] = {}
        self._fraction: float | None = 0.0
        self.embedded = 0

    async def run(self, dimensions: int | None) -> ReembedReport:
        """Embed everything, index it, compare it, and declare it ready."""
        if self._name == ORIGINAL_MODEL:
            msg = f"{ORIGINAL_MODEL!r} is what the embeddings are called that the collection was made with"
            raise ConfigError(msg)
        before = await self._prepare(dimensions)
        table = await self._table()
        await self._go_through(table)
        self._tell("indexing")
        await self._index(before, table)
        self._tell("catching up")
        lacking = await self.catch_up()
        await self._ready(table)
        comparison = None
        if self._options.sample:
            self._tell("comparing")
            new = model_columns.while_filling(self._handle, self._name)
            comparison = await compare(self._handle, new, self._options.k, self._options.sample)
        self._fraction = 1.0
        self._tell("done")
        return ReembedReport(
            model=self._name,
            dimensions=table.dimensions or 0,
            embedded=self.embedded,
            missing=lacking,
            failed=tuple(
                IngestFailure(position=position, id=row_id, reason=reason)
                for position, ((_, row_id), reason) in enumerate(list(self._refused.items())[:_REPORTED])
            ),
            comparison=comparison,
            seconds=time.monotonic() - self._began,
        )

    async def catch_up(self) -> int:
        """Embed what lacks an embedding, by the order of the key, and return how many still lack one.

        Others may go on writing for ever, so this ends once little more than that is left.
        """
        table = await self._table()
        for _ in range(_ROUNDS):
            before, after = self.embedded, ()
            while rows := await self._read(table, None, after):
                await self._embed(table, rows)
                row_id, domain = rows[-1][0], rows[-1][1]
                after = tuple(str(domain) if name == table.columns.domain_id else row_id for name in table.key)
            if self.embedded - before < self._options.embed_batch:
                break
        return await self._count_missing(table)

    async def _count_missing(self, table: Table) -> int:
        statement = models.count_missing(table, self._column)

        async def work(session: Session) -> int:
            async with model_columns.of_all_domains(session, table):
                return await session.fetch_value(statement)

        return await self._handle.run(work)

    async def _prepare(self, dimensions: int | None) -> Table:
        """Add the column and the trigger, unless they are there, and return the table as searches see it now."""

        async def work(session: Session) -> Table:
            require_direct(session)
            table = await indexing.current(self._handle, session)
            model_columns.check_able(table)
            notes = await catalog.column_notes(session, table)
            note = notes.get(self._column)
            if self._column in notes:
                if note is None or note.get("model") != self._name:
                    msg = f"{table.qualified_name} has a column {self._column!r} of its own"
                    raise SchemaError(msg)
                return table
            async with alone(session, table):
                await self._add(session, table, dimensions or len((await self._embedder(["dimensions"]))[0]))
            return table

        return await self._handle.run(work)

    async def _add(self, session: Session, table: Table, dimensions: int) -> None:
        kind = self._options.vector_type or table.vector_type
        check_range(dimensions, "dimensions", 1, kind.max_dimensions)
        table.distance.check_type(kind)
        others = [model.name for model in await model_columns.listed(self._handle, session)]

        async def statements() -> list[Any]:
            added = models.add_column(table, self._column, dimensions, kind, session.dialect)
            noted = models.note(table, self._column, {"model": self._name, "filling": True})
            fresh = await model_columns.fresh_statements(self._handle, session, table, [*others, self._name])
            return [*added, noted, *fresh]

        await model_columns.quickly(session, statements)

    async def _table(self) -> Table:
        """Return the table, seen by the model's embeddings."""
        handle = model_columns.while_filling(self._handle, self._name)
        return await self._handle.run(lambda session: indexing.current(handle, session))

    async def _go_through(self, table: Table) -> None:
        """Embed what lacks an embedding, block by block: what is embedded moves behind the last of them."""
        blocks = await self._handle.run(lambda session: catalog.blocks(session, table))
        for first in range(0, blocks, _BLOCKS):
            part = (first, first + _BLOCKS)
            skipped: set[tuple[str | None, str]] = set()
            while rows := [row for row in await self._read(table, part, ()) if (row[1], row[0]) not in skipped]:
                self._fraction = first / blocks
                embedded = self.embedded
                await self._embed(table, rows)
                if self.embedded == embedded:
                    break
                skipped |= {(row[1], row[0]) for row in rows}

    async def _read(self, table: Table, blocks: tuple[int, int] | None, after: Sequence[str]) -> list[Row]:
        limit = self._options.embed_batch * self._options.embed_calls
        statement = models.missing(table, self._column, blocks, after, limit)

        async def work(session: Session) -> list[Row]:
            async with model_columns.of_all_domains(session, table):
                return [(row[0], row[1], row[2]) for row in await session.fetch(statement)]

        return await self._handle.run(work)

    async def _embed(self, table: Table, rows: Sequence[Row]) -> None:
        """Embed some rows, write their embeddings, and leave the server alone for a while."""
        wanted = [row for row in rows if (row[1], row[0]) not in self._refused]
        for row in wanted:
            if not row[2].strip():
                self._refused[row[1], row[0]] = "has no content to embed"
        wanted = [row for row in wanted if row[2].strip()]
        size = self._options.embed_batch
        parts = [wanted[start : start + size] for start in range(0, len(wanted), size)]
        found: list[tuple[Row, Any]] = []
        tasks = [asyncio.create_task(self._vectors(table, part), name="pgrecall embeds") for part in parts]
        try:
            for pairs in await asyncio.gather(*tasks):
                found += pairs
        finally:
            for task in tasks:
                task.cancel()
        if not found:
            return
        matrix = as_matrix(
            [vector for _, vector in found],
            table.dimensions,
            table.vector_type,
            table.distance,
            lambda n: found[n][0][0],
        )
        encoded = list(vectors.encode(matrix, table.vector_type))
        began = time.monotonic()

        async def work(session: Session) -> int:
            filling = models.fill(table, self._column, [row for row, _ in found], encoded, session.dialect)
            async with model_columns.of_all_domains(session, table):
                return await session.execute(filling)

        self.embedded += await self._handle.database.transaction(work)
        took = time.monotonic() - began
        self._tell("embedding")
        await asyncio.sleep(took * (1 / self._options.load - 1))

    async def _vectors(self, table: Table, rows: Sequence[Row]) -> list[tuple[Row, Any]]:
        """Return the rows with their embeddings, without those that the model refuses."""
        found, refused = await self._embedder.sort_out([row[2] for row in rows])
        for place, reason in refused.items():
            self._refused[rows[place][1], rows[place][0]] = reason
        good: list[tuple[Row, Any]] = []
        for place, vector in found.items():
            row = rows[place]
            try:
                as_matrix([vector], table.dimensions, table.vector_type, table.distance, lambda _: "it")
            except DimensionMismatch:
                msg = f"embed returns {len(vector)} dimensions, and the column of {self._name!r} has {table.dimensions}"
                raise DimensionMismatch(msg) from None
            except RecordError as error:
                self._refused[row[1], row[0]] = reason_of(error)
            else:
                good.append((row, vector))
        return good

    async def _index(self, before: Table, table: Table) -> None:
        """Index the new embeddings as the first ones are, and what lacks embeddings, for who catches up."""

        async def work(session: Session) -> None:
            async with alone(session, table):
                build = Builder(handle=self._handle, session=session, table=table)
                for column in [model.column for model in await model_columns.listed(self._handle, session)]:
                    if not await statistics.has_missing_index(session, table, column):
                        what = f"the index of what lacks embeddings in {table.qualified_name}"
                        await build(models.index_missing(table, column), what)

        await self._handle.run(work)
        serving = before.usable_index()
        index = self._options.index or (None if serving is None else indexing.like(serving))
        if index is not None:
            handle = model_columns.while_filling(self._handle, self._name)

            def say(progress: Any) -> None:
                self._fraction = progress.fraction
                self._tell("indexing")

            await indexing.create_index(handle, index, replace=False, progress=None if self._told is None else say)

    async def _ready(self, table: Table) -> None:
        async def work(session: Session) -> None:
            notes = await catalog.column_notes(session, table)
            facts = dict(notes.get(self._column) or {})
            if facts.pop("filling", False):
                await session.execute(models.note(table, self._column, facts))

        await self._handle.database.transaction(work)

    def _tell(self, phase: str) -> None:
        if self._told is not None:
            title = f"{self._handle.config.schema}.{self._handle.config.name}, {self._name}"
            seconds = time.monotonic() - self._began
            self._told(
                ReembedProgress(title=title, phase=phase, done=self.embedded, fraction=self._fraction, seconds=seconds)
            )
