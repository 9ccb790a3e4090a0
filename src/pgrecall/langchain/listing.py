"""Reading documents by id and page by page, and counting them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.vectorstores import VectorStore

from pgrecall.collection.keywords import in_domain
from pgrecall.langchain.documents import to_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.documents import Document

    from pgrecall.collection import Collection
    from pgrecall.filters import Filter
    from pgrecall.records import Page


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Some documents in the order of their ids, and where the next page starts.

    Attributes:
        documents: The documents, ascending by id.
        next: What to pass as ``after=`` for the following page; `None` on the last one.
    """

    documents: list[Document]
    next: str | None

    @property
    def ids(self) -> list[str]:
        """The ids of the documents."""
        return [str(document.id) for document in self.documents]


class ListingMethods(VectorStore):
    """Reads documents without searching."""

    _collection: Collection

    def get_by_ids(self, ids: Sequence[str], /, **kwargs: Any) -> list[Document]:
        """Return the documents with these ids, in the same order, without those that do not exist.

        Args:
            ids: The ids.
            **kwargs: Only ``domain``.

        Raises:
            ConfigError: A keyword is not known.
            RecordError: An entry cannot be an id.
        """
        records = in_domain(self._collection, kwargs).get(ids)
        return [to_document(record) for record in records if record is not None]

    async def aget_by_ids(self, ids: Sequence[str], /, **kwargs: Any) -> list[Document]:
        """Return the documents with these ids; see `get_by_ids`."""
        records = await in_domain(self._collection, kwargs).asynchronous.get(ids)
        return [to_document(record) for record in records if record is not None]

    def count(self, filter: Filter | Mapping[str, Any] | None = None, **kwargs: Any) -> int:
        """Return how many documents pass *filter*.

        Args:
            filter: Which metadata they must have; `None` counts all.
            **kwargs: Only ``domain``.

        Raises:
            FilterError: The filter is malformed.
            ConfigError: A keyword is not known.
        """
        return in_domain(self._collection, kwargs).count(filter)

    async def acount(self, filter: Filter | Mapping[str, Any] | None = None, **kwargs: Any) -> int:
        """Return how many documents pass *filter*; see `count`."""
        return await in_domain(self._collection, kwargs).asynchronous.count(filter)

    def list_documents(
        self,
        filter: Filter | Mapping[str, Any] | None = None,
        *,
        limit: int = 100,
        after: str | None = None,
        prefix: str | None = None,
        **kwargs: Any,
    ) -> DocumentPage:
        """Return documents in the order of their ids, a page at a time; ``DocumentPage.ids`` are their ids.

        Args:
            filter: Which metadata they must have.
            limit: Most documents of the page, 1 to 10,000.
            after: ``DocumentPage.next`` of the page before.
            prefix: What the ids must begin with.
            **kwargs: Only ``domain``.

        Raises:
            FilterError: The filter is malformed.
            ConfigError: A keyword is not known, or a value is out of range.
        """
        collection = in_domain(self._collection, kwargs)
        return _page(collection.list(limit=limit, after=after, prefix=prefix, filter=filter))

    async def alist_documents(
        self,
        filter: Filter | Mapping[str, Any] | None = None,
        *,
        limit: int = 100,
        after: str | None = None,
        prefix: str | None = None,
        **kwargs: Any,
    ) -> DocumentPage:
        """Return documents in the order of their ids, a page at a time; see `list_documents`."""
        collection = in_domain(self._collection, kwargs).asynchronous
        return _page(await collection.list(limit=limit, after=after, prefix=prefix, filter=filter))


def _page(page: Page) -> DocumentPage:
    return DocumentPage([to_document(record) for record in page.records], page.next)
