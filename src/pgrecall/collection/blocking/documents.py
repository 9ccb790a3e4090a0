"""The verbs of `Collection` for whole documents; see `documents`, which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall import portal
from pgrecall.collection.blocking.mirror import Mirror

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pgrecall.collection.writing.documents import ReplaceResult, SourceDocumentPage
    from pgrecall.filters import Filter
    from pgrecall.records import Record, RecordBatch


class Documents(Mirror):
    """What `Collection` does with whole documents."""

    def replace_documents(
        self, records: Iterable[Record] | RecordBatch, *, document_ids: Sequence[str] = ()
    ) -> ReplaceResult:
        """See `AsyncCollection.replace_documents`."""
        return portal.call(self.asynchronous.replace_documents(records, document_ids=document_ids))

    def list_documents(
        self,
        *,
        limit: int = 100,
        after: str | None = None,
        prefix: str | None = None,
        filter: Filter | Mapping[str, Any] | None = None,
    ) -> SourceDocumentPage:
        """See `AsyncCollection.list_documents`."""
        listed = self.asynchronous.list_documents(limit=limit, after=after, prefix=prefix, filter=filter)
        return portal.call(listed)
