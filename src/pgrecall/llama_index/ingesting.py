"""`PGRecallIngestionStore`: what an ingestion writes, document by document, and never half of one."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from llama_index.core.bridge.pydantic import PrivateAttr

from pgrecall.collection.keywords import refuse_unknown
from pgrecall.errors import ConfigError
from pgrecall.llama_index.loops import on_this_loop
from pgrecall.llama_index.vectorstore import PGRecallVectorStore
from pgrecall.records import RecordBatch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from types import TracebackType

    from llama_index.core.schema import BaseNode


class PGRecallIngestionStore(PGRecallVectorStore):
    """The store to give to an `IngestionPipeline`, or to an index that documents are refreshed through.

    LlamaIndex deletes a changed document first, embeds it anew, and adds it then: whoever queries meanwhile does
    not find it, and where the process is killed it stays lost until the next run. A new document whose run was
    killed before its docstore was saved is added once more by the next run, under other ids. Here a deletion
    waits for the nodes that are added next, and nodes that are added take the place of all that their documents
    have, in one transaction; what is still to be deleted at the end of the ``with`` is deleted then, unless an
    error ended it.

    A document that is added in several parts within one ``with`` is replaced with the first of them.

    Example:
        >>> with PGRecallIngestionStore("documents") as store:
        ...     IngestionPipeline(transformations=[…], vector_store=store, docstore=docstore).run(documents=documents)
    """

    # Said again, as type checkers otherwise make one of the fields, which takes no collection by its place.
    __init__ = PGRecallVectorStore.__init__
    _open: bool = PrivateAttr(default=False)
    _awaiting: dict[str, None] = PrivateAttr(default_factory=dict)
    _replaced: set[str] = PrivateAttr(default_factory=set)

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex knows this class."""
        return "PGRecallIngestionStore"

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.flush()
        finally:
            self._end()
            self.close()

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.aflush()
        finally:
            self._end()
            await self.aclose()

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Put nodes in the place of all that their documents have, and return their ids in order.

        Raises:
            RecordError: A node has no embedding, or cannot be stored; nothing is written then.
            ConfigError: It is not within a ``with``.
        """
        parts = self._ready(nodes, kwargs)
        ids = self._collection.replace_documents(parts.fresh, document_ids=parts.going).ids
        self._done(parts.going, parts.fresh)
        ids += self._collection.upsert(parts.continued).ids
        return parts.in_order(ids)

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Put nodes in the place of all that their documents have; see `add`."""
        parts, collection = self._ready(nodes, kwargs), on_this_loop(self._collection)
        ids = (await collection.replace_documents(parts.fresh, document_ids=parts.going)).ids
        self._done(parts.going, parts.fresh)
        ids += (await collection.upsert(parts.continued)).ids
        return parts.in_order(ids)

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Have all nodes of a source document deleted with the next `add`, or at the end of the ``with``.

        Raises:
            ConfigError: It is not within a ``with``.
        """
        refuse_unknown(delete_kwargs)
        self._check_open()
        self._awaiting[ref_doc_id] = None
        self._replaced.discard(ref_doc_id)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Have all nodes of a source document deleted; see `delete`."""
        self.delete(ref_doc_id, **delete_kwargs)

    def flush(self) -> None:
        """Delete the documents whose deletion waits."""
        going = list(self._awaiting)
        if going:
            self._collection.delete(document_ids=going)
            self._done(going)

    async def aflush(self) -> None:
        """Delete the documents whose deletion waits."""
        going = list(self._awaiting)
        if going:
            await on_this_loop(self._collection).delete(document_ids=going)
            self._done(going)

    def _begin(self) -> None:
        self._open = True
        self._awaiting, self._replaced = {}, set()

    def _end(self) -> None:
        self._open = False

    def _check_open(self) -> None:
        if not self._open:
            msg = f"a {type(self).__name__} writes within a with statement, whose end says that all is there"
            raise ConfigError(msg)

    def _ready(self, nodes: Sequence[BaseNode], keywords: dict[str, Any]) -> _Parts:
        refuse_unknown(keywords)
        self._check_open()
        return _Parts.of(self._batch(nodes), list(self._awaiting), self._replaced)

    def _done(self, gone: Sequence[str], added: RecordBatch | None = None) -> None:
        for document_id in gone:
            self._awaiting.pop(document_id, None)
        if added is not None:
            self._replaced.update(one for one in added.document_ids or () if one is not None)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is added at once.

    Attributes:
        fresh: What replaces its documents.
        continued: More of documents that were replaced before, which must not go again.
        going: Documents that are deleted with that.
        order: Where in what was given each of both stood.
    """

    fresh: RecordBatch
    continued: RecordBatch
    going: list[str]
    order: list[int]

    @classmethod
    def of(cls, batch: RecordBatch, going: list[str], replaced: AbstractSet[str]) -> _Parts:
        documents = batch.document_ids or [None] * len(batch)
        continued = [place for place, document in enumerate(documents) if document in replaced]
        if not continued:
            return cls(batch, batch.slice(0, 0), going, list(range(len(batch))))
        fresh = [place for place, document in enumerate(documents) if document not in replaced]
        return cls(_taken(batch, fresh), _taken(batch, continued), going, [*fresh, *continued])

    def in_order(self, ids: list[str]) -> list[str]:
        """Return *ids*, those of both parts, in the order of what was given."""
        return [row_id for _, row_id in sorted(zip(self.order, ids, strict=True))]


def _taken(batch: RecordBatch, places: Sequence[int]) -> RecordBatch:
    columns = {column.name: getattr(batch, column.name) for column in fields(batch) if column.name != "optional"}
    taken = {name: [values[place] for place in places] for name, values in columns.items() if values is not None}
    return RecordBatch(**taken, optional=batch.optional)
