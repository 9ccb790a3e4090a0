"""How a source is taken in, and what came of it, as values."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pgrecall.checks import check_flag, check_function, check_instance, check_range
from pgrecall.collection.ingesting.embedding_calls import EmbeddingRetry
from pgrecall.collection.ingesting.entries import as_record, with_hashed_id
from pgrecall.config import Index, check_index
from pgrecall.errors import ConfigError
from pgrecall.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgrecall.collection.namespaces.runs import IngestFailure

_MOST: Final = 100_000
_NAMED: Final = 10
OPTIONAL_COLUMNS: Final = ("document_id", "chunk_index", "created_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    """How a source is taken in.

    Attributes:
        embed_batch: Texts of one embedding call.
        embed_calls: Embedding calls that are made at a time; what they have returned waits, in the order of the
            source, for what comes before it, so no more than these and two batches are in memory.
        write_batch: Items that are written, and checkpointed, in one transaction.
        hash_ids: Whether records without id get ``doc_`` and a hash of their content and document, so that the
            same text is the same record whenever it is read. Otherwise they get random UUIDs.
        skip_unchanged: Whether records that are stored just so, by content, metadata, document and envelope, are
            left alone instead of being embedded. What another model embedded is not told apart.
        max_failures: How many records may be set aside, over the whole of a named run, before it stops; 0 stops
            at the first, `None` never.
        retry: When embedding calls are made again.
        convert: Makes a `Record` of each item, which texts, documents, mappings and `Record` need not have.
        text: Says what of a record is embedded; its content unless given.
        optional: Columns that a table need not have, as what they hold is in the metadata too; see `RecordBatch`.
        total: How many items the source has, for the progress; found out where the source has a length.
        index: Bulk mode: the vector index to build once all is loaded. None is built meanwhile by itself.
    """

    embed_batch: int = 64
    embed_calls: int = 4
    write_batch: int = 2_000
    hash_ids: bool = False
    skip_unchanged: bool = True
    max_failures: int | None = 1_000
    retry: EmbeddingRetry = field(default_factory=EmbeddingRetry)
    convert: Callable[[Any], Record] | None = None
    text: Callable[[Record], str] | None = None
    optional: frozenset[str] = frozenset()
    total: int | None = None
    index: Index | None = None

    def __post_init__(self) -> None:
        check_range(self.embed_batch, "embed_batch", 1, _MOST)
        check_range(self.embed_calls, "embed_calls", 1, 1_000)
        check_range(self.write_batch, "write_batch", 1, _MOST)
        for name in ("max_failures", "total"):
            if getattr(self, name) is not None:
                check_range(getattr(self, name), name, 0, 2**63 - 1)
        for name, what in (("convert", "makes a Record"), ("text", "says what of a record is embedded")):
            given = getattr(self, name)
            if given is not None:
                check_function(given, name, what)
        check_instance(self.optional, "optional", AbstractSet, f"a set of names among {', '.join(OPTIONAL_COLUMNS)}")
        if unknown := set(self.optional) - set(OPTIONAL_COLUMNS):
            msg = f"optional may hold {', '.join(OPTIONAL_COLUMNS)}, not {', '.join(sorted(map(repr, unknown)))}"
            raise ConfigError(msg)
        check_flag(self.hash_ids, "hash_ids")
        check_flag(self.skip_unchanged, "skip_unchanged")
        check_instance(self.retry, "retry", EmbeddingRetry, "an EmbeddingRetry")
        if self.index is not None:
            check_index(self.index)

    def record(self, item: Any) -> Record:
        """Return *item* as a record."""
        record = as_record(item) if self.convert is None else self.convert(item)
        if not isinstance(record, Record):
            msg = f"convert must return a Record, not {type(record).__name__}"
            raise ConfigError(msg)
        return with_hashed_id(record) if self.hash_ids else record


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What an ingestion did.

    Attributes:
        read: Items taken from the source, without those that an earlier attempt of the run was done with.
        written: Rows that were inserted or replaced.
        inserted: Those of them that are new.
        unchanged: Records that are stored just so, or that a later one with their id has replaced at once.
        failed: What was set aside, with the reasons; of a run that was gone on with, also what earlier attempts
            had set aside.
        resumed_at: Items that earlier attempts of the run were done with; 0 where it began at the beginning.
        embedding_calls: Calls of the embedding model, with those that failed.
        seconds: How long it took.
    """

    read: int
    written: int
    inserted: int
    unchanged: int
    failed: tuple[IngestFailure, ...]
    resumed_at: int
    embedding_calls: int
    seconds: float

    @property
    def rate(self) -> float:
        """Items a second."""
        return self.read / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        counted = f"{self.written} written ({self.inserted} new), {self.unchanged} unchanged, {len(self.failed)} failed"
        lines = [
            f"{self.read} read, {counted}, {self.seconds:.1f} s, {self.rate:.0f} a second",
            *(f"  {one.position} {one.id or ''}: {one.reason}" for one in self.failed[:_NAMED]),
        ]
        return "\n".join(lines)
