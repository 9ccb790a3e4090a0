"""Records to rows: everything is checked and encoded here, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from pgrecall import vectors
from pgrecall.embeddings import as_matrix
from pgrecall.errors import RecordError
from pgrecall.rows.reader import Reader
from pgrecall.rows.values import chunk_index, content, json_object, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pgrecall.records import Embedding, RecordBatch
    from pgrecall.scope import Scope
    from pgrecall.table import Table


@dataclass(slots=True, kw_only=True, eq=False)
class Rows:
    """Rows ready to be sent: distinct by (domain, id), and in that order so that writers cannot deadlock.

    Attributes:
        columns: Logical column name to its values, one a row; only columns that the table has.
        made: All ids were made here, so that none of the rows can exist already.
    """

    columns: dict[str, list[Any]]
    made: bool

    def __len__(self) -> int:
        return len(self.columns["id"])

    def slice(self, start: int, stop: int) -> Rows:
        """Return the rows from *start* up to, not including, *stop*."""
        return Rows(columns={name: values[start:stop] for name, values in self.columns.items()}, made=self.made)

    def take(self, positions: Sequence[int]) -> Rows:
        """Return the rows at *positions*."""
        columns = {name: [values[p] for p in positions] for name, values in self.columns.items()}
        return Rows(columns=columns, made=self.made)


def prepare(batch: RecordBatch, table: Table, scope: Scope) -> tuple[Rows, list[str]]:
    """Return *batch* checked and encoded, and one id for each of its records, in their order.

    Of records with the same id only the last becomes a row.

    Raises:
        RecordError: A record cannot be stored; the message names it. Also where a record sets a field
            for which the table has no column, or names a domain outside of *scope*.
        DimensionMismatch: An embedding has another length than the table's column.
    """
    reader = Reader(table, batch.ids, len(batch))
    columns: dict[str, list[Any]] = {"id": reader.ids()}
    columns |= reader.domains(scope, batch.domain_ids)
    columns |= reader.column("document_id", batch.document_ids, text)
    columns |= reader.column("chunk_index", batch.chunk_indexes, chunk_index)
    columns |= reader.column("content", batch.contents, content)
    columns |= reader.column("metadata", batch.metadatas, json_object, absent=b"{}")
    columns |= reader.column("envelope", batch.envelopes, json_object)
    columns |= reader.created(batch.created_ats)
    matrix = as_matrix(batch.embeddings, table.dimensions, table.vector_type, table.distance, reader.describe)
    columns["embedding"] = list(vectors.encode(matrix, table.vector_type)) if len(batch) else []
    if table.columns.content_hash is not None:
        columns["content_hash"] = _hashes(columns)
    given = columns["id"]
    made = batch.ids is None or all(given_id is None for given_id in batch.ids)
    return _distinct(Rows(columns=columns, made=made)), given


def prepare_changes(
    table: Table,
    ids: Sequence[str],
    *,
    embeddings: NDArray[Any] | Sequence[Embedding] | None,
    contents: Sequence[str | None] | None,
    metadatas: Sequence[Mapping[str, Any]] | None,
) -> Rows:
    """Return what is to be changed, checked and encoded: the id and the columns that were given.

    Of equal ids only the last is kept.

    Raises:
        RecordError: A value cannot be stored, or a column has another length than *ids*.
        DimensionMismatch: An embedding has another length than the table's column.
    """
    for name, values in (("embeddings", embeddings), ("contents", contents), ("metadatas", metadatas)):
        if values is not None and len(values) != len(ids):
            msg = f"{name} has {len(values)} entries, but there are {len(ids)} ids"
            raise RecordError(msg)
    reader = Reader(table, ids, len(ids))
    columns: dict[str, list[Any]] = {"id": reader.ids()}
    if contents is not None:
        columns |= reader.column("content", contents, content)
    if metadatas is not None:
        columns |= reader.column("metadata", metadatas, json_object, absent=b"{}")
    if embeddings is not None:
        matrix = as_matrix(embeddings, table.dimensions, table.vector_type, table.distance, reader.describe)
        columns["embedding"] = list(vectors.encode(matrix, table.vector_type)) if len(ids) else []
    return _distinct(Rows(columns=columns, made=False))


def _hashes(columns: dict[str, list[Any]]) -> list[bytes]:
    """Return a hash of everything in a row that an upsert would change.

    Number and length of each value keep ("ab", "c") apart from ("a", "bc"), and NULL, which is left out,
    apart from the empty text. Most columns hold a value in every row or in none, which saves a look.
    """
    numbered = [(number, _encoded(columns[name])) for number, name in enumerate(_HASHED) if name in columns]
    present = [(number, values) for number, values in numbered if any(value is not None for value in values)]
    rows = zip(*(values for _, values in present), strict=True)
    if all(None not in values for _, values in present):
        headers = Struct("<" + "qq" * len(present)).pack
        pairs = [number for number, _ in present]
        return [_digest((headers(*chain.from_iterable(zip(pairs, map(len, row), strict=True))), *row)) for row in rows]
    digests: list[bytes] = []
    for row in rows:
        kept = [(number, value) for (number, _), value in zip(present, row, strict=True) if value is not None]
        header = b"".join(_PAIR(number, len(value)) for number, value in kept)
        digests.append(_digest((header, *(value for _, value in kept))))
    return digests


_HASHED: Final = ("document_id", "chunk_index", "content", "metadata", "envelope", "embedding")
_PAIR: Final = Struct("<qq").pack


def _digest(parts: tuple[bytes, ...]) -> bytes:
    return blake2b(b"".join(parts), digest_size=16).digest()


def _encoded(values: list[Any]) -> list[Any]:
    first = next((value for value in values if value is not None), None)
    if isinstance(first, bytes | memoryview | None):
        return values
    return [None if value is None else str(value).encode() for value in values]


def _distinct(rows: Rows) -> Rows:
    """Return *rows* sorted by (domain, id), and of equal ids only the last."""
    if rows.made:
        return rows
    domains = rows.columns.get("domain_id") or [""] * len(rows)
    last = {key: position for position, key in enumerate(zip(domains, rows.columns["id"], strict=True))}
    positions = [last[key] for key in sorted(last)]
    return rows if positions == list(range(len(rows))) else rows.take(positions)
