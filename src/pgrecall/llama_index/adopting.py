"""Tables of llama-index-vector-stores-postgres, used where they are, or copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self, cast

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from pgrecall import portal
from pgrecall.collection.adopting import COPYING, adopt, copy_found
from pgrecall.collection.keywords import refuse_unknown
from pgrecall.collection.writing.copying import LastOfEach
from pgrecall.llama_index.nodes import to_record
from pgrecall.llama_index.their_nodes import from_their_metadata
from pgrecall.moving.llama_index_postgres import NODE_ID, ROW_BY_ROW, find

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pgrecall.collection import AsyncClient, AsyncCollection, Collection, CopyReport
    from pgrecall.collection.opening import ClientLike
    from pgrecall.records import Record

_OPTIONS: Final = ("search_kwargs", "restrict_to_node_ids", "reranker")


class AdoptingMethods(BasePydanticVectorStore):
    """What `PGRecallVectorStore` does with the tables of ``PGVectorStore``."""

    _collection: Collection = PrivateAttr()
    _client: AsyncClient | None = PrivateAttr()

    @classmethod
    def from_llama_index_postgres(
        cls,
        name: str,
        *,
        schema: str = "public",
        text_search_config: str = "english",
        url: str | None = None,
        client: ClientLike | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return a store over a table of ``PGVectorStore``, which is read and written where it is.

        The table stays as it is, and ``PGVectorStore`` can go on using it: each reads what the other has
        written. Here a node that is added again takes the place of all rows with its id.

        Args:
            name: What ``PGVectorStore`` was given as ``table_name``, or the name of the table.
            schema: Schema of the table.
            text_search_config: What ``PGVectorStore`` was given by that name, where it was made for hybrid search.
            url: Where the database is; see `AsyncClient`.
            client: A client that is open already, instead of *url*.
            **kwargs: ``search_kwargs``, ``restrict_to_node_ids`` and ``reranker``, as the constructor has them.

        Raises:
            CollectionNotFound: There is no such table.
            ConfigError: A keyword is not known.
            SchemaError: The table is not one of theirs.
        """
        found = cls.afrom_llama_index_postgres(
            name, schema=schema, text_search_config=text_search_config, url=url, client=client, **kwargs
        )
        return portal.call(found)

    @classmethod
    async def afrom_llama_index_postgres(
        cls,
        name: str,
        *,
        schema: str = "public",
        text_search_config: str = "english",
        url: str | None = None,
        client: ClientLike | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return a store over a table of ``PGVectorStore``; see `from_llama_index_postgres`."""
        refuse_unknown(kwargs, _OPTIONS)

        def make(found: AsyncCollection, made: AsyncClient | None) -> Self:
            store: Self = cast("Any", cls)(found, **kwargs)
            store._client = made
            return store

        def sought(client: AsyncClient) -> Awaitable[AsyncCollection]:
            return find(client, name, schema=schema, language=text_search_config)

        return await adopt(sought, make, url=url, client=client)

    def copy_from_llama_index_postgres(
        self,
        name: str,
        *,
        schema: str = "public",
        url: str | None = None,
        client: ClientLike | None = None,
        **kwargs: Any,
    ) -> CopyReport:
        """Copy a table of ``PGVectorStore``, embeddings and all, into this store's collection, and check the copy.

        Rows are read in the order in which they were added, so that of several with one id the newest is what is
        kept. Run again, it goes on; what has not changed is not written again. See `AsyncCollection.copy_to`.

        Args:
            name: What ``PGVectorStore`` was given as ``table_name``, or the name of the table.
            schema: Schema of the table.
            url: Where it is; where this store made its connections itself, in the same database unless given.
            client: A client that is open already, instead of *url*.
            **kwargs: Of `AsyncCollection.copy_to` ``batch_size``, ``after``, ``verify`` and ``progress``.

        Raises:
            CollectionNotFound: There is no such table.
            ConfigError: It was not said in which database to look, or a keyword is not known.
            CopyMismatch: Nodes are not stored as they were read.
            RecordError: A node cannot be stored here; the message names it.
            SchemaError: The table is not one of theirs.
        """
        return portal.call(self.acopy_from_llama_index_postgres(name, schema=schema, url=url, client=client, **kwargs))

    async def acopy_from_llama_index_postgres(
        self,
        name: str,
        *,
        schema: str = "public",
        url: str | None = None,
        client: ClientLike | None = None,
        **kwargs: Any,
    ) -> CopyReport:
        """Copy a table of ``PGVectorStore`` into this store's; see `copy_from_llama_index_postgres`."""
        refuse_unknown(kwargs, COPYING)
        return await copy_found(
            lambda opened: find(opened, name, schema=schema, columns=ROW_BY_ROW),
            self._collection,
            self._client,
            url=url,
            client=client,
            convert=LastOfEach(_as_ours),
            **kwargs,
        )


def _as_ours(record: Record) -> Record:
    """Return a row of theirs, read by `ROW_BY_ROW`, as a record of ours."""
    metadata = dict(record.metadata)
    node_id = metadata.pop(NODE_ID, None)
    node = from_their_metadata(metadata, node_id=node_id, text=record.content, embedding=None)
    return to_record(node, record.embedding)
