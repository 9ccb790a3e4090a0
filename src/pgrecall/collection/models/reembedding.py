"""Re-embedding beside readers and writers: a second column, filled a few blocks at a time, indexed and compared."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from pgrecall.checks import check_instance, check_range
from pgrecall.collection.indexes import indexing
from pgrecall.collection.indexes.building import Builder, alone, require_direct
from pgrecall.collection.ingesting.embedding_calls import Embedder, EmbedLike
from pgrecall.collection.measuring.comparing import compare
from pgrecall.collection.models import model_columns
from pgrecall.collection.models.filling import Filling
from pgrecall.collection.models.reembed_report import ReembedOptions, ReembedProgress, ReembedReport
from pgrecall.collection.namespaces.runs import IngestFailure
from pgrecall.config import ORIGINAL_MODEL, check_model
from pgrecall.errors import ConfigError, SchemaError
from pgrecall.postgres import catalog, statistics
from pgrecall.sql import ddl, models

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.table import Table

# Rows that are embedded between two looks at how many lack an embedding.
_ROUND: Final = 1_000
# By less than this share of them fewer at the second look: others write as fast.
_GAIN: Final = 0.2
# Transactions that write at a time, at most, to catch up with others.
_HANDS: Final = 4
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
        check_instance(options, "options", ReembedOptions, "ReembedOptions")
        self._embedder = Embedder(embed, options.retry)
        self._options = options
        self._told = told
        self._began = time.monotonic()
        self._column = model_columns.column_of(self._handle, name)
        self._fraction: float | None = 0.0
        self._filling = Filling(handle, name, self._embedder, options, self._tell_filling)

    async def run(self, dimensions: int | None) -> ReembedReport:
        """Embed everything, index it, compare it, and declare it ready."""
        if self._name == ORIGINAL_MODEL:
            msg = f"{ORIGINAL_MODEL!r} is what the embeddings are called that the collection was made with"
            raise ConfigError(msg)
        before = await self._prepare(dimensions)
        table = await self._table()
        await self._filling.by_place(table)
        # Before there is an index of the new embeddings, in which each one that is written later costs as much
        # as in that of the old ones.
        await self._index_missing(table)
        await self.catch_up()
        self._tell("indexing")
        await self._index(before)
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
                for position, ((_, row_id), reason) in enumerate(list(self._filling.refused.items())[:_REPORTED])
            ),
            comparison=comparison,
            seconds=time.monotonic() - self._began,
        )

    @property
    def embedded(self) -> int:
        """Rows that were given an embedding."""
        return self._filling.embedded

    async def catch_up(self) -> int:
        """Embed what lacks an embedding, by the order of the key, and return how many still lack one.

        Others may go on writing for ever, so this ends once little more than that is left. Where they write as
        fast as it embeds, it takes more of the server's time, and ends where that is not enough.
        """
        table, filling = await self._table(), self._filling
        filling.load, filling.hands = self._options.load, 1
        before = await filling.lacking(table)
        while before:
            found = await filling.by_key(table, _ROUND)
            lacking = await filling.lacking(table)
            if found < self._options.embed_batch:
                return lacking
            if before - lacking < _GAIN * found and not self._take_more():
                return lacking
            before = lacking
        return 0

    def _take_more(self) -> bool:
        """Take more of the server's time, and say whether there was more to take."""
        filling = self._filling
        if filling.load < 1:
            filling.load = min(1.0, 2 * filling.load)
        elif filling.hands < _HANDS:
            filling.hands *= 2
        else:
            return False
        return True

    async def _prepare(self, dimensions: int | None) -> Table:
        """Add the column and the trigger, unless they are there, and return the table as searches see it now."""

        async def work(session: Session) -> Table:
            require_direct(session)
            table = await indexing.current(self._handle, session)
            model_columns.check_able(table)
            if await self._is_there(session, table):
                return table
            found = dimensions or len((await self._embedder(["dimensions"]))[0])
            async with alone(session, table):
                # Whoever was waited for may have added it.
                if not await self._is_there(session, table):
                    await self._add(session, table, found)
            return table

        return await self._handle.run(work)

    async def _is_there(self, session: Session, table: Table) -> bool:
        """Whether the table has the model's column.

        Raises:
            SchemaError: Somebody else's column is called so.
        """
        notes = await catalog.column_notes(session, table)
        if self._column not in notes:
            return False
        if (notes[self._column] or {}).get("model") != self._name:
            msg = f"{table.qualified_name} has a column {self._column!r} of its own"
            raise SchemaError(msg)
        return True

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

    async def _index_missing(self, table: Table) -> None:
        """Index what lacks embeddings, for who catches up."""

        async def work(session: Session) -> None:
            async with alone(session, table):
                build = Builder(handle=self._handle, session=session, table=table)
                for column in [model.column for model in await model_columns.listed(self._handle, session)]:
                    if not await statistics.has_missing_index(session, table, column):
                        what = f"the index of what lacks embeddings in {table.qualified_name}"
                        await build(models.index_missing(table, column), what)

        await self._handle.run(work)

    async def _index(self, before: Table) -> None:
        """Index the new embeddings as the first ones are."""
        serving = before.usable_index()
        index = self._options.index or (None if serving is None else indexing.like(serving))
        if index is not None:
            handle = model_columns.while_filling(self._handle, self._name)

            def say(progress: Any) -> None:
                self._fraction = progress.fraction
                self._tell("indexing")

            await indexing.create_beside(handle, index, None if self._told is None else say)

    async def _ready(self, table: Table) -> None:
        async def work(session: Session) -> None:
            # As switching does, which writes all notes anew.
            await session.execute(ddl.lock_settings(table.schema, table.name))
            notes = await catalog.column_notes(session, table)
            facts = dict(notes.get(self._column) or {})
            if facts.pop("filling", False):
                await session.execute(models.note(table, self._column, facts))

        await self._handle.database.transaction(work)

    def _tell_filling(self) -> None:
        self._fraction = self._filling.fraction
        self._tell("embedding")

    def _tell(self, phase: str) -> None:
        if self._told is not None:
            title = f"{self._handle.config.schema}.{self._handle.config.name}, {self._name}"
            seconds = time.monotonic() - self._began
            self._told(
                ReembedProgress(title=title, phase=phase, done=self.embedded, fraction=self._fraction, seconds=seconds)
            )
