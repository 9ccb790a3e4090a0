"""Metadata keys that say which document a text is a chunk of, and where in it it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pgrecall.checks import INT4
from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgrecall.records import Record

_MAX_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True)
class ChunkKeys:
    """Metadata keys that say which document a text is a chunk of, and which one.

    They fill the columns that the engine knows documents by, so that neighbouring chunks are found, and
    whole documents through LlamaIndex too.

    Attributes:
        document_id: The first of them that the metadata has counts.
        chunk_index: The position in the document.
    """

    document_id: tuple[str, ...] = ("document_id", "source")
    chunk_index: str = "chunk_index"

    @classmethod
    def of(cls, document_id: str | Sequence[str] | None, chunk_index: str | None) -> ChunkKeys:
        """Return what the arguments of a constructor say; `None` leaves the defaults.

        Raises:
            ConfigError: One of them is no string.
        """
        made = cls()
        documents = (document_id,) if isinstance(document_id, str) else tuple(document_id or made.document_id)
        index = made.chunk_index if chunk_index is None else chunk_index
        if not all(isinstance(key, str) for key in (*documents, index)):
            msg = f"document_id_key and chunk_index_key must be metadata keys, not {document_id!r} and {chunk_index!r}"
            raise ConfigError(msg)
        return cls(documents, index)

    def document_of(self, metadata: Mapping[str, Any] | None) -> str | None:
        """Return the document's id, or `None` where the metadata names none that an index can hold."""
        for key in self.document_id:
            if metadata and key in metadata:
                return _as_id(metadata[key])
        return None

    def index_of(self, metadata: Mapping[str, Any] | None) -> int | None:
        """Return the position, or `None` where the metadata has none that is a whole number of 32 bits."""
        value = metadata.get(self.chunk_index) if metadata else None
        good = isinstance(value, int) and not isinstance(value, bool) and value in INT4
        return value if good else None

    def filled(self, record: Record) -> Record:
        """Return *record* with the document, and the place in it, that its metadata names."""
        metadata = record.metadata
        return replace(record, document_id=self.document_of(metadata), chunk_index=self.index_of(metadata))


def _as_id(value: object) -> str | None:
    if isinstance(value, int | UUID) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and 0 < len(value) <= _MAX_CHARACTERS and "\x00" not in value else None
