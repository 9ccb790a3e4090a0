"""What goes in (`Record`, `RecordBatch`) and what comes out (`Match`, `Page`, `UpsertResult`)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pgrecall.checks import check_instance, check_list, has_order
from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

Extra = Literal["embedding", "envelope", "sparse_embedding"]
"""What is read only where it is asked for: the embeddings, and what an adapter stored with the record."""

WordExtra = Literal["embedding", "envelope", "sparse_embedding", "highlights"]
"""What a search by words can return too: also the places in the content that match."""

Example: TypeAlias = "str | Embedding"
"""What other records should be like, or unlike: the id of a stored record, or an embedding."""

Embedding: TypeAlias = "Sequence[float] | NDArray[Any]"
"""One embedding, shape ``(d,)``: a list of numbers or an array (of 0 and 1 for a bit column)."""

SparseEmbedding: TypeAlias = "Mapping[int, float] | tuple[Sequence[int] | NDArray[Any], Sequence[float] | NDArray[Any]]"
"""One sparse embedding: index, from 0, to weight; or a pair, the indices and the weights. The rest is zero."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """One document, or one chunk of it, with its embedding.

    Attributes:
        id: Any text, unique in its domain; made (a random UUID) where it is `None`. A whole number or a UUID
            becomes its text, also where ids are looked for.
        embedding: Shape ``(d,)``. Read back as a ``float32`` array, and only where it was asked for.
        content: The text itself.
        metadata: JSON object; what filters see.
        document_id: The source document that this is a chunk of.
        chunk_index: Position of the chunk in its document.
        domain_id: Set when read. When written it must name the collection's own domain, except through
            a handle of all domains, where it says into which one the record goes.
        created_at: Time of the first write; the server's clock unless given. Later writes leave it as it is.
        envelope: What an adapter needs to rebuild its own object; neither filtered nor searched.
        sparse_embedding: Index, from 0, to weight, or indices and weights; at most 16,000 weights that are not
            zero, and 1,000 where the column is indexed. Read back as a mapping, in single precision and without
            zeros, and only where it was asked for.
    """

    id: str | None = None
    embedding: Embedding | None = None
    content: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    document_id: str | None = None
    chunk_index: int | None = None
    domain_id: str | None = None
    created_at: datetime | None = None
    envelope: Mapping[str, Any] | None = None
    sparse_embedding: SparseEmbedding | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordBatch:
    """Records as columns: the fast way to write many, above all with *embeddings* as one array.

    Attributes:
        embeddings: Shape ``(n, d)``: an array (``float32`` is copied least) or a sequence of embeddings.
        ids: n ids, or `None` to have all of them made. The other columns likewise: n entries or `None`.
        optional: Columns that a table need not have, as what they hold is in the metadata too. Elsewhere
            a value without a column is an error.

    Raises:
        ConfigError: The columns differ in length.
    """

    embeddings: NDArray[Any] | Sequence[Embedding | None]
    ids: Sequence[str | None] | None = None
    contents: Sequence[str | None] | None = None
    metadatas: Sequence[Mapping[str, Any] | None] | None = None
    document_ids: Sequence[str | None] | None = None
    chunk_indexes: Sequence[int | None] | None = None
    domain_ids: Sequence[str | None] | None = None
    created_ats: Sequence[datetime | None] | None = None
    envelopes: Sequence[Mapping[str, Any] | None] | None = None
    sparse_embeddings: Sequence[SparseEmbedding | None] | None = None
    optional: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not has_order(self.embeddings):
            msg = f"embeddings must be an array or a sequence of embeddings, not {type(self.embeddings).__name__}"
            raise ConfigError(msg)
        check_instance(self.optional, "optional", frozenset, "a frozenset of names of columns")
        count = len(self.embeddings)
        for name, value in self._columns().items():
            if isinstance(value, str | bytes) or not has_order(value):
                msg = f"{name} must be a sequence with one entry a record, not {type(value).__name__}"
                raise ConfigError(msg)
            if len(value) != count:
                msg = f"{name} has {len(value)} entries, but there are {count} embeddings"
                raise ConfigError(msg)

    def __len__(self) -> int:
        return len(self.embeddings)

    def slice(self, start: int, stop: int) -> RecordBatch:
        """Return the records from *start* up to, not including, *stop*."""
        return RecordBatch(
            **{name: values[start:stop] for name, values in self._columns().items()}, optional=self.optional
        )

    def _columns(self) -> dict[str, Any]:
        """Return the columns that are given."""
        names = (column.name for column in fields(self) if column.name != "optional")
        return {name: values for name in names if (values := getattr(self, name)) is not None}

    @classmethod
    def from_records(cls, records: Sequence[Record]) -> RecordBatch:
        """Return *records* as columns.

        Raises:
            ConfigError: An entry is not a `Record`.
        """
        for position, record in enumerate(records):
            if not isinstance(record, Record):
                msg = f"record {position} is a {type(record).__name__}, not a Record"
                raise ConfigError(msg)
        return cls(
            embeddings=[r.embedding for r in records],
            ids=[r.id for r in records],
            contents=[r.content for r in records],
            metadatas=[r.metadata for r in records],
            document_ids=[r.document_id for r in records],
            chunk_indexes=[r.chunk_index for r in records],
            domain_ids=[r.domain_id for r in records],
            created_ats=[r.created_at for r in records],
            envelopes=[r.envelope for r in records],
            sparse_embeddings=[r.sparse_embedding for r in records],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What the score of a search by words is made of; `None` for what was not compared.

    Attributes:
        dense: Score of the embedding's distance; see `Distance`.
        keyword: BM25 score of the content, 0 or more; see `pgrecall.bm25`.
        sparse: Inner product of the sparse embeddings.
    """

    dense: float | None = None
    keyword: float | None = None
    sparse: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordChange:
    """What is to be different about a record that exists; `None` leaves a part of it as it is.

    Attributes:
        id: Which record.
        embedding: Shape ``(d,)``.
        content: The text.
        metadata: What to merge into its metadata, or to put in its place; see `AsyncCollection.amend`.
        document_id: The document that it is a chunk of.
        chunk_index: Its position there.
        sparse_embedding: Index, from 0, to weight, or indices and weights.
    """

    id: str
    embedding: Embedding | None = None
    content: str | None = None
    metadata: Mapping[str, Any] | None = None
    document_id: str | None = None
    chunk_index: int | None = None
    sparse_embedding: SparseEmbedding | None = None


@dataclass(slots=True, eq=False)
class Match:
    """A record that a search found.

    Attributes:
        id: The record's id.
        score: Higher is better; see `Distance`, and for searches by words `AsyncCollection.search_keyword`.
        distance: What PostgreSQL computed; smaller is nearer. NaN where embeddings were not compared.
        content: The text, or `None` where none was stored.
        metadata: The record's metadata.
        document_id: The source document, or `None`.
        chunk_index: Position in that document, or `None`.
        domain_id: The domain it is in.
        embedding: ``(d,) float32``, only where it was asked for.
        envelope: What an adapter stored with it, only where it was asked for.
        scores: What the score is made of, after a search by words.
        highlights: Pieces of the content in which what matches is between ``<b>`` and ``</b>``, only where
            they were asked for. The rest is as it was stored: escape it before showing it as HTML.
        sparse_embedding: Index, from 0, to weight, only where it was asked for.
    """

    id: str
    score: float
    distance: float
    content: str | None
    metadata: dict[str, Any]
    document_id: str | None = None
    chunk_index: int | None = None
    domain_id: str | None = None
    embedding: NDArray[np.float32] | None = None
    envelope: dict[str, Any] | None = None
    scores: Scores | None = None
    highlights: tuple[str, ...] | None = None
    sparse_embedding: dict[int, float] | None = None

    @property
    def relevance(self) -> float:
        """The score, cut off below 0 (cosine of opposite directions) and above 1."""
        return min(1.0, max(0.0, self.score))


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Matches that have the same value in some field, such as the chunks of a document.

    Attributes:
        value: The value, as JSON has it.
        matches: The nearest of them, nearest first; at least one.
    """

    value: Any
    matches: list[Match]


@dataclass(frozen=True, slots=True)
class Facet:
    """How many records have a value in some field.

    Attributes:
        value: The value, as JSON has it; of a list one of its elements.
        count: Records that have it.
    """

    value: Any
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Some records in the order of their ids, and where the next page starts.

    Attributes:
        records: The records, ascending by (domain and) id.
        next: What to pass as ``after=`` for the following page; `None` on the last one.
    """

    records: list[Record]
    next: str | None


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """What an upsert did.

    Attributes:
        ids: One id for each record that was passed, in order.
        inserted: Rows that are new.
        updated: Rows that were there and have changed.
        unchanged: Rows that were there and are just as before; nothing was written for them.
    """

    ids: list[str]
    inserted: int
    updated: int
    unchanged: int


def as_records(batch: Iterable[Record] | RecordBatch) -> RecordBatch:
    """Return *batch* as columns, whichever way it was given.

    Raises:
        ConfigError: It is neither a `RecordBatch` nor a sequence of records.
    """
    if isinstance(batch, RecordBatch):
        return batch
    return RecordBatch.from_records(check_list(batch, "records", "Records"))
