"""Collections of langchain-postgres, used where they are, or copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from langchain_core.vectorstores import VectorStore

from pgrecall import portal
from pgrecall.chunk_keys import ChunkKeys
from pgrecall.collection.adopting import COPYING, adopt, copy_found
from pgrecall.errors import ConfigError
from pgrecall.moving.langchain_postgres import TheirCollection, find

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from pgrecall.collection import AsyncClient, AsyncCollection, Collection, CopyReport
    from pgrecall.collection.opening import ClientLike
    from pgrecall.records import Record

_PLACE: tuple[str, ...] = tuple(TheirCollection.__dataclass_fields__)


class AdoptingMethods(VectorStore):
    """What `PGRecallVectorStore` does with the tables of langchain-postgres."""

    _collection: Collection
    _client: AsyncClient | None
    _keys: ChunkKeys

    @classmethod
    def from_langchain_postgres(
        cls,
        embedding: Embeddings,
        name: str,
        *,
        url: str | None = None,
        client: ClientLike | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return a store over a collection of langchain-postgres, which is read and written where it is.

        The table stays as it is, and `PGVector` and `PGVectorStore` can go on using it. Nothing is made, and
        what the table has no place for is an error.

        Args:
            embedding: The model that the collection was made with.
            name: The table (`PGVectorStore`) or the collection (`PGVector`).
            url: Where the database is; see `AsyncClient`.
            client: A client that is open already, instead of *url*.
            **kwargs: ``schema``; ``version``, ``"v1"`` for `PGVector` and ``"v2"`` for `PGVectorStore`, where there
                are both of that name; ``distance``, as theirs cosine unless given; ``id_column``,
                ``content_column``, ``embedding_column``, ``metadata_json_column``, ``metadata_columns`` and
                ``ignore_metadata_columns`` where the catalog leaves open which they are; and the constructor's.

        Raises:
            CollectionNotFound: There is no such table or collection; the message lists the collections there are.
            ConfigError: It must be said which of two collections, or which columns, are meant.
            SchemaError: The table does not fit; the message says all that is wrong.
        """
        return portal.call(cls.afrom_langchain_postgres(embedding, name, url=url, client=client, **kwargs))

    @classmethod
    async def afrom_langchain_postgres(
        cls,
        embedding: Embeddings,
        name: str,
        *,
        url: str | None = None,
        client: ClientLike | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return a store over a collection of langchain-postgres; see `from_langchain_postgres`."""
        sought, rest = _sought(name, kwargs)

        def make(found: AsyncCollection, made: AsyncClient | None) -> Self:
            store: Self = cast("Any", cls)(embedding, found, **rest)
            return store._closing(made)

        return await adopt(lambda opened: find(opened, sought), make, url=url, client=client)

    def copy_from_langchain_postgres(
        self, name: str, *, url: str | None = None, client: ClientLike | None = None, **kwargs: Any
    ) -> CopyReport:
        """Copy a collection of langchain-postgres, embeddings and all, into this store's, and check the copy.

        Run again, it goes on; what has not changed is not written again. See `AsyncCollection.copy_to`.

        Args:
            name: The table (`PGVectorStore`) or the collection (`PGVector`).
            url: Where it is; where this store made its connections itself, in the same database unless given.
            client: A client that is open already, instead of *url*.
            **kwargs: What `from_langchain_postgres` takes to find it, and of `AsyncCollection.copy_to`
                ``batch_size``, ``after``, ``verify`` and ``progress``.

        Raises:
            CollectionNotFound: There is no such table or collection.
            ConfigError: It was not said in which database to look, or see `from_langchain_postgres`.
            CopyMismatch: Records are not stored as they were read.
            RecordError: A record cannot be stored here; the message names it.
        """
        return portal.call(self.acopy_from_langchain_postgres(name, url=url, client=client, **kwargs))

    async def acopy_from_langchain_postgres(
        self, name: str, *, url: str | None = None, client: ClientLike | None = None, **kwargs: Any
    ) -> CopyReport:
        """Copy a collection of langchain-postgres into this store's; see `copy_from_langchain_postgres`."""
        options = {word: kwargs.pop(word) for word in COPYING if word in kwargs}
        sought, rest = _sought(name, kwargs)
        if rest:
            msg = f"a copy does not know {sorted(rest)}"
            raise ConfigError(msg)
        return await copy_found(
            lambda opened: find(opened, sought),
            self._collection,
            self._client,
            url=url,
            client=client,
            convert=self._as_chunk,
            **options,
        )

    def _as_chunk(self, record: Record) -> Record:
        """Return *record* with the document, and the place in it, that a text with its metadata is given here."""
        columns = self._collection.config.columns
        if columns.document_id is None or columns.chunk_index is None:
            return record
        return self._keys.filled(record)

    def _closing(self, client: AsyncClient | None) -> Self:
        """Close *client* with this store."""
        self._client = client
        return self


def _sought(name: str, keywords: dict[str, Any]) -> tuple[TheirCollection, dict[str, Any]]:
    """Return what is looked for, and the keywords that are not about that."""
    place = {word: value for word, value in keywords.items() if word in _PLACE and word != "name"}
    return TheirCollection(name=name, **place), {word: keywords[word] for word in keywords if word not in place}
