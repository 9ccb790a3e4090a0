"""Files as sources: JSON Lines, CSV and Parquet, by the suffix of their names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import aclosing, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pgrecall.errors import ConfigError
from pgrecall.moving.file_fields import FileFields
from pgrecall.moving.lines import CSVFile, JSONLines
from pgrecall.moving.parquet import ParquetFile, arrow
from pgrecall.moving.source import FieldMap, Opened, Part, Source, first
from pgrecall.scope import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from collections.abc import Set as AbstractSet

    from pgrecall.collection import AsyncClient
    from pgrecall.records import Record

LINES: Final[Mapping[str, type[JSONLines | CSVFile]]] = {
    ".jsonl": JSONLines,
    ".ndjson": JSONLines,
    ".csv": CSVFile,
}
SUFFIXES: Final = (*LINES, ".parquet")
_TAKEN: Final = 500
_PROBED: Final = 20
_PARTS_PROBED: Final = 5
_MOST_PIECES: Final = 100_000
# Where a piece begins: byte of a file of lines, row of a Parquet file.
Read = Callable[[int, int], Generator[Any]]


def can_read(suffix: str) -> bool:
    """Return whether files with this *suffix* can be read and written here: Parquet only where pyarrow is installed."""
    if suffix.lower() != ".parquet":
        return suffix.lower() in LINES
    try:
        arrow()
    except ConfigError:
        return False
    return True


@dataclass(slots=True)
class Piece:
    """Rows of a file that stand together and go to one domain.

    Attributes:
        place: Where the first of them is, as the file counts.
        count: How many there are.
    """

    place: int
    count: int


@dataclass(frozen=True, slots=True)
class FileRows:
    """The rows of a file that go to one domain.

    Attributes:
        read: Returns the rows from a place on, without the first few.
        pieces: Where they are.
    """

    read: Read
    pieces: list[Piece]

    async def items(self, start: int) -> AsyncGenerator[Any]:
        """Return the rows from the *start*-th on; the file is read in a thread."""
        rows = self._rows(start)
        try:
            while taken := await asyncio.to_thread(lambda: list(islice(rows, _TAKEN))):
                for row in taken:
                    yield row
        finally:
            # Where the wait is cancelled, the thread has them still: they are closed when it lets go of them.
            with suppress(ValueError):
                rows.close()

    async def reread(self, sample: AbstractSet[int]) -> AsyncGenerator[Any]:  # noqa: ARG002 - all have their embeddings
        """Return all rows once more."""
        async with aclosing(self.items(0)) as items:
            async for item in items:
                yield item

    def _rows(self, start: int) -> Generator[Any]:
        for piece in self.pieces:
            if start >= piece.count:
                start -= piece.count
                continue
            with closing(self.read(piece.place, start)) as rows:
                yield from islice(rows, piece.count - start)
            start = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFile(Source):
    """A file with a record a row: ``.jsonl`` (or ``.ndjson``), ``.csv`` or ``.parquet``.

    Attributes:
        path: The file.
        fields: Field of a record to its name in the file, where that is neither its own nor a usual one.
    """

    path: Path | str
    fields: Mapping[str, str] = field(default_factory=dict[str, str])

    @asynccontextmanager
    async def opened(self, client: AsyncClient) -> AsyncGenerator[Opened]:  # noqa: ARG002 - it is in no database
        """Return a context manager that opens it, after one look through all of it.

        Raises:
            ConfigError: There is no such file, it is of no kind that is known or not what its name says, pyarrow is
                missing, or *fields* does not fit it.
        """
        yield await self.open()

    async def open(self) -> Opened:
        """Return it as a source that is open; see `opened`."""
        path = Path(self.path)
        opened = await asyncio.to_thread(self._looked_through, path)
        head = [record for part in opened.parts[:_PARTS_PROBED] for record in await _readable(opened, part)]
        lengths = [len(record.embedding) for record in head if record.embedding is not None]
        sparse = any(record.sparse_embedding for record in head)
        notes = () if lengths else ("there are no embeddings in the first rows",)
        notes += ("sparse embeddings: say how many dimensions the collection is to have",) if sparse else ()
        return Opened(
            title=opened.title,
            parts=opened.parts,
            fields=opened.fields,
            dimensions=lengths[0] if lengths else None,
            convert=opened.convert,
            marker=opened.marker,
            notes=notes,
        )

    def _looked_through(self, path: Path) -> Opened:
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            msg = f"{path}: a file of records ends in one of {', '.join(SUFFIXES)}"
            raise ConfigError(msg)
        try:
            state = path.stat()
            file = ParquetFile(path) if suffix == ".parquet" else LINES[suffix](path)
            names = file.names()
            fields = FileFields.of(names, self.fields)
            pieces = _parquet_pieces(file, fields) if isinstance(file, ParquetFile) else _pieces(file, fields)
        except OSError as error:
            msg = f"{path} cannot be read: {error.strerror or error}"
            raise ConfigError(msg) from None

        def rows(place: int, skipped: int) -> Generator[Any]:
            if isinstance(file, ParquetFile):
                yield from file.rows(place + skipped)
            else:
                for line, _ in islice(file.rows(place), skipped, None):
                    yield line

        parts = [
            Part(
                theirs=f"domain {domain}" if domain is not None else path.name,
                domain=DEFAULT_DOMAIN if domain is None else domain,
                count=sum(piece.count for piece in found),
                rows=FileRows(rows, found),
            )
            for domain, found in pieces.items()
        ]
        return Opened(
            title=str(path),
            parts=tuple(parts),
            fields=tuple(FieldMap(theirs=name, type=kind, ours=fields.ours(name)) for name, kind in names.items()),
            dimensions=None,
            convert=lambda item: fields.record(file.row(item)),
            marker=f"{state.st_size} {state.st_mtime_ns} {sorted(self.fields.items())}",
        )


def _pieces(file: JSONLines | CSVFile, fields: FileFields) -> dict[str | None, list[Piece]]:
    """Return where the rows of each domain are, from one look through a file of lines."""
    name = fields.taken.get("domain_id")
    found = _Pieces()
    offset = 0
    for item, end in file.rows(0):
        domain = None
        if name is not None and file.may_name(name, item):
            try:
                domain = fields.domain(file.row(item))
            except ConfigError:
                domain = None
        found.add(domain, offset)
        offset = end
    return found.pieces


def _parquet_pieces(file: ParquetFile, fields: FileFields) -> dict[str | None, list[Piece]]:
    name = fields.taken.get("domain_id")
    found = _Pieces()
    values = repeat(None, file.count()) if name is None else file.column(name)
    for place, value in enumerate(values):
        found.add(fields.domain({name or "": value}), place)
    return found.pieces


class _Pieces:
    """Gathers pieces row by row."""

    def __init__(self) -> None:
        self.pieces: dict[str | None, list[Piece]] = {}
        self._last: str | None = None
        self._count = 0

    def add(self, domain: str | None, place: int) -> None:
        """Note that the row at *place* goes to *domain*."""
        if domain == self._last and domain in self.pieces:
            self.pieces[domain][-1].count += 1
            return
        self._count += 1
        if self._count > _MOST_PIECES:
            msg = f"its domains change more than {_MOST_PIECES} times from row to row: sort the file by domain_id"
            raise ConfigError(msg)
        self._last = domain
        self.pieces.setdefault(domain, []).append(Piece(place, 1))


async def _readable(opened: Opened, part: Part) -> list[Record]:
    """Return the first records of a part, without the rows that are none."""
    found: list[Record] = []
    for item in await first(part, _PROBED):
        try:
            found.append(opened.convert(item))
        except ConfigError:
            continue
    return found
