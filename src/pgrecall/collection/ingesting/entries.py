"""The items of a source, to records: a chunk at a time, with what cannot be a record set aside."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, cast

from pgrecall.collection.namespaces.runs import IngestFailure
from pgrecall.errors import ConfigError, RecordError
from pgrecall.records import Record, RecordBatch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

_FIELDS: Final = frozenset(one.name for one in fields(Record))


@dataclass(slots=True)
class Chunk:
    """Some items of a source that stand together, as far as they are still to be written.

    Attributes:
        end: Items of the source up to here.
        read: How many of them are in this chunk.
        records: Those that are to be written.
        positions: Their places in the source.
        unchanged: How many need not be written, since they are stored just so.
        failures: Those that cannot be.
    """

    end: int
    read: int = 0
    records: list[Record] = field(default_factory=list[Record])
    positions: list[int] = field(default_factory=list[int])
    unchanged: int = 0
    failures: list[IngestFailure] = field(default_factory=list[IngestFailure])

    def join(self, behind: Chunk) -> None:
        """Take in the chunk that stands behind this one."""
        self.end = behind.end
        self.read += behind.read
        self.records += behind.records
        self.positions += behind.positions
        self.unchanged += behind.unchanged
        self.failures += behind.failures

    def set_aside(self, reasons: Mapping[int, str]) -> None:
        """Take out the records at these indexes, which cannot be stored."""
        if not reasons:
            return
        for index, reason in reasons.items():
            self.failures.append(
                IngestFailure(position=self.positions[index], id=self.records[index].id, reason=reason)
            )
        self.failures.sort(key=lambda failure: failure.position)
        self.drop(reasons)

    def drop(self, indexes: Iterable[int]) -> None:
        """Take out the records at these indexes."""
        gone = set(indexes)
        kept = [index for index in range(len(self.records)) if index not in gone]
        self.records = [self.records[index] for index in kept]
        self.positions = [self.positions[index] for index in kept]


def items_of(source: object, start: int) -> AsyncGenerator[Any]:
    """Return the items of *source* from its *start*-th on.

    Raises:
        ConfigError: It is nothing that items could be taken from.
    """
    if callable(source) and not isinstance(source, Iterable | AsyncIterable):
        return _taken(source(start), 0)
    return _taken(source, start)


async def _taken(source: object, start: int) -> AsyncGenerator[Any]:
    if isinstance(source, RecordBatch):
        for position in range(start, len(source)):
            yield _row(source, position)
    elif isinstance(source, AsyncIterable):
        left = start
        async for item in cast("AsyncIterable[Any]", source):
            if left:
                left -= 1
            else:
                yield item
    elif isinstance(source, Iterable) and not isinstance(source, str | bytes | Mapping):
        for position, item in enumerate(cast("Iterable[Any]", source)):
            if position >= start:
                yield item
    else:
        msg = f"source must be an iterable of texts, documents or Records, not {type(source).__name__}"
        raise ConfigError(msg)


async def chunks_of(
    items: AsyncIterator[Any], start: int, size: int, convert: Callable[[Any], Record]
) -> AsyncGenerator[Chunk]:
    """Return *items* as chunks of *size*; items that are no records are set aside."""
    chunk = Chunk(start)
    async for item in items:
        position = chunk.end
        chunk.end += 1
        chunk.read += 1
        try:
            record = convert(item)
        except Exception as error:  # noqa: BLE001 - whatever a conversion raises is about its item
            row_id = getattr(item, "id", None)
            row_id = row_id if isinstance(row_id, str) else None
            chunk.failures.append(IngestFailure(position=position, id=row_id, reason=reason_of(error)))
        else:
            chunk.records.append(record)
            chunk.positions.append(position)
        if chunk.read == size:
            yield chunk
            chunk = Chunk(chunk.end)
    if chunk.read:
        yield chunk


def as_record(item: Any) -> Record:
    """Return *item*, a text, a document, a mapping of a record's fields or a record, as a record.

    Raises:
        RecordError: It is none of them.
    """
    if isinstance(item, Record):
        return item
    if isinstance(item, str):
        return Record(content=item)
    if isinstance(item, Mapping):
        given = cast("Mapping[str, Any]", item)
        if unknown := sorted(map(str, set(given) - _FIELDS)):
            msg = f"a record has no field {', '.join(unknown)}; its fields are {', '.join(sorted(_FIELDS))}"
            raise RecordError(msg)
        return Record(**given)
    content = getattr(item, "page_content", None)
    if isinstance(content, str):
        return Record(
            id=getattr(item, "id", None), content=content, metadata=cast("Any", getattr(item, "metadata", None)) or {}
        )
    msg = f"a text, a document or a Record was expected, not {type(item).__name__}"
    raise RecordError(msg)


def with_hashed_id(record: Record) -> Record:
    """Return *record* with an id that follows from its content and its document, where it has none."""
    if record.id is not None:
        return record
    if not isinstance(record.content, str):
        msg = "has no content that its id could be made from"
        raise RecordError(msg)
    # The length keeps ("ab", "c") apart from ("a", "bc").
    document = record.document_id or ""
    text = f"{len(document)}:{document}{record.content}".encode()
    return replace(record, id=f"doc_{blake2b(text, digest_size=16).hexdigest()}")


def reason_of(error: BaseException) -> str:
    """Return what *error* says."""
    return str(error) or type(error).__name__


def _row(batch: RecordBatch, position: int) -> Record:
    def at(values: Sequence[Any] | None) -> Any:
        return None if values is None else values[position]

    return Record(
        id=at(batch.ids),
        embedding=batch.embeddings[position],
        content=at(batch.contents),
        metadata=at(batch.metadatas) or {},
        document_id=at(batch.document_ids),
        chunk_index=at(batch.chunk_indexes),
        domain_id=at(batch.domain_ids),
        created_at=at(batch.created_ats),
        envelope=at(batch.envelopes),
    )
