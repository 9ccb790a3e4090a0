"""The tables of langchain-postgres: found in the catalog, and understood as collections.

``v1`` is `PGVector`: two tables hold all collections. ``v2`` is `PGVectorStore`: each collection is a table,
whose columns can be called anything, and some of which can be keys of the metadata. Their package is not
needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from pgrecall.collection.adopting import THEIRS
from pgrecall.config import CollectionConfig
from pgrecall.distance import Distance
from pgrecall.errors import CollectionNotFound, ConfigError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pgrecall.collection import AsyncClient, AsyncCollection
    from pgrecall.columns import Columns
    from pgrecall.table_columns import TableColumn

Version = Literal["v1", "v2"]
_EMBEDDINGS: Final = "langchain_pg_embedding"
_COLLECTIONS: Final = "langchain_pg_collection"
_TEXTS: Final = ("text", "character varying")
_VECTORS: Final = ("vector", "halfvec")
_JSON: Final = ("json", "jsonb")
# What no metadata is kept in.
_NO_METADATA: Final = (*_VECTORS, "sparsevec", "bit", "tsvector", "bytea")
_NAMED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TheirCollection:
    """A collection of langchain-postgres, as far as the caller knows it; `None` is found out.

    Attributes:
        name: Of the table (v2), or of the collection (v1).
        schema: Schema of the tables.
        version: Which of the two layouts it has.
        distance: How embeddings are compared, which is written down nowhere; cosine, as theirs, unless given.
        id_column: v2: The id; ``langchain_id``, else the primary key.
        content_column: v2: The text; ``content``, else the only column of text, or the only one without NULL.
        embedding_column: v2: The embedding; ``embedding``, else the only column of vectors, likewise.
        metadata_json_column: v2: The metadata; ``langchain_metadata``, else the only column of JSON, likewise.
        metadata_columns: v2: Keys of the metadata that have columns of their own; all other columns unless given.
        ignore_metadata_columns: v2: Columns that are no metadata.
    """

    name: str
    schema: str = "public"
    version: Version | None = None
    distance: Distance | str | None = None
    id_column: str | None = None
    content_column: str | None = None
    embedding_column: str | None = None
    metadata_json_column: str | None = None
    metadata_columns: Sequence[str] | None = None
    ignore_metadata_columns: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.version not in (None, "v1", "v2"):
            msg = f"version must be 'v1' (PGVector), 'v2' (PGVectorStore) or None, not {self.version!r}"
            raise ConfigError(msg)
        if self.metadata_columns is not None and self.ignore_metadata_columns:
            msg = "pass either metadata_columns or ignore_metadata_columns, not both"
            raise ConfigError(msg)


async def find(client: AsyncClient, sought: TheirCollection) -> AsyncCollection:
    """Return a handle on a collection of langchain-postgres, which is read and written where it is.

    Raises:
        CollectionNotFound: There is no such table or collection; the message lists the collections there are.
        ConfigError: There are both a table and a collection of that name, or columns must be named.
        SchemaError: The table does not fit.
    """
    columns: list[TableColumn] = []
    collections: list[tuple[str, str]] | None = None
    if sought.version != "v1" and sought.name not in (_EMBEDDINGS, _COLLECTIONS):
        columns = await client.describe_table(sought.name, schema=sought.schema)
    if sought.version != "v2" and await client.describe_table(_COLLECTIONS, schema=sought.schema):
        collections = await client.domain_names(_COLLECTIONS, schema=sought.schema, domain="uuid", name="name")
    domains = [domain for name, domain in collections or () if name == sought.name]
    if columns and domains:
        msg = f"there are a table and a collection of PGVector called {sought.name!r}: pass version='v1' or 'v2'"
        raise ConfigError(msg)
    if columns:
        return await client.get_collection(_table(sought, columns))
    if len(domains) != 1:
        raise CollectionNotFound(_missing(sought, collections, len(domains)))
    return await client.get_collection(await _first_version(client, sought), domain=domains[0])


async def collections(client: AsyncClient, schema: str = "public") -> list[str]:
    """Return the names of all collections of `PGVector`, sorted.

    Raises:
        CollectionNotFound: There are none.
    """
    found: list[tuple[str, str]] = []
    if await client.describe_table(_COLLECTIONS, schema=schema):
        found = await client.domain_names(_COLLECTIONS, schema=schema, domain="uuid", name="name")
    if not found:
        msg = f"there is no collection of PGVector in {schema}.{_COLLECTIONS}"
        raise CollectionNotFound(msg)
    return [name for name, _ in found]


async def _first_version(client: AsyncClient, sought: TheirCollection) -> CollectionConfig:
    found = await client.describe_table(_EMBEDDINGS, schema=sought.schema)
    row_id = _primary_key(found)
    if row_id is None:
        msg = f"{sought.schema}.{_EMBEDDINGS} has no primary key of one column, so its rows cannot be told apart"
        raise SchemaError(msg)
    columns = replace(THEIRS, id=row_id, domain_id="collection_id", content="document", metadata="cmetadata")
    return _config(sought, _EMBEDDINGS, columns)


def _table(sought: TheirCollection, found: Sequence[TableColumn]) -> CollectionConfig:
    """Return the configuration of a table of the second version."""
    names = [column.name for column in found]
    row_id = sought.id_column or ("langchain_id" if "langchain_id" in names else _primary_key(found))
    if row_id is None:
        raise _unclear(sought, "id_column", "the id", names)
    metadata = sought.metadata_json_column or _only(found, _JSON, "langchain_metadata")
    content = sought.content_column or _only(found, _TEXTS, "content", besides=(row_id,))
    if content is None:
        raise _unclear(sought, "content_column", "the text", names)
    embedding = sought.embedding_column or _only(found, _VECTORS, "embedding")
    if embedding is None:
        raise _unclear(sought, "embedding_column", "the embedding", names)
    taken = {row_id, content, embedding, metadata, *sought.ignore_metadata_columns}
    if unknown := set(sought.ignore_metadata_columns) - set(names):
        msg = f"ignore_metadata_columns names {sorted(unknown)}, which {sought.schema}.{sought.name} does not have"
        raise ConfigError(msg)
    others = sought.metadata_columns
    if others is None:
        others = [c.name for c in found if c.name not in taken and not c.generated and c.type not in _NO_METADATA]
    columns = replace(
        THEIRS,
        id=row_id,
        content=content,
        embedding=embedding,
        metadata=metadata,
        metadata_columns=tuple(others),
    )
    return _config(sought, sought.name, columns)


def _config(sought: TheirCollection, table: str, columns: Columns) -> CollectionConfig:
    distance = None if sought.distance is None else Distance.parse(sought.distance)
    return CollectionConfig(name=table, schema=sought.schema, columns=columns, distance=distance, setup="validate")


def _primary_key(found: Iterable[TableColumn]) -> str | None:
    keys = [column.name for column in found if column.primary_key]
    return keys[0] if len(keys) == 1 else None


def _only(found: Iterable[TableColumn], types: Sequence[str], usual: str, besides: Sequence[str] = ()) -> str | None:
    """Return the column of these types that has the usual name, or is the only one: of all, or that takes no NULL."""
    fitting = [column for column in found if column.type in types and column.name not in besides]
    required = [column for column in fitting if not column.nullable]
    if any(column.name == usual for column in fitting):
        return usual
    return next((only[0].name for only in (fitting, required) if len(only) == 1), None)


def _unclear(sought: TheirCollection, word: str, what: str, names: Sequence[str]) -> ConfigError:
    msg = f"which column of {sought.schema}.{sought.name} is {what}? Pass {word}=, one of {list(names)}"
    return ConfigError(msg)


def _missing(sought: TheirCollection, collections: Sequence[tuple[str, str]] | None, found: int) -> str:
    where = f"{sought.schema}.{_COLLECTIONS}"
    if found:
        return f"there are {found} collections called {sought.name!r} in {where}"
    table = f"there is no table {sought.schema}.{sought.name}"
    if sought.version == "v2":
        return table
    if collections is None:
        return f"there is no table {where}" if sought.version == "v1" else f"{table}, and none {where} of collections"
    names = sorted({name for name, _ in collections})
    listed = ", ".join(map(repr, names[:_NAMED])) + (" …" if len(names) > _NAMED else "")
    missing = f"no collection {sought.name!r} in {where}, which has {listed or 'none'}"
    return f"there is {missing}" if sought.version == "v1" else f"{table}, and {missing}"
