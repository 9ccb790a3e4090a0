"""What a store writes, changes and deletes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pgrecall.checks import check_range
from pgrecall.dataknobs.columns import ColumnValues, checked
from pgrecall.dataknobs.connecting import Connecting
from pgrecall.errors import ConfigError, RecordError
from pgrecall.records import RecordBatch, RecordChange

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from pgrecall.dataknobs.layout import Layout

    Vectors = NDArray[Any] | Sequence[NDArray[Any] | Sequence[float]]

_ALL: Final = 100_000
"""Most vectors of one transaction, and of one batch."""


class Writing(Connecting):
    """A store that writes."""

    async def add_vectors(
        self,
        vectors: Vectors,
        ids: Sequence[str] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[str]:
        """Write vectors, all of them or none (of each 100,000), and return their ids, in their order.

        An id that is in this store's domain already is replaced whole. The domain is always the store's own,
        whatever the metadata says. These keys of the metadata are kept in columns of their own too:
        ``source_text`` or ``content`` as the text, ``document_id`` or ``source``, and ``chunk_index``.

        Args:
            vectors: Shape ``(n, d)``, or a sequence of n vectors; one of shape ``(d,)`` is one vector. They are
                stored as they are.
            ids: One for each vector; UUIDs are made where it is `None`.
            metadata: One mapping for each vector.

        Raises:
            ConfigError: Vectors, ids and metadata differ in number.
            RecordError: One of them cannot be stored, such as a zero vector under cosine; the message names it.
            DimensionMismatch: A vector has another length than the table's.
        """
        batch = _matrix(vectors)
        if not len(batch):
            for name, given in (("ids", ids), ("metadata", metadata)):
                if given:
                    msg = f"{name} has {len(given)} entries, but there are no vectors"
                    raise ConfigError(msg)
            return []
        layout = await self._ready()
        columns: dict[str, Any] = {}
        if metadata is not None:
            checked(metadata, ids)
            held = [ColumnValues(entry, layout.most) for entry in metadata]
            columns = {
                "metadatas": metadata,
                "contents": [one.content for one in held],
                "document_ids": [one.document_id for one in held],
                "chunk_indexes": [one.chunk_index for one in held],
            }
        records = RecordBatch(
            embeddings=batch, ids=ids, optional=frozenset({"content", "document_id", "chunk_index"}), **columns
        )
        written = await layout.target.upsert(records, batch_size=_ALL)
        return written.ids

    async def update_metadata(self, ids: Sequence[str], metadata: Sequence[Mapping[str, Any]]) -> int:
        """Put new metadata in the place of the old, all of it or none, and return how many ids there were.

        What has a column of its own changes with it; a text, document or position that the new metadata does
        not name stays.

        Args:
            ids: Whom to change; ids that do not exist are passed over.
            metadata: One mapping for each id.

        Raises:
            ConfigError: *ids* and *metadata* differ in number.
            RecordError: One cannot be stored; the message names it.
        """
        _same_number(ids, metadata, "metadata")
        layout = await self._ready()
        checked(metadata, ids)
        changes = [_change(row_id, entry, layout) for row_id, entry in zip(ids, metadata, strict=True)]
        return await self._amend(changes)

    async def update_vectors(
        self, vectors: Vectors, ids: Sequence[str], metadata: Sequence[Mapping[str, Any]] | None = None
    ) -> list[str]:
        """Put new vectors in the place of the old, all of them or none, and return the ids that there were.

        Args:
            vectors: Shape ``(n, d)``.
            ids: One for each vector; those that do not exist are passed over.
            metadata: One mapping for each vector, in the place of the old; `None` leaves it, and the text, as
                they are.

        Raises:
            ConfigError: They differ in number.
            RecordError: One cannot be stored; the message names it.
        """
        batch = _matrix(vectors)
        _same_number(ids, batch, "vectors")
        entries: Sequence[Mapping[str, Any] | None] = [None] * len(ids) if metadata is None else metadata
        _same_number(ids, entries, "metadata")
        checked([{} if entry is None else entry for entry in entries], ids)
        layout = await self._ready()
        changes = [
            _change(row_id, entry, layout, vector) for row_id, entry, vector in zip(ids, entries, batch, strict=True)
        ]
        await self._amend(changes)
        there = await self._records(ids)
        return [row_id for row_id, record in zip(ids, there, strict=True) if record is not None]

    async def bulk_embed_and_store(
        self,
        texts: Sequence[str],
        embedding_fn: Callable[[list[str]], Any],
        ids: Sequence[str] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        batch_size: int | None = None,
    ) -> list[str]:
        """Embed texts and write them, a batch at a time, and return their ids.

        Args:
            texts: The texts, which the metadata has as ``source_text``.
            embedding_fn: Returns vectors of shape ``(n, d)`` for n texts; it may be asynchronous.
            ids: One for each text; UUIDs are made where it is `None`.
            metadata: One mapping for each text; it is not changed.
            batch_size: Texts of a batch; the option of the store unless given.

        Raises:
            ConfigError: They differ in number, or *texts* is one string.
            RecordError: One cannot be stored; the message names it.
        """
        if isinstance(texts, str):
            msg = "texts must be a sequence of texts, not one string"
            raise ConfigError(msg)
        size = check_range(self.options.batch_size if batch_size is None else batch_size, "batch_size", 1, _ALL)
        for name, given in (("ids", ids), ("metadata", metadata)):
            if given is not None:
                _same_number(texts, given, name)
        checked(metadata or (), ids)
        stored: list[str] = []
        for start in range(0, len(texts), size):
            part = slice(start, start + size)
            vectors = embedding_fn(list(texts[part]))
            if inspect.isawaitable(vectors):
                vectors = await vectors
            own = [{}] * len(texts[part]) if metadata is None else metadata[part]
            noted = [{**entry, "source_text": text} for entry, text in zip(own, texts[part], strict=True)]
            stored += await self.add_vectors(vectors, None if ids is None else ids[part], noted)
        return stored

    async def delete_vectors(self, ids: Sequence[str]) -> int:
        """Delete vectors by id, and return how many there were."""
        return sum([await rows.delete(part) for rows, part in await self._places(ids)])

    async def _amend(self, changes: Sequence[RecordChange]) -> int:
        last = {change.id: change for change in changes}
        places = await self._places(list(last))
        return sum([await rows.amend([last[row_id] for row_id in part], merge=False) for rows, part in places])

    async def clear(self) -> None:
        """Delete all vectors of this store's domain; without a domain, those of the whole table."""
        await (await self._rows()).clear()


def _change(
    row_id: str, metadata: Mapping[str, Any] | None, layout: Layout, vector: NDArray[Any] | None = None
) -> RecordChange:
    if metadata is None:
        return RecordChange(id=row_id, embedding=vector)
    held, columns = ColumnValues(metadata, layout.most), layout.rows.config.columns
    return RecordChange(
        id=row_id,
        embedding=vector,
        metadata=metadata,
        content=None if columns.content is None else held.content,
        document_id=None if columns.document_id is None else held.document_id,
        chunk_index=None if columns.chunk_index is None else held.chunk_index,
    )


def _matrix(vectors: Any) -> Any:
    """Return vectors as they are, a single one as a batch of one."""
    if isinstance(vectors, np.ndarray):
        return vectors.reshape(1, -1) if vectors.ndim == 1 and vectors.size else vectors
    if not hasattr(vectors, "__len__") or isinstance(vectors, str | bytes):
        msg = f"vectors must be an array or a sequence of vectors, not {type(vectors).__name__}"
        raise RecordError(msg)
    return [vectors] if len(vectors) and not hasattr(vectors[0], "__len__") else vectors


def _same_number(ids: Any, values: Any, name: str) -> None:
    if isinstance(ids, str):
        msg = f"ids must be a sequence of ids, not one string: [{ids!r}]"
        raise ConfigError(msg)
    if len(values) != len(ids):
        msg = f"{name} has {len(values)} entries, where {len(ids)} are needed"
        raise ConfigError(msg)
