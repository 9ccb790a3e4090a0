"""Chroma as a source: a directory that it keeps, or a server, read through the package ``chromadb``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pgrecall.chunk_keys import ChunkKeys
from pgrecall.distance import Distance
from pgrecall.errors import CollectionNotFound, ConfigError
from pgrecall.moving.source import FieldMap, Opened, Part, Source, first
from pgrecall.moving.tables import EVERY
from pgrecall.records import Record
from pgrecall.scope import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from collections.abc import Set as AbstractSet

    from pgrecall.collection import AsyncClient

_PAGE: Final = 1_000
_FILE: Final = "chroma.sqlite3"
# What Chroma compares by where nothing says it.
_DISTANCES: Final = {"l2": Distance.L2, "cosine": Distance.COSINE, "ip": Distance.INNER_PRODUCT}
_WITHOUT: Final = ("documents", "metadatas")


@dataclass(frozen=True, slots=True)
class ChromaRows:
    """The records of a collection of Chroma, in the order in which they were added.

    Attributes:
        collection: The collection, as ``chromadb`` has it.
    """

    collection: Any

    async def items(self, start: int) -> AsyncGenerator[Record]:
        """Return the records from the *start*-th on."""
        while found := await self._page(start, _PAGE, (*_WITHOUT, "embeddings")):
            for record in found:
                yield record
            start += len(found)

    async def reread(self, sample: AbstractSet[int]) -> AsyncGenerator[Record]:
        """Return all records; those at the places of *sample* with their embeddings."""
        start = 0
        while found := await self._page(start, _PAGE, _WITHOUT):
            for place, record in enumerate(found, start):
                if place in sample:
                    (whole,) = await self._page(place, 1, (*_WITHOUT, "embeddings")) or (record,)
                    yield whole
                else:
                    yield record
            start += len(found)

    async def _page(self, start: int, limit: int, include: tuple[str, ...]) -> list[Record]:
        get = partial(self.collection.get, limit=limit, offset=start, include=list(include))
        found: Mapping[str, Any] = await asyncio.to_thread(get)
        ids = found["ids"]
        embeddings, texts, metadatas = (found.get(name) for name in ("embeddings", "documents", "metadatas"))
        return [
            Record(
                id=row_id,
                embedding=None if embeddings is None else embeddings[place],
                content=None if texts is None else texts[place],
                metadata=(None if metadatas is None else metadatas[place]) or {},
            )
            for place, row_id in enumerate(ids)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chroma(Source):
    """A collection of Chroma, or all of them, each of which then goes to a domain of its name.

    Attributes:
        where: The directory that Chroma keeps, or the address of its server, ``http://host:port``.
        name: Name of the collection; ``"*"`` for all of them.
        tenant: Chroma's tenant.
        database: Chroma's database.
        keys: Metadata keys that name the document of a text, and its place there.
    """

    where: Path | str
    name: str
    tenant: str = "default_tenant"
    database: str = "default_database"
    keys: ChunkKeys = field(default_factory=ChunkKeys)

    @asynccontextmanager
    async def opened(self, client: AsyncClient) -> AsyncGenerator[Opened]:  # noqa: ARG002 - it is in no PostgreSQL
        """Return a context manager that opens it.

        Raises:
            CollectionNotFound: There is no such collection; the message lists those there are.
            ConfigError: There is no such directory, the collections are compared differently, or ``chromadb`` is
                not installed.
        """
        chroma = await asyncio.to_thread(self._connect)
        found = await asyncio.to_thread(self._collections, chroma)
        parts = [
            Part(
                theirs=f"collection {one.name}",
                domain=one.name if self.name == EVERY else DEFAULT_DOMAIN,
                count=await asyncio.to_thread(one.count),
                rows=ChromaRows(one),
            )
            for one in found
        ]
        distances = {_distance(one) for one in found}
        if len(distances) > 1:
            named = ", ".join(f"{one.name} by {_distance(one)}" for one in found)
            msg = f"the collections are compared differently ({named}): move them one by one, by name"
            raise ConfigError(msg)
        probed = [record for part in parts for record in await first(part, 1) if record.embedding is not None]
        yield Opened(
            title=f"Chroma ({self.where})",
            parts=tuple(parts),
            fields=(
                FieldMap(theirs="id", type="str", ours="id"),
                FieldMap(theirs="document", type="str", ours="content"),
                FieldMap(theirs="embedding", type="float32", ours="embedding"),
                FieldMap(theirs="metadata", type="dict", ours="metadata"),
                *(FieldMap(theirs=key, type="key", ours="document_id") for key in self.keys.document_id),
                FieldMap(theirs=self.keys.chunk_index, type="key", ours="chunk_index"),
            ),
            dimensions=len(probed[0].embedding) if probed and probed[0].embedding is not None else None,
            distance=distances.pop(),
            convert=self.keys.filled,
            marker=f"{self.tenant} {self.database}",
        )

    def _connect(self) -> Any:
        try:
            chromadb: Any = import_module("chromadb")
        except ImportError as error:
            msg = "moving in from Chroma needs its package: pip install 'pgrecall[chroma]'"
            raise ConfigError(msg) from error
        names = {"tenant": self.tenant, "database": self.database}
        settings = chromadb.Settings(anonymized_telemetry=False)
        if isinstance(self.where, str) and "://" in self.where:
            parts = urlsplit(self.where)
            secure = parts.scheme == "https"
            port = parts.port or (443 if secure else 8000)
            return chromadb.HttpClient(host=parts.hostname, port=port, ssl=secure, settings=settings, **names)
        # A directory that is none of Chroma's would be made one.
        if not Path(self.where, _FILE).is_file():
            msg = f"{self.where} is no directory of Chroma: it has no {_FILE}"
            raise ConfigError(msg)
        return chromadb.PersistentClient(str(self.where), settings=settings, **names)

    def _collections(self, chroma: Any) -> list[Any]:
        # Named first: some versions list names only. Nothing is embedded, so no function for that is asked for.
        names = sorted(getattr(one, "name", one) for one in chroma.list_collections())
        wanted = names if self.name == EVERY else [name for name in names if name == self.name]
        if not wanted:
            msg = f"there is no collection {self.name!r} in {self.where}, which has {names}"
            raise CollectionNotFound(msg)
        return [chroma.get_collection(name, embedding_function=None) for name in wanted]


def _distance(collection: Any) -> Distance | None:
    """Return the distance that a collection was made with, wherever its version writes it; `None` for another."""
    settings: Any = getattr(collection, "configuration_json", None) or {}
    said = next((part["space"] for part in settings.values() if isinstance(part, Mapping) and "space" in part), None)
    said = said or (collection.metadata or {}).get("hnsw:space", "l2")
    return _DISTANCES.get(said)
