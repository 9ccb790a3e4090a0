"""Moving in and out: from the stores that people used before, and from and to files.

Rooms: `source` (what can be moved in from) with `tables`, `adopted`, `langchain_postgres` and `llama_index_postgres`
(tables of other stores), `chroma`, and `files` with `lines`, `parquet` and `file_fields`; `plan`, `migrating` and
`verifying` (moving in); `exporting` (moving out).

A source is a value that says where, and opens nothing yet: `LangchainPostgres`, `LlamaIndexPostgres`, `Vecs`,
`Dataknobs`, `Chroma` or `RecordFile`; another is a subclass of `Source`. No package of theirs is needed, but for
Chroma's own and pyarrow for Parquet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall import portal
from pgrecall.chunk_keys import ChunkKeys
from pgrecall.collection.blocking.client import Client
from pgrecall.collection.blocking.collection import Collection
from pgrecall.moving import exporting, migrating
from pgrecall.moving.adopted import Place
from pgrecall.moving.chroma import Chroma
from pgrecall.moving.exporting import ExportReport
from pgrecall.moving.files import RecordFile, can_read
from pgrecall.moving.langchain_postgres import TheirCollection
from pgrecall.moving.migrating import MovedPart, MoveProgress, MoveReport
from pgrecall.moving.plan import MoveOptions, MovePlan, PartPlan
from pgrecall.moving.source import FieldMap, Opened, Part, Rows, Source
from pgrecall.moving.tables import Dataknobs, LangchainPostgres, LlamaIndexPostgres, Vecs
from pgrecall.moving.verifying import Verification

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pgrecall.collection import AsyncClient, AsyncCollection
    from pgrecall.collection.opening import ClientLike
    from pgrecall.config import CollectionConfig
    from pgrecall.filters import Filter
    from pgrecall.moving.migrating import MoveProgressLike

__all__ = [
    "Chroma",
    "ChunkKeys",
    "Dataknobs",
    "ExportReport",
    "FieldMap",
    "LangchainPostgres",
    "LlamaIndexPostgres",
    "MoveOptions",
    "MovePlan",
    "MoveProgress",
    "MoveReport",
    "MovedPart",
    "Opened",
    "Part",
    "PartPlan",
    "Place",
    "RecordFile",
    "Rows",
    "Source",
    "TheirCollection",
    "Vecs",
    "Verification",
    "aexport_to",
    "amigrate",
    "aplan",
    "can_read",
    "export_to",
    "migrate",
    "plan",
]

_DEFAULT = MoveOptions()


async def aplan(
    source: Source, client: ClientLike, collection: str | CollectionConfig, *, options: MoveOptions = _DEFAULT
) -> MovePlan:
    """Return what a move would do, and write nothing: where records would go, what becomes of each field, examples.

    Args:
        source: What would be moved in from.
        client: The database that would be moved to.
        collection: The collection there; what it does not say of dimensions, distance and type is the source's.
        options: How it would be moved.

    Raises:
        CollectionNotFound: There is no such source.
        ConfigError: The source cannot be read, or several of its domains would go to one.
        DimensionMismatch: The collection is there, with other dimensions.
        SchemaError: The source's table is not what it should be.
    """
    return await migrating.plan(source, _asynchronous(client), collection, options)


async def amigrate(
    source: Source,
    client: ClientLike,
    collection: str | CollectionConfig,
    *,
    options: MoveOptions = _DEFAULT,
    progress: MoveProgressLike = None,
) -> MoveReport:
    """Move all records of a source into a collection, embeddings and ids as they are, and check that they are there.

    Memory does not grow with the source. A move that was killed is gone on with by the same call, exactly where it
    was as long as the source has not changed; otherwise, and after one that has finished, all is read once more, and
    only what differs is written. What cannot be stored is set aside, with the reason.

    Args:
        source: What is moved in from.
        client: The database that is moved to.
        collection: The collection there, which is made where it is missing; what it does not say of dimensions,
            distance and type is the source's.
        options: How.
        progress: Called with a `MoveProgress` as it goes on, on the loop that moves; `True` shows a progress bar. What
            it raises ends the move, and is raised.

    Raises:
        CollectionNotFound: There is no such source.
        ConfigError: The source cannot be read, or several of its domains would go to one.
        DimensionMismatch: The collection is there, with other dimensions.
        SchemaError: The source's table, or the collection's, is not what it should be.
        RunTakenOver: The same move was begun again meanwhile.
        TooManyFailures: More records than ``MoveOptions.max_failures`` could not be stored.
    """
    return await migrating.migrate(source, _asynchronous(client), collection, options, progress)


async def aexport_to(
    collection: AsyncCollection | Collection,
    path: Path | str,
    *,
    filter: Filter | Mapping[str, Any] | None = None,
    embeddings: bool = True,
    progress: MoveProgressLike = None,
) -> ExportReport:
    """Write the records of a handle to a file, page by page; it has its name only once it is whole.

    `RecordFile` reads it back just as it was: ids, domains, documents, typed metadata, embeddings, envelopes and times.

    Args:
        collection: The handle; of all domains at once only as `AsyncCollection.all_domains` gives it.
        path: Where to: a name that ends in ``.jsonl``, ``.ndjson``, ``.csv`` or ``.parquet``.
        filter: Which metadata the records must have.
        embeddings: Whether to write the embeddings too.
        progress: Called with a `MoveProgress` after each page; `True` shows a progress bar.

    Raises:
        ConfigError: The file cannot be written, or is of no kind that is known, or pyarrow is not installed.
    """
    handle = collection.asynchronous if isinstance(collection, Collection) else collection
    return await exporting.export(handle, path, filter=filter, embeddings=embeddings, progress=progress)


def plan(
    source: Source, client: ClientLike, collection: str | CollectionConfig, *, options: MoveOptions = _DEFAULT
) -> MovePlan:
    """Return what a move would do, and write nothing; see `aplan`."""
    return portal.call(aplan(source, client, collection, options=options))


def migrate(
    source: Source,
    client: ClientLike,
    collection: str | CollectionConfig,
    *,
    options: MoveOptions = _DEFAULT,
    progress: MoveProgressLike = None,
) -> MoveReport:
    """Move all records of a source into a collection, and check that they are there; see `amigrate`."""
    return portal.call(amigrate(source, client, collection, options=options, progress=progress))


def export_to(
    collection: AsyncCollection | Collection,
    path: Path | str,
    *,
    filter: Filter | Mapping[str, Any] | None = None,
    embeddings: bool = True,
    progress: MoveProgressLike = None,
) -> ExportReport:
    """Write the records of a handle to a file; see `aexport_to`."""
    return portal.call(aexport_to(collection, path, filter=filter, embeddings=embeddings, progress=progress))


def _asynchronous(client: ClientLike) -> AsyncClient:
    return client.asynchronous if isinstance(client, Client) else client
