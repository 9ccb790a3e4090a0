"""Folders and files of text as a source: read one at a time, cut to chunks, in an order that stays the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Final

from pgrecall.cli.demo.folder import SUFFIXES, passages_of, read_text, text_files
from pgrecall.cli.errors import BadUsage
from pgrecall.records import Record

_PLACE: Final = "chunk"


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts below some paths.

    Attributes:
        paths: Folders, or files of text.
        skipped: Files that could not be read, and why, as far as it has come.
    """

    paths: tuple[Path, ...]
    skipped: list[str] = field(default_factory=list[str])

    def marker(self) -> str:
        """Return what changes when one of the files does.

        Raises:
            BadUsage: There is no file of a kind that is read.
        """
        digest, count = blake2b(digest_size=16), 0
        for path, name in self._files():
            state = path.stat()
            digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0".encode("utf-8", "replace"))
            count += 1
        if not count:
            raise BadUsage(f"no file there ends in {', '.join(SUFFIXES)}")
        return digest.hexdigest()

    def records(self, start: int) -> Iterator[Record]:
        """Return the chunks from the *start*-th on, without embeddings."""
        self.skipped.clear()
        yield from islice(self._records(), start, None)

    def _records(self) -> Iterator[Record]:
        for path, name in self._files():
            text = read_text(path, name, self.skipped)
            for passage in () if text is None else passages_of(name, text):
                place = passage.metadata[_PLACE]
                yield Record(
                    id=passage.id,
                    content=passage.text,
                    metadata=passage.metadata,
                    document_id=name,
                    chunk_index=place,
                )

    def _files(self) -> Iterator[tuple[Path, str]]:
        """Return the files, and their names: the path in the folder, or from the folder on where there are several."""
        for path in self.paths:
            root = path.expanduser().resolve()
            if root.is_file():
                yield root, root.name
                continue
            base = root if len(self.paths) == 1 else root.parent
            for found in text_files(root, []):
                yield found, found.relative_to(base).as_posix()
