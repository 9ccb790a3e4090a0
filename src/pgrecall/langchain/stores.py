"""LangChain's key-value stores: `PGRecallByteStore` for bytes, `PGRecallDocumentStore` for whole documents."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.documents import Document
from langchain_core.stores import BaseStore

from pgrecall import jsonb, metadata_types
from pgrecall.checks import check_list
from pgrecall.collection import AsyncClient, Client, KeyValues
from pgrecall.collection.lifetime import Closing
from pgrecall.errors import ConfigError, RecordError
from pgrecall.scope import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from pgrecall.collection.opening import ClientLike

V = TypeVar("V")


class _Store(BaseStore[str, V], Closing):
    """Values under keys, in one namespace of one domain."""

    def __init__(
        self,
        namespace: str,
        *,
        url: str | None = None,
        client: ClientLike | None = None,
        domain: str = DEFAULT_DOMAIN,
        schema: str = "public",
    ) -> None:
        if url is not None and client is not None:
            msg = "pass either url or client, not both"
            raise ConfigError(msg)
        self._client: AsyncClient | None = None
        if client is None:
            client = self._client = AsyncClient(url)
        elif isinstance(client, Client):
            client = client.asynchronous
        self._values = client.key_values(namespace, domain=domain, schema=schema)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self._values!r}>"

    def mget(self, keys: Sequence[str]) -> list[V | None]:
        """Return the values of *keys*, in the same order; `None` where there is none."""
        return self._read(KeyValues(self._values).get(keys))

    async def amget(self, keys: Sequence[str]) -> list[V | None]:
        """Return the values of *keys*, in the same order; `None` where there is none."""
        return self._read(await self._values.get(keys))

    def mset(self, key_value_pairs: Sequence[tuple[str, V]]) -> None:
        """Set values, in one transaction; of equal keys the last counts.

        Raises:
            RecordError: A key or a value cannot be stored. Nothing is then.
        """
        KeyValues(self._values).set(self._written(key_value_pairs))

    async def amset(self, key_value_pairs: Sequence[tuple[str, V]]) -> None:
        """Set values, in one transaction; see `mset`."""
        await self._values.set(self._written(key_value_pairs))

    def mdelete(self, keys: Sequence[str]) -> None:
        """Delete *keys* with their values; those that do not exist are no error."""
        KeyValues(self._values).delete(keys)

    async def amdelete(self, keys: Sequence[str]) -> None:
        """Delete *keys* with their values; those that do not exist are no error."""
        await self._values.delete(keys)

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """Return the keys that begin with *prefix*, sorted, read a page at a time as they are taken."""
        yield from KeyValues(self._values).keys(prefix)

    async def ayield_keys(  # pyright: ignore[reportIncompatibleMethodOverride] - a generator like its base
        self, *, prefix: str | None = None
    ) -> AsyncIterator[str]:
        """Return the keys that begin with *prefix*, sorted, read a page at a time as they are taken."""
        async for key in self._values.keys(prefix):
            yield key

    def _read(self, values: list[bytes | None]) -> list[V | None]:
        return [None if value is None else self._decode(value) for value in values]

    def _written(self, pairs: Sequence[tuple[str, V]]) -> list[tuple[str, bytes]]:
        listed = check_list(pairs, "key_value_pairs", "pairs")
        for position, pair in enumerate(listed):
            if not isinstance(pair, tuple | list) or len(pair) != 2:  # noqa: PLR2004 - a pair
                msg = f"key_value_pairs[{position}] must be a pair of a key and a value, not {type(pair).__name__}"
                raise ConfigError(msg)
        return [(key, self._encode(key, value)) for key, value in listed]

    @abstractmethod
    def _encode(self, key: str, value: V) -> bytes:
        """Return *value* as it is stored."""

    @abstractmethod
    def _decode(self, value: bytes) -> V:
        """Return what is stored as what it was."""


class PGRecallByteStore(_Store[bytes]):
    """LangChain's ``ByteStore`` in PostgreSQL: caches, `LocalFileStore`'s place, embeddings that are kept.

    Any text is a key, up to about 2,000 bytes of it. The table is made at the first write. A store may be
    used from any number of threads and event loops.

    Args:
        namespace: Which values; there may be any number of namespaces.
        url: Where the database is; see `AsyncClient`.
        client: A client that is open already, instead of *url*.
        domain: The domain (tenant) whose values these are.
        schema: Schema of the table that all namespaces share.

    Raises:
        ConfigError: The arguments contradict each other, or a name cannot be stored.

    Example:
        >>> cached = CacheBackedEmbeddings.from_bytes_store(model, PGRecallByteStore("embeddings", client=client))
    """

    def _encode(self, key: str, value: bytes) -> bytes:
        return value

    def _decode(self, value: bytes) -> bytes:
        return value


class PGRecallDocumentStore(_Store[Document]):
    """Whole documents by key in PostgreSQL, such as the parents of `ParentDocumentRetriever`'s chunks.

    Documents come back as they were, with their ids and the types of their metadata (datetimes, UUIDs,
    Decimals, NumPy's numbers and arrays, tuples). The arguments are those of `PGRecallByteStore`.

    Example:
        >>> retriever = ParentDocumentRetriever(
        ...     vectorstore=store, docstore=PGRecallDocumentStore("parents", client=client), child_splitter=splitter
        ... )
    """

    def _encode(self, key: str, value: Document) -> bytes:
        if not isinstance(value, Document):
            msg = f"the value of {key!r:.80} must be a Document, not {type(value).__name__}"
            raise RecordError(msg)
        try:
            metadata = jsonb.dumps(value.metadata)
            types = jsonb.dumps(metadata_types.describe(value.metadata))
        except ValueError as error:
            msg = f"the document of {key!r:.80} cannot be stored: metadata: {error}"
            raise RecordError(msg) from None
        # By the standard library, both ways: of texts it takes also NUL and lone surrogates.
        head = json.dumps([value.id, value.page_content]).encode()
        return b"[" + head + b"," + metadata + b"," + types + b"]"

    def _decode(self, value: bytes) -> Document:
        found: Any = json.loads(value)
        (row_id, content), metadata, types = found
        if isinstance(types, Mapping):
            metadata = metadata_types.restore(metadata, types)
        return Document(id=row_id, page_content=content, metadata=metadata)
