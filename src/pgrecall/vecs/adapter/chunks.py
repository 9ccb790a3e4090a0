"""Steps that make several records of one text."""

from __future__ import annotations

import re
from abc import abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pgrecall.vecs.adapter.steps import AdapterContext, AdapterStep
from pgrecall.vecs.exc import ArgError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pgrecall.vecs.adapter.steps import RecordsIn, RecordsOut

_HEADING: Final = re.compile(r"^#{1,6}[ \t]+\S", re.MULTILINE)


class _Chunker(AdapterStep):
    """Makes chunks of texts, with the number of the chunk in the id.

    Args:
        skip_during_query: Whether the text of a query is left whole.
    """

    _part: str

    def __init__(self, *, skip_during_query: bool) -> None:
        self.skip_during_query = skip_during_query

    def __call__(self, records: RecordsIn, adapter_context: AdapterContext) -> RecordsOut:
        """Return the chunks of each text, with its metadata; ids end in the number, from 000."""
        whole = self.skip_during_query and adapter_context == AdapterContext.query
        for row_id, text, metadata in records:
            if whole:
                yield row_id, text, metadata or {}
                continue
            for number, chunk in enumerate(self._chunks(text)):
                yield f"{row_id}_{self._part}_{number:03}", chunk, dict(metadata or {})

    @abstractmethod
    def _chunks(self, text: str) -> Iterable[str]: ...


class ParagraphChunker(_Chunker):
    """Makes a record of each paragraph of a text, which an empty line ends: ``id_para_000`` and so on.

    Args:
        skip_during_query: Whether the text of a query is left whole.
    """

    _part = "para"

    def _chunks(self, text: str) -> Iterable[str]:
        return text.split("\n\n")


class MarkdownChunker(_Chunker):
    """Makes a record of each section of a Markdown text, from one heading to the next: ``id_head_000`` and so on.

    Args:
        skip_during_query: Whether the text of a query is left whole.
        max_tokens: Most words of a chunk, as spaces part them; longer sections are cut. `None` cuts none.

    Raises:
        ArgError: *max_tokens* is less than 1.
    """

    _part = "head"

    def __init__(self, *, skip_during_query: bool, max_tokens: int | None = None) -> None:
        super().__init__(skip_during_query=skip_during_query)
        if max_tokens is not None and max_tokens < 1:
            msg = f"max_tokens must be at least 1, not {max_tokens!r}"
            raise ArgError(msg)
        self.max_tokens = max_tokens

    @staticmethod
    def split_by_heading(md: str, max_tokens: int | None = None) -> Iterator[str]:
        """Return the sections of a text, cut where they have more words; those of nothing but space are left out."""
        starts = sorted({0, *(found.start() for found in _HEADING.finditer(md))})
        for start, end in pairwise([*starts, len(md)]):
            words = md[start:end].split(" ")
            size = max_tokens or len(words)
            chunks = (" ".join(words[place : place + size]) for place in range(0, len(words), size))
            yield from (chunk for chunk in chunks if chunk.strip())

    def _chunks(self, text: str) -> Iterable[str]:
        return self.split_by_heading(text, self.max_tokens)
