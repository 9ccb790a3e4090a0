"""The verbs of `Collection` that change records in part; see `amending`, which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall import portal
from pgrecall.collection.blocking.mirror import Mirror

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pgrecall.filters import Filter
    from pgrecall.records import RecordChange


class Amending(Mirror):
    """What `Collection` changes in part, and what it tells about that."""

    def amend(self, changes: Iterable[RecordChange], *, merge: bool = True) -> int:
        """See `AsyncCollection.amend`."""
        return portal.call(self.asynchronous.amend(changes, merge=merge))

    def update_where(
        self, filter: Filter | Mapping[str, Any], *, metadata: Mapping[str, Any], merge: bool = True
    ) -> int:
        """See `AsyncCollection.update_where`."""
        return portal.call(self.asynchronous.update_where(filter, metadata=metadata, merge=merge))

    def delete_returning(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        document_ids: Sequence[str] | None = None,
    ) -> list[str]:
        """See `AsyncCollection.delete_returning`."""
        return portal.call(self.asynchronous.delete_returning(ids, filter=filter, document_ids=document_ids))

    def metadata_keys(self, filter: Filter | Mapping[str, Any] | None = None) -> list[str]:
        """See `AsyncCollection.metadata_keys`."""
        return portal.call(self.asynchronous.metadata_keys(filter))
