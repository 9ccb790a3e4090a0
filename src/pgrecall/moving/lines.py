"""Files of lines, JSON Lines and CSV: read from any place on, and written."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from pgrecall import jsonb
from pgrecall.errors import ConfigError, RecordError
from pgrecall.moving.file_fields import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_PROBED: Final = 100
_MARK: Final = "\ufeff"
# One cell can hold a whole document, or an embedding of thousands of numbers.
_LONGEST_CELL: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class JSONLines:
    """A file with a JSON object a line.

    Attributes:
        path: The file.
    """

    path: Path

    def names(self) -> dict[str, str]:
        """Return the fields of the first rows, with their types."""
        found: dict[str, str] = {}
        for _, (line, _) in zip(range(_PROBED), self.rows(0), strict=False):
            try:
                row = self.row(line)
            except RecordError:
                continue
            for name, value in row.items():
                if value is not None or name not in found:
                    found[name] = type(value).__name__
        return found

    def rows(self, offset: int) -> Iterator[tuple[bytes, int]]:
        """Return the lines from byte *offset* on that are not empty, each with the offset behind it."""
        with self.path.open("rb") as file:
            file.seek(offset)
            for line in file:
                offset += len(line)
                if line.strip():
                    yield line, offset

    def row(self, item: Any) -> dict[str, Any]:
        """Return a line as a row.

        Raises:
            RecordError: It is no JSON object.
        """
        try:
            row = jsonb.loads(item.decode("utf-8-sig"))
        except ValueError as error:
            msg = f"the line is not JSON: {error}"
            raise RecordError(msg) from None
        if not isinstance(row, dict):
            msg = f"the line must hold a JSON object, not {type(row).__name__}"
            raise RecordError(msg)
        return row

    def may_name(self, field_name: str, item: Any) -> bool:
        """Whether a line may have this field; a look that spares reading most lines twice."""
        return field_name.encode() in item or b"\\u" in item


@dataclass(frozen=True, slots=True)
class CSVFile:
    """A file of comma-separated values, whose first line has the names.

    An empty cell is none. A text that is empty, or all backslashes, is written with one backslash more.

    Attributes:
        path: The file.
    """

    path: Path
    _header: list[str] = field(default_factory=list[str], init=False, compare=False)

    def names(self) -> dict[str, str]:
        """Return the fields, with their types.

        Raises:
            ConfigError: The first line does not name them.
        """
        header, _ = next(self._cells(0), ([], 0))
        if not header or not all(header) or len(set(header)) != len(header):
            msg = f"{self.path}: the first line must name the columns, each once, not {header[:20]}"
            raise ConfigError(msg)
        self._header[:] = header
        return dict.fromkeys(header, "text")

    def rows(self, offset: int) -> Iterator[tuple[list[str], int]]:
        """Return the rows that begin at byte *offset* or later, each with the offset behind it."""
        cells = self._cells(offset)
        if not offset:
            next(cells, None)
        for row, end in cells:
            if row:
                yield row, end

    def row(self, item: Any) -> dict[str, Any]:
        """Return the cells of a line as a row, without the empty ones.

        Raises:
            RecordError: There are more or fewer than in the first line.
        """
        if len(item) != len(self._header):
            msg = f"the line has {len(item)} cells, and the first line names {len(self._header)} columns"
            raise RecordError(msg)
        found = zip(self._header, item, strict=True)
        return {name: cell[1:] if not cell.strip("\\") else cell for name, cell in found if cell}

    def may_name(self, field_name: str, item: Any) -> bool:
        """Whether a line may have this field."""
        return field_name in self._header and len(item) == len(self._header)

    def _cells(self, offset: int) -> Iterator[tuple[list[str], int]]:
        if csv.field_size_limit() < _LONGEST_CELL:
            csv.field_size_limit(_LONGEST_CELL)
        end = offset

        def lines(file: IO[bytes]) -> Iterator[str]:
            nonlocal end
            for line in file:
                text = line.decode("utf-8", "surrogateescape")
                text = text if end else text.removeprefix(_MARK)
                end += len(line)
                yield text

        with self.path.open("rb") as file:
            file.seek(offset)
            try:
                for row in csv.reader(lines(file)):
                    yield row, end
            except csv.Error as error:
                msg = f"{self.path}: not CSV behind byte {end}: {error}"
                raise ConfigError(msg) from None


class Written:
    """A file of lines that is written.

    Args:
        file: Where to.
        embeddings: Whether the rows have embeddings.
    """

    def __init__(self, file: IO[bytes], *, embeddings: bool) -> None:
        self._file = file
        self._names = [name for name in FIELDS if embeddings or name not in ("embedding", "sparse_embedding")]

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write *rows*, a JSON object a line."""
        self._file.write(b"".join(jsonb.dumps(row) + b"\n" for row in rows))

    def close(self) -> None:
        """Write what is still to be written."""


class WrittenCSV(Written):
    """A file of comma-separated values that is written."""

    def __init__(self, file: IO[bytes], *, embeddings: bool) -> None:
        super().__init__(file, embeddings=embeddings)
        self._cells([self._names])

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write *rows*, a line each."""
        self._cells([_cell(row.get(name)) for name in self._names] for row in rows)

    def _cells(self, rows: Iterable[Sequence[str]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        self._file.write(text.getvalue().encode())


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value if value.strip("\\") else f"\\{value}"
        case datetime():
            return value.isoformat()
        case dict() | np.ndarray():
            return jsonb.dumps(value).decode()
        case _:
            return str(value)
