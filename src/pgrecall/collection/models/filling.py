"""Giving rows the embeddings that they lack: embedded ahead, and written a little at a time."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from pgrecall import vectors
from pgrecall.collection.ingesting.ahead import several
from pgrecall.collection.ingesting.entries import reason_of
from pgrecall.collection.models import model_columns
from pgrecall.embeddings import as_matrix
from pgrecall.errors import DimensionMismatch, RecordError
from pgrecall.postgres import catalog
from pgrecall.sql import models

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.collection.ingesting.embedding_calls import Embedder
    from pgrecall.collection.models.reembed_report import ReembedOptions
    from pgrecall.postgres import Session
    from pgrecall.table import Table

    Row = tuple[str, str | None, str]
    Embedded = list[tuple[Row, Any]]

# Blocks that are looked at in one statement, at most.
_BLOCKS: Final = 256
# Seconds that a transaction is to take: for as long, a writer may wait for one of its rows.
_SECONDS: Final = 0.1
_FIRST_ROWS: Final = 8


class Filling:
    """The embeddings of one model, as far as rows lack them.

    While rows are written, and the server is left alone afterwards, the next ones are being embedded.

    Args:
        handle: The collection.
        name: The model's name.
        embedder: The model.
        options: Batches, and how much of the server's time to take.
        tell: Called after each write.

    Attributes:
        load: Share of the time in which the server is kept busy.
        hands: Transactions that write at a time.
        embedded: Rows that were given an embedding.
        fraction: Share of the table that has been gone through.
        refused: Why rows have none, by domain and id.
    """

    def __init__(
        self, handle: Handle, name: str, embedder: Embedder, options: ReembedOptions, tell: Callable[[], None]
    ) -> None:
        self._handle = handle
        self._name = name
        self._column = model_columns.column_of(handle, name)
        self._embedder = embedder
        self._options = options
        self._tell = tell
        self._rows = _FIRST_ROWS
        self._rested = 0.0
        self.load = options.load
        self.hands = 1
        self.embedded = 0
        self.fraction = 0.0
        self.refused: dict[tuple[str | None, str], str] = {}
        self._refused_texts: dict[tuple[str | None, str], int] = {}

    async def by_place(self, table: Table) -> None:
        """Go through the table once, block by block: what is embedded moves behind the last of them."""
        blocks = await self._handle.run(lambda session: catalog.blocks(session, table))
        await self._fill(table, self._placed(table, blocks))

    async def by_key(self, table: Table, most: int) -> int:
        """Go through what lacks an embedding, in the order of the key; return how many rows were embedded.

        Args:
            table: The table.
            most: Most rows, so that whoever writes ahead of this is not followed from one row to the next.
        """
        before = self.embedded
        await self._fill(table, self._keyed(table, most))
        return self.embedded - before

    async def lacking(self, table: Table) -> int:
        """Return how many rows lack an embedding and could have one."""
        statement = models.count_missing(table, self._column)

        async def work(session: Session) -> int:
            async with model_columns.of_all_domains(session, table):
                return await session.fetch_value(statement)

        return await self._handle.run(work)

    async def _placed(self, table: Table, blocks: int) -> AsyncGenerator[list[Row]]:
        """Yield the rows of the first *blocks* blocks, as many blocks at a time as hold a few calls' worth."""
        wanted = self._options.embed_batch * self._options.embed_calls
        first, width = 0, 1
        while first < blocks:
            last = min(first + width, blocks)
            rows = await self._read(table, models.missing_in_blocks(table, self._column, first, last))
            for part in self._parts(rows):
                yield part
            first = last
            self.fraction = first / blocks
            width = max(1, min(width * wanted // max(len(rows), 1), 2 * width, _BLOCKS))

    async def _keyed(self, table: Table, left: int) -> AsyncGenerator[list[Row]]:
        limit = self._options.embed_batch * self._options.embed_calls
        after: tuple[str, ...] = ()
        while left > 0 and (rows := await self._read(table, models.missing_behind(table, self._column, after, limit))):
            row_id, domain = rows[-1][0], rows[-1][1]
            after = tuple(str(domain) if name == table.columns.domain_id else row_id for name in table.key)
            for part in self._parts(rows):
                yield part[:left]
                left -= len(part[:left])
                if left == 0:
                    return

    async def _read(self, table: Table, statement: Any) -> list[Row]:
        async def work(session: Session) -> list[Row]:
            async with model_columns.of_all_domains(session, table):
                return [(row[0], row[1], row[2]) for row in await session.fetch(statement)]

        return await self._handle.run(work)

    def _parts(self, rows: Sequence[Row]) -> list[list[Row]]:
        """Return *rows*, without those that cannot be embedded, as calls of the model take them."""
        wanted: list[Row] = []
        for row in rows:
            if self._refused_texts.get((row[1], row[0])) == hash(row[2]):
                continue
            if row[2].strip():
                wanted.append(row)
            else:
                self._refuse(row, "has no content to embed")
        size = self._options.embed_batch
        return [wanted[start : start + size] for start in range(0, len(wanted), size)]

    def _refuse(self, row: Row, reason: str) -> None:
        """Remember that *row* cannot be embedded, until its content changes."""
        self.refused[row[1], row[0]] = reason
        self._refused_texts[row[1], row[0]] = hash(row[2])

    async def _fill(self, table: Table, rows: AsyncGenerator[list[Row]]) -> None:
        async def embedded(part: list[Row]) -> Embedded:
            return await self._vectors(table, part)

        async def written(part: Embedded) -> None:
            await self._write(table, part)

        async with aclosing(several(several(rows, embedded, self._options.embed_calls), written, self.hands)) as parts:
            async for _ in parts:
                pass

    async def _vectors(self, table: Table, rows: Sequence[Row]) -> Embedded:
        """Return the rows with their embeddings, without those that the model refuses."""
        found, refused = await self._embedder.sort_out([row[2] for row in rows])
        for place, reason in refused.items():
            self._refuse(rows[place], reason)
        good: Embedded = []
        for place, vector in found.items():
            row = rows[place]
            try:
                as_matrix([vector], table.dimensions, table.vector_type, table.distance, lambda _: "it")
            except DimensionMismatch:
                msg = f"embed returns {len(vector)} dimensions, and the column of {self._name!r} has {table.dimensions}"
                raise DimensionMismatch(msg) from None
            except RecordError as error:
                self._refuse(row, reason_of(error))
            else:
                self.refused.pop((row[1], row[0]), None)
                good.append((row, vector))
        return good

    async def _write(self, table: Table, found: Embedded) -> None:
        """Write embeddings, in transactions that are short, and leave the server alone after each for a while."""
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
        done = 0
        while done < len(found):
            # What the model took its time for was a rest, too.
            await asyncio.sleep(self._rested - time.monotonic())
            end = min(done + self._rows, len(found))
            began = time.monotonic()
            await self._send(table, [row for row, _ in found[done:end]], encoded[done:end])
            took = time.monotonic() - began
            self._rested = began + took / self.load
            if end - done == self._rows or took > _SECONDS:
                self._rows = max(1, min(2 * self._rows, int((end - done) * _SECONDS / took)))
            done = end
            self._tell()

    async def _send(self, table: Table, rows: Sequence[Row], encoded: Sequence[Any]) -> None:
        async def work(session: Session) -> int:
            filling = models.fill(table, self._column, rows, encoded, session.dialect)
            async with model_columns.of_all_domains(session, table):
                return await session.execute(filling)

        filled = await self._handle.database.transaction(work)
        self.embedded += filled
