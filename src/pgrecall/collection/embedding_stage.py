"""Embedding a chunk: only what can be stored and has changed, and without the texts that the model refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pgrecall.collection import sifting
from pgrecall.errors import DimensionMismatch

if TYPE_CHECKING:
    from pgrecall.collection.embedding_calls import Embedder
    from pgrecall.collection.entries import Chunk
    from pgrecall.collection.handle import Handle

_NO_EMBEDDING: Final = "has no embedding, and ingest() was given no embed= to make one"
_NO_CONTENT: Final = "has no content to embed"


class EmbeddingStage:
    """Has records embedded that have no embedding yet.

    Args:
        handle: Where they are to be stored.
        embedder: The model; `None` where all records bring their embeddings.
        skip_unchanged: Whether records that are stored just so are left out.
    """

    def __init__(self, handle: Handle, embedder: Embedder | None, *, skip_unchanged: bool) -> None:
        self._handle = handle
        self._embedder = embedder
        self._skip_unchanged = skip_unchanged

    async def __call__(self, chunk: Chunk) -> Chunk:
        """Return *chunk* with embeddings, and without what has none; it is changed.

        Raises:
            DimensionMismatch: The model's embeddings are of another length than the collection's.
            ConfigError: The model returned something else than one embedding for each text.
            Exception: What the model raised, if it is not about some of the texts.
        """
        if not _bare(chunk):
            return chunk
        if self._embedder is None:
            chunk.set_aside(dict.fromkeys(_bare(chunk), _NO_EMBEDDING))
            return chunk
        await self._set_aside(chunk)
        bare = _bare(chunk)
        if self._skip_unchanged and bare:
            same = await sifting.unchanged(self._handle, [chunk.records[index] for index in bare])
            chunk.unchanged += len(same)
            chunk.drop(bare[place] for place in same)
            bare = _bare(chunk)
        vectors, reasons = await self._embedder.sort_out([str(chunk.records[index].content) for index in bare])
        await self._check(vectors)
        for place, vector in vectors.items():
            chunk.records[bare[place]] = replace(chunk.records[bare[place]], embedding=vector)
        chunk.set_aside({bare[place]: reason for place, reason in reasons.items()})
        return chunk

    async def _set_aside(self, chunk: Chunk) -> None:
        """Set aside what cannot be stored, which costs no embedding then."""
        bare = _bare(chunk)
        dimensions = self._handle.config.dimensions or 1
        found = await sifting.faults(self._handle, [chunk.records[index] for index in bare], dimensions)
        reasons = {bare[place]: reason for place, reason in found.items()}
        for index in bare:
            content = chunk.records[index].content
            if index not in reasons and not (isinstance(content, str) and content.strip()):
                reasons[index] = _NO_CONTENT
        chunk.set_aside(reasons)

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
