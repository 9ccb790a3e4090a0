"""Embedding a chunk: only what can be stored and has changed, and without the texts that the model refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pgrecall.collection.ingesting import sifting
from pgrecall.collection.ingesting.entries import reason_of
from pgrecall.errors import DimensionMismatch

if TYPE_CHECKING:
    from pgrecall.collection.handle import Handle
    from pgrecall.collection.ingesting.embedding_calls import Embedder
    from pgrecall.collection.ingesting.entries import Chunk
    from pgrecall.collection.ingesting.ingestion import IngestOptions
    from pgrecall.records import Record

_NO_EMBEDDING: Final = "has no embedding, and ingest() was given no embed= to make one"
_NO_CONTENT: Final = "has no content to embed"


class EmbeddingStage:
    """Has records embedded that have no embedding yet.

    Args:
        handle: Where they are to be stored.
        embedder: The model; `None` where all records bring their embeddings.
        options: What to do with what is stored just so, and what of a record is embedded.
    """

    def __init__(self, handle: Handle, embedder: Embedder | None, options: IngestOptions) -> None:
        self._handle = handle
        self._embedder = embedder
        self._options = options

    async def __call__(self, chunk: Chunk) -> Chunk:
        """Return *chunk* with embeddings, and without what has none; it is changed.

        Raises:
            DimensionMismatch: The model's embeddings are of another length than the collection's.
            ConfigError: The model returned something else than one embedding for each text.
            Exception: What the model raised, if it is not about some of the texts.
        """
        await self._leave_out(chunk)
        if not _bare(chunk):
            return chunk
        if self._embedder is None:
            chunk.set_aside(dict.fromkeys(_bare(chunk), _NO_EMBEDDING))
            return chunk
        texts = await self._texts(chunk)
        bare = _bare(chunk)
        if self._options.skip_unchanged and bare:
            same = await sifting.unchanged(self._handle, [chunk.records[index] for index in bare])
            chunk.unchanged += len(same)
            chunk.drop(bare[place] for place in same)
            bare = _bare(chunk)
        vectors, reasons = await self._embedder.sort_out([texts[chunk.positions[index]] for index in bare])
        await self._check(vectors)
        for place, vector in vectors.items():
            chunk.records[bare[place]] = replace(chunk.records[bare[place]], embedding=vector)
        chunk.set_aside({bare[place]: reason for place, reason in reasons.items()})
        return chunk

    async def _leave_out(self, chunk: Chunk) -> None:
        """Take out of the records what the table has no columns for, and need not have."""
        if not self._options.optional:
            return
        columns = (await self._handle.planned_table(self._handle.config.dimensions or 1)).columns
        absent: dict[str, Any] = {name: None for name in self._options.optional if getattr(columns, name) is None}
        if absent:
            chunk.records = [replace(record, **absent) for record in chunk.records]

    async def _texts(self, chunk: Chunk) -> dict[int, str]:
        """Return what is to be embedded, by place; what cannot be stored is set aside, and costs no embedding then."""
        bare = _bare(chunk)
        dimensions = self._handle.config.dimensions or 1
        found = await sifting.faults(self._handle, [chunk.records[index] for index in bare], dimensions)
        reasons = {bare[place]: reason for place, reason in found.items()}
        texts: dict[int, str] = {}
        for index in bare:
            if index in reasons:
                continue
            try:
                text = self._text(chunk.records[index])
            except Exception as error:  # noqa: BLE001 - whatever it raises is about its record
                reasons[index] = reason_of(error)
                continue
            if isinstance(text, str) and text.strip():
                texts[chunk.positions[index]] = text
            else:
                reasons[index] = _NO_CONTENT
        chunk.set_aside(reasons)
        return texts

    def _text(self, record: Record) -> str | None:
        return record.content if self._options.text is None else self._options.text(record)

    async def _check(self, vectors: dict[int, Any]) -> None:
        for vector in vectors.values():
            table = await self._handle.planned_table(len(vector))
            if table.dimensions not in (None, len(vector)):
                msg = (
                    f"embed returns {len(vector)} dimensions, and {table.qualified_name} holds {table.dimensions}; "
                    "reembed() takes a collection over to another model"
                )
                raise DimensionMismatch(msg)
            return


def _bare(chunk: Chunk) -> list[int]:
    return [index for index, record in enumerate(chunk.records) if record.embedding is None]
