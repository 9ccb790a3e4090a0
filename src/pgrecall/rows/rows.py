"""Rows as they are sent."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from pgrecall import vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pgrecall.table import Table


@dataclass(slots=True, kw_only=True, eq=False)
class Rows:
    """Checked rows: distinct by (domain, id), and in that order so that writers cannot deadlock.

    Attributes:
        table: The table that they are for.
        columns: Logical column name to its values, one a row; only columns that the table has.
        matrix: The embeddings, shape ``(n, d)``, until `finish` has encoded them.
        made: All ids were made here, so that none of the rows can exist already.
    """

    table: Table
    columns: dict[str, list[Any]]
    matrix: NDArray[Any] | None
    made: bool

    def __len__(self) -> int:
        return len(self.columns["id"])

    def slice(self, start: int, stop: int) -> Rows:
        """Return the rows from *start* up to, not including, *stop*."""
        columns = {name: values[start:stop] for name, values in self.columns.items()}
        matrix = None if self.matrix is None else self.matrix[start:stop]
        return Rows(table=self.table, columns=columns, matrix=matrix, made=self.made)

    def take(self, positions: Sequence[int]) -> Rows:
        """Return the rows at *positions*."""
        columns = {name: [values[p] for p in positions] for name, values in self.columns.items()}
        matrix = None if self.matrix is None else self.matrix[list(positions)]
        return Rows(table=self.table, columns=columns, matrix=matrix, made=self.made)

    def finish(self) -> None:
        """Encode the embeddings and hash the rows: the work that need not be done before all is checked."""
        if self.matrix is None:
            return
        self.columns["embedding"] = list(vectors.encode(self.matrix, self.table.vector_type)) if len(self) else []
        self.matrix = None
        if self.table.columns.content_hash is not None:
            self.columns["content_hash"] = _hashes(self.columns)

    def tuples(self) -> list[tuple[Any, ...]]:
        """Return the rows one by one, as COPY takes them."""
        columns = self.columns
        if self.table.has_whole_ids:
            columns = {**columns, "id": [int(row_id) for row_id in columns["id"]]}
        return list(zip(*columns.values(), strict=True))


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


# Numbered by their place, so new ones come last: hashes that are stored stay what they are.
_HASHED: Final = (
    "document_id",
    "chunk_index",
    "content",
    "metadata",
    "envelope",
    "embedding",
    "metadata_types",
    "sparse_embedding",
)
_PAIR: Final = Struct("<qq").pack


def _digest(parts: tuple[bytes, ...]) -> bytes:
    return blake2b(b"".join(parts), digest_size=16).digest()


def _encoded(values: list[Any]) -> list[Any]:
    first = next((value for value in values if value is not None), None)
    if isinstance(first, bytes | memoryview | None):
        return values
    return [None if value is None else str(value).encode() for value in values]
