"""LangChain's texts and documents to records, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from langchain_core.documents import Document

from pgrecall.checks import check_list, check_range
from pgrecall.chunk_keys import ChunkKeys
from pgrecall.collection.ingesting.entries import as_record
from pgrecall.errors import ConfigError, RecordError
from pgrecall.records import Record, RecordBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pgrecall.records import Embedding, Match

_STREAM_BATCH: Final = 1_000
_MAX_BATCH: Final = 100_000
Metadatas = Sequence[dict[str, Any] | None]
Ids = Sequence[str | None]
T = TypeVar("T")
V = TypeVar("V")
# What these hold is in the metadata, so a table that is not ours need not have them.
OPTIONAL: Final = frozenset({"document_id", "chunk_index"})


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
        for position, metadata in enumerate(self.metadatas or ()):
            if metadata is not None and not isinstance(metadata, Mapping):
                msg = f"the metadata of text {position} of the batch must be a mapping, not {type(metadata).__name__}"
                raise RecordError(msg)

    def batch(self, embeddings: NDArray[Any] | Sequence[Embedding], keys: ChunkKeys) -> RecordBatch:
        """Return the records, given one embedding for each text.

        Raises:
            ConfigError: There are more or fewer embeddings than texts.
        """
        _check_lengths(self.texts, embeddings=embeddings)
        chunked = self.metadatas or ()
        return RecordBatch(
            embeddings=embeddings,
            contents=self.texts,
            metadatas=self.metadatas,
            ids=self.ids,
            document_ids=[keys.document_of(metadata) for metadata in chunked] or None,
            chunk_indexes=[keys.index_of(metadata) for metadata in chunked] or None,
            optional=OPTIONAL,
        )


def text_parts(
    texts: Iterable[str], metadatas: Metadatas | None, ids: Ids | None, batch_size: int | None
) -> Iterator[Part]:
    """Return *texts* in parts: a list as one unless *batch_size* is given, anything else as it is taken.

    Raises:
        ConfigError: *texts* is one string, or the sequences differ in length.
    """
    _check_iterable("texts", texts, "strings")
    metadatas, ids = _listed("metadatas", metadatas), _listed("ids", ids)
    for part, place in _taken(texts, batch_size, metadatas=metadatas, ids=ids):
        yield Part(part, None if metadatas is None else metadatas[place], None if ids is None else ids[place])


def document_parts(documents: Iterable[Document], ids: Ids | None, batch_size: int | None) -> Iterator[Part]:
    """Return *documents* in parts, with their own ids unless *ids* are given; see `text_parts`.

    Raises:
        ConfigError: *documents* is one document, or there are more or fewer ids than documents.
        RecordError: An entry is not a document.
    """
    if isinstance(documents, Document):  # which can be iterated over
        msg = "documents must be an iterable of documents, not one document"
        raise ConfigError(msg)
    _check_iterable("documents", documents, "documents")
    ids = _listed("ids", ids)
    for part, place in _taken(documents, batch_size, ids=ids):
        for position, document in enumerate(part, start=place.start):
            if not isinstance(document, Document):
                msg = f"document {position} is a {type(document).__name__}, not a Document"
                raise RecordError(msg)
        part_ids = [document.id for document in part] if ids is None else ids[place]
        yield Part([document.page_content for document in part], [document.metadata for document in part], part_ids)


def embedded_part(
    pairs: Iterable[tuple[str, Embedding]] | None,
    texts: Iterable[str] | None,
    embeddings: NDArray[Any] | Sequence[Embedding] | None,
    metadatas: Metadatas | None,
    ids: Ids | None,
) -> tuple[Part, NDArray[Any] | Sequence[Embedding]]:
    """Return texts that come with their embeddings, in pairs or side by side, and the embeddings.

    Raises:
        ConfigError: Both forms were given, or neither, or the sequences differ in length.
        RecordError: An entry is no pair of text and embedding.
    """
    metadatas, ids = _listed("metadatas", metadatas), _listed("ids", ids)
    if pairs is None:
        if texts is None or embeddings is None:
            msg = "give pairs of text and embedding, or both texts= and embeddings="
            raise ConfigError(msg)
        _check_iterable("texts", texts, "strings")
        return Part(list(texts), metadatas, ids), embeddings
    if texts is not None or embeddings is not None:
        msg = "give either pairs of text and embedding, or texts= and embeddings=, not both"
        raise ConfigError(msg)
    split = check_list(pairs, "text_embeddings", "pairs")
    for position, pair in enumerate(split):
        if not isinstance(pair, tuple | list) or len(pair) != 2:  # noqa: PLR2004 - a pair
            msg = f"entry {position} must be a pair of text and embedding, not {type(pair).__name__}"
            raise RecordError(msg)
    return Part([text for text, _ in split], metadatas, ids), [embedding for _, embedding in split]


def number_chunks(
    documents: Iterable[Document], *, document_id_key: str | Sequence[str] | None = None
) -> Iterator[Document]:
    """Yield copies of *documents* whose metadata says, as ``chunk_index``, the how manyth of its source each is.

    What a text splitter returns is in order, so that this is all that `PGRecallRetriever` needs to find the
    chunks around a chunk. Documents that name no source are left as they are.

    Args:
        documents: Chunks, those of each source in order.
        document_id_key: The metadata key that names the source; ``document_id``, else ``source``, unless given.
    """
    keys = ChunkKeys.of(document_id_key, None)
    counts: Counter[str] = Counter()
    for document in documents:
        source = keys.document_of(document.metadata)
        if source is None:
            yield document
            continue
        yield document.model_copy(update={"metadata": {**document.metadata, keys.chunk_index: counts[source]}})
        counts[source] += 1


def to_record(item: object, keys: ChunkKeys) -> Record:
    """Return a document, or whatever else the engine makes records of, as a record without embedding.

    Raises:
        RecordError: It is neither.
    """
    if not isinstance(item, Document):
        return as_record(item)
    return Record(
        id=item.id,
        content=item.page_content,
        metadata=item.metadata,
        document_id=keys.document_of(item.metadata),
        chunk_index=keys.index_of(item.metadata),
    )


def to_document(row: Record | Match) -> Document:
    """Return a stored row, which is nobody else's, as a document."""
    return Document(id=row.id, page_content=row.content or "", metadata=row.metadata)  # pyright: ignore[reportArgumentType] - read as a dict


def _check_iterable(name: str, values: object, entries: str) -> None:
    """Raise `ConfigError` where *values*, which are not read yet, are none that can be taken one by one."""
    if isinstance(values, str):
        msg = f"{name} must be an iterable of {entries}, not one string"
        raise ConfigError(msg)
    if isinstance(values, bytes | Mapping) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
        msg = f"{name} must be an iterable of {entries}, not {type(values).__name__}"
        raise ConfigError(msg)


def _listed(name: str, values: Iterable[V] | None) -> Sequence[V] | None:
    """Return *values*, which may be read once only, such that they have a length and parts."""
    if values is None or isinstance(values, list | tuple):
        return values
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
        msg = f"{name} must be a sequence with one entry for each text, not {type(values).__name__}"
        raise ConfigError(msg)
    return list(values)


def _taken(
    items: Iterable[T], batch_size: int | None, **others: Sequence[Any] | None
) -> Iterator[tuple[list[T], slice[int, int, None]]]:
    """Yield *items* in parts, each with its place among them all; the *others* must be as many."""
    if batch_size is not None:
        check_range(batch_size, "batch_size", 1, _MAX_BATCH)
    if isinstance(items, list | tuple):
        _check_lengths(items, **others)
        batch_size = batch_size or max(len(items), 1)
    size = batch_size or _STREAM_BATCH
    remaining = iter(items)
    done = 0
    while taken := list(islice(remaining, size)):
        end = done + len(taken)
        # A part that is not full is the last: what does not fit is found before it is written.
        _check_counts(end, others, is_end=len(taken) < size)
        yield taken, slice(done, end)
        done = end
    _check_counts(done, others, is_end=True)


def _check_counts(count: int, others: Mapping[str, Sized | None], *, is_end: bool) -> None:
    for name, values in others.items():
        if values is not None and (len(values) < count or (is_end and len(values) > count)):
            msg = f"there are {count} texts{'' if is_end else ' or more'}, but {len(values)} {name}"
            raise ConfigError(msg)


def _check_lengths(texts: Sequence[Any], **others: Sized | None) -> None:
    _check_counts(len(texts), others, is_end=True)
