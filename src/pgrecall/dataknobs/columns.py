"""What of a vector's metadata goes to columns of its own, beside staying in the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np

from pgrecall.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_INDEX: Final = 2**31 - 1
# What an index on the column holds.
_MOST_BYTES: Final = 2_000


class ColumnValues:
    """The columns of one vector's metadata.

    Args:
        metadata: The metadata.
        most: Most characters of a document's id.
    """

    def __init__(self, metadata: Mapping[str, Any], most: int | None) -> None:
        self._metadata = metadata
        self._most = most

    @property
    def content(self) -> str | None:
        """The text: ``source_text``, else ``content``."""
        texts = (self._metadata.get(key) for key in ("source_text", "content"))
        return next((text for text in texts if isinstance(text, str)), None)

    @property
    def document_id(self) -> str | None:
        """The document: ``document_id``, else ``source``; `None` where the column cannot hold it."""
        for key in ("document_id", "source"):
            value = self._metadata.get(key)
            if isinstance(value, str | int | np.integer | UUID) and not isinstance(value, bool):
                text = str(value)
                return text if self._fits(text) else None
        return None

    @property
    def chunk_index(self) -> int | None:
        """The position in the document: ``chunk_index``, where it is a whole number."""
        value = self._metadata.get("chunk_index")
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or abs(int(value)) > _MAX_INDEX:
            return None
        return int(value)

    def _fits(self, text: str) -> bool:
        short = self._most is None or len(text) <= self._most
        return short and len(text.encode(errors="replace")) <= _MOST_BYTES


def checked(metadata: Sequence[Mapping[str, Any]], ids: Sequence[str] | None) -> None:
    """Raise `RecordError` where an entry of *metadata* is no mapping."""
    for position, entry in enumerate(metadata):
        if not isinstance(entry, Mapping):
            named = "" if ids is None or position >= len(ids) else f" (id {ids[position]!r})"
            msg = f"record {position}{named}: metadata must be a mapping, not {type(entry).__name__}"
            raise RecordError(msg)
