"""Parquet files, read by row groups and written, through pyarrow."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from pgrecall import jsonb
from pgrecall.errors import ConfigError
from pgrecall.moving.file_fields import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_BATCH: Final = 1_000
# Rows of a row group: what a reader holds at a time.
_GROUP: Final = 10_000
_JSON: Final = ("metadata", "metadata_types", "envelope")


def arrow() -> Any:
    """Return pyarrow, with its room for Parquet.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError as error:
        msg = "Parquet files need pyarrow: pip install 'pgrecall[parquet]'"
        raise ConfigError(msg) from error


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """A Parquet file.

    Attributes:
        path: The file.
    """

    path: Path

    def names(self) -> dict[str, str]:
        """Return the columns, with their types.

        Raises:
            ConfigError: It is no Parquet file, or pyarrow is not installed.
        """
        with self._opened() as file:
            return {field.name: str(field.type) for field in file.schema_arrow}

    def count(self) -> int:
        """Return how many rows there are."""
        with self._opened() as file:
            return file.metadata.num_rows

    def column(self, name: str) -> Iterator[Any]:
        """Return the values of one column, in the order of the rows."""
        with self._opened() as file:
            for batch in file.iter_batches(batch_size=_BATCH, columns=[name]):
                yield from batch.column(0).to_pylist()

    def rows(self, start: int) -> Iterator[dict[str, Any]]:
        """Return the rows from the *start*-th on, without reading the row groups that stand before."""
        with self._opened() as file:
            skipped, group = 0, 0
            while group < file.num_row_groups and skipped + file.metadata.row_group(group).num_rows <= start:
                skipped += file.metadata.row_group(group).num_rows
                group += 1
            left = start - skipped
            for batch in file.iter_batches(batch_size=_BATCH, row_groups=range(group, file.num_row_groups)):
                if left >= batch.num_rows:
                    left -= batch.num_rows
                    continue
                yield from _as_rows(batch.slice(left))
                left = 0

    def row(self, item: dict[str, Any]) -> dict[str, Any]:
        """Return a row as it was read."""
        return item

    def _opened(self) -> Any:
        parquet = arrow().parquet
        try:
            return parquet.ParquetFile(self.path)
        except arrow().ArrowInvalid as error:
            msg = f"{self.path} is not a Parquet file: {error}"
            raise ConfigError(msg) from None


def _as_rows(batch: Any) -> Iterator[dict[str, Any]]:
    columns = {name: _values(batch.column(name)) for name in batch.schema.names}
    for place in range(batch.num_rows):
        yield {name: values[place] for name, values in columns.items()}


def _values(column: Any) -> Any:
    """Return the values of a column; lists of numbers as arrays, which is many times as fast."""
    types = arrow().types
    is_list = types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type)
    if not is_list or column.null_count or not types.is_floating(column.type.value_type):
        return column.to_pylist()
    numbers = column.flatten().to_numpy(zero_copy_only=False)
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    return np.split(numbers, np.cumsum(lengths)[:-1])


class WrittenParquet:
    """A Parquet file that is written.

    Args:
        file: Where to.
        embeddings: Whether the rows have embeddings.
    """

    def __init__(self, file: IO[bytes], *, embeddings: bool) -> None:
        pa = self._pa = arrow()
        numbers = pa.list_(pa.float32())
        special = {
            "chunk_index": pa.int32(),
            "created_at": pa.timestamp("us", tz="UTC"),
            "embedding": numbers,
            "sparse_embedding": pa.struct({"indices": pa.list_(pa.int64()), "values": numbers}),
        }
        left_out = () if embeddings else ("embedding", "sparse_embedding")
        self._schema = pa.schema([(name, special.get(name, pa.string())) for name in FIELDS if name not in left_out])
        self._writer = pa.parquet.ParquetWriter(file, self._schema)
        self._rows: list[Mapping[str, Any]] = []

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write *rows*, a row group at a time."""
        self._rows += rows
        while len(self._rows) >= _GROUP:
            self._write(self._rows[:_GROUP])
            del self._rows[:_GROUP]

    def close(self) -> None:
        """Write the last row group, and what ends the file."""
        if self._rows:
            self._write(self._rows)
        self._writer.close()

    def _write(self, rows: list[Mapping[str, Any]]) -> None:
        columns = {name: [_cell(row.get(name), name) for row in rows] for name in self._schema.names}
        self._writer.write_table(self._pa.table(columns, schema=self._schema))


def _cell(value: Any, name: str) -> Any:
    if value is None:
        return None
    if name in _JSON:
        return jsonb.dumps(value).decode()
    return value.astype(np.float32) if name == "embedding" else value
