"""Writing the records of a collection to a file: page by page, under its name only once it is whole."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pgrecall.errors import ConfigError
from pgrecall.moving.file_fields import row_of
from pgrecall.moving.files import SUFFIXES
from pgrecall.moving.lines import Written, WrittenCSV
from pgrecall.moving.migrating import MoveProgress
from pgrecall.moving.parquet import WrittenParquet
from pgrecall.progress import listener

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.collection import AsyncCollection
    from pgrecall.filters import Filter
    from pgrecall.moving.migrating import MoveProgressLike
    from pgrecall.records import Page

_PAGE: Final = 1_000
_WRITERS: Final[Mapping[str, Any]] = {".csv": WrittenCSV, ".parquet": WrittenParquet}
_WHOLE: Final[Any] = ("embedding", "envelope", "sparse_embedding")
_WITHOUT: Final[Any] = ("envelope",)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What an export did.

    Attributes:
        path: The file.
        written: Records that are in it.
        size: Its size in bytes.
        seconds: How long it took.
    """

    path: str
    written: int
    size: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.written} records to {self.path}, {self.size} bytes, {self.seconds:.1f} s"


async def export(
    collection: AsyncCollection,
    path: Path | str,
    *,
    filter: Filter | Mapping[str, Any] | None,
    embeddings: bool,
    progress: MoveProgressLike,
) -> ExportReport:
    """See `pgrecall.moving.aexport_to`."""
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        msg = f"{path}: records are written to a file that ends in one of {', '.join(SUFFIXES)}"
        raise ConfigError(msg)
    began = time.monotonic()
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    title = f"{collection.config.schema}.{collection.name} to {target}"
    written = 0
    with listener(progress) as told:
        total = await collection.count(filter) if told is not None else None

        def tell(phase: str) -> None:
            if told is not None:
                seconds = time.monotonic() - began
                told(MoveProgress(title=title, phase=phase, done=written, total=total, seconds=seconds))

        async def page(after: str | None) -> Page:
            include = _WHOLE if embeddings else _WITHOUT
            return await collection.list(limit=_PAGE, after=after, filter=filter, include=include)

        file = await asyncio.to_thread(_opened, partial)
        try:
            writer = await asyncio.to_thread(_WRITERS.get(suffix, Written), file, embeddings=embeddings)
            found = await page(None)
            while found.records:
                rows = [row_of(record, embeddings=embeddings) for record in found.records]
                await asyncio.to_thread(writer.write, rows)
                written += len(rows)
                tell("writing")
                if found.next is None:
                    break
                found = await page(found.next)
            await asyncio.to_thread(writer.close)
            size = await asyncio.to_thread(_finished, file, partial, target)
        except BaseException:
            file.close()
            partial.unlink(missing_ok=True)
            raise
        tell("done")
    return ExportReport(path=str(target), written=written, size=size, seconds=time.monotonic() - began)


def _opened(path: Path) -> Any:
    try:
        return path.open("wb")
    except OSError as error:
        msg = f"{path.parent} cannot be written to: {error.strerror}"
        raise ConfigError(msg) from None


def _finished(file: Any, partial: Path, target: Path) -> int:
    """Give a file that is whole its name, and return its size."""
    file.flush()
    os.fsync(file.fileno())
    size = file.tell()
    file.close()
    partial.replace(target)
    return size
