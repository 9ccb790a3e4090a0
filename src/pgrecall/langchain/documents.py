"""LangChain's texts and documents to records, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from langchain_core.documents import Document

from pgrecall.config import check_range
from pgrecall.errors import ConfigError, RecordError
from pgrecall.records import RecordBatch

if TYPE_CHECKING:
    from pgrecall.records import Match, Record

_STREAM_BATCH: Final = 1_000
_MAX_BATCH: Final = 100_000
Metadatas = Sequence[dict[str, Any] | None]
Ids = Sequence[str | None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """Texts that are embedded and written together.

    Attributes:
        texts: The texts.
        metadatas: One for each, or none at all.
        ids: One for each, or none at all.
    """

    texts: list[str]
    metadatas: Metadatas | None
    ids: Ids | None

    def __post_init__(self) -> None:
        _check_lengths(self.texts, metadatas=self.metadatas, ids=self.ids)
        for position, text in enumerate(self.texts):
            if not isinstance(text, str):
                msg = f"text {position} of the batch must be a string, not {type(text).__name__}"
                raise RecordError(msg)

    def batch(self, embeddings: Sequence[Sequence[float]]) -> RecordBatch:
        """Return the records, given one embedding for each text.

        Raises:
            ConfigError: There are more or fewer embeddings than texts.
        """
        _check_lengths(self.texts, embeddings=embeddings)
        return RecordBatch(embeddings=embeddings, contents=self.texts, metadatas=self.metadatas, ids=self.ids)


def text_parts(
    texts: Iterable[str], metadatas: Metadatas | None, ids: Ids | None, batch_size: int | None
) -> Iterator[Part]:
    """Return *texts* in parts: a list as one unless *batch_size* is given, anything else as it is taken.

    Raises:
        ConfigError: *texts* is one string, or the sequences differ in length.
    """
    if isinstance(texts, str):
        msg = "texts must be an iterable of strings, not one string"
        raise ConfigError(msg)
    if isinstance(texts, list | tuple):
        _check_lengths(texts, metadatas=metadatas, ids=ids)
    done = 0
    for part in _taken(texts, batch_size):
        end = done + len(part)
        yield Part(part, None if metadatas is None else metadatas[done:end], None if ids is None else ids[done:end])
        done = end
    for name, values in (("metadatas", metadatas), ("ids", ids)):
        if values is not None and len(values) != done:
            msg = f"there are {done} texts, but {len(values)} {name}"
            raise ConfigError(msg)


def document_parts(documents: Iterable[Document], ids: Ids | None, batch_size: int | None) -> Iterator[Part]:
    """Return *documents* in parts, with their own ids unless *ids* are given; see `text_parts`.

    Raises:
        ConfigError: There are more or fewer ids than documents.
        RecordError: An entry is not a document.
    """
    if ids is not None and isinstance(documents, list | tuple):
        _check_lengths(documents, ids=ids)
    done = 0
    for part in _taken(documents, batch_size):
        for position, document in enumerate(part, start=done):
            if not isinstance(document, Document):
                msg = f"document {position} is a {type(document).__name__}, not a Document"
                raise RecordError(msg)
        end = done + len(part)
        part_ids = [document.id for document in part] if ids is None else ids[done:end]
        yield Part([document.page_content for document in part], [document.metadata for document in part], part_ids)
        done = end


def embedded_batch(
    text_embeddings: Iterable[tuple[str, Sequence[float]]], metadatas: Metadatas | None, ids: Ids | None
) -> RecordBatch:
    """Return texts that come with their embeddings as records.

    Raises:
        ConfigError: The sequences differ in length.
    """
    pairs = list(text_embeddings)
    return Part([text for text, _ in pairs], metadatas, ids).batch([embedding for _, embedding in pairs])


def to_document(row: Record | Match) -> Document:
    """Return a stored row as a document."""
    return Document(id=row.id, page_content=row.content or "", metadata=dict(row.metadata))


def _taken(items: Iterable[T], batch_size: int | None) -> Iterator[list[T]]:
    if batch_size is not None:
        check_range(batch_size, "batch_size", 1, _MAX_BATCH)
    elif isinstance(items, list | tuple):
        batch_size = max(len(items), 1)
    remaining = iter(items)
    while taken := list(islice(remaining, batch_size or _STREAM_BATCH)):
        yield taken


def _check_lengths(texts: Sequence[Any], **others: Sequence[Any] | None) -> None:
    for name, values in others.items():
        if values is not None and len(values) != len(texts):
            msg = f"there are {len(texts)} texts, but {len(values)} {name}"
            raise ConfigError(msg)
