"""The options of a store: their names, their defaults, and what they mean to the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, cast

from pgrecall.checks import check_choice, check_flag, check_range
from pgrecall.config import HNSW, CollectionConfig, Columns, Index, IVFFlat, SearchOptions
from pgrecall.distance import Distance, VectorType
from pgrecall.errors import ConfigError
from pgrecall.pooling import PoolConfig
from pgrecall.postgres import from_environment
from pgrecall.scope import Scope

DEFAULT_COLUMNS: Final[Mapping[str, str]] = {
    "id": "id",
    "embedding": "embedding",
    "content": "content",
    "metadata": "metadata",
    "domain_id": "domain_id",
    "document_id": "document_id",
    "chunk_index": "chunk_index",
    "created_at": "created_at",
}
_INDEX_TYPES: Final = ("none", "hnsw", "ivfflat")
_ID_TYPES: Final = ("uuid", "text")
_PARAMS: Final[Mapping[str, tuple[str, ...]]] = {"hnsw": ("m", "ef_construction"), "ivfflat": ("lists",), "none": ()}
_SEARCH: Final = ("ef_search", "probes")
_LISTS: Final = 100
_MAX_BATCH: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """The options of `PgVectorStore`, checked.

    Attributes:
        connection_string: URL of the database; `None` takes ``DATABASE_URL``, else what `AsyncClient` takes.
        dimensions: Length of the vectors; required.
        metric: ``"cosine"``, ``"euclidean"`` (``"l2"``), ``"inner_product"`` (``"dot_product"``) or ``"l1"``.
        schema: Schema of the table.
        table_name: Name of the table.
        pool_min_size: Connections that are kept open.
        pool_max_size: Most connections.
        auto_create_table: Whether to make the table, and its schema, where it is missing.
        id_type: ``"uuid"`` or ``"text"``; `None` takes the table's, and text for a new one, so that any id fits.
        columns: Names of columns, by what they hold.
        index_type: ``"none"``, ``"hnsw"`` or ``"ivfflat"``.
        auto_create_index: Whether the store builds that index by itself.
        min_rows_for_index: At how many rows, of all domains, an IVFFlat index is built by itself.
        index_params: ``m`` and ``ef_construction``, or ``lists``.
        domain_id: The domain that the store is bound to; `None` for a store of the whole table.
        batch_size: Texts that `PgVectorStore.bulk_embed_and_store` embeds at a time.
        search_params: ``ef_search`` or ``probes`` of all searches, where the engine's own choice is not wanted.
    """

    connection_string: str | None = field(default=None, repr=False)
    dimensions: int | None = None
    metric: str | Distance = "cosine"
    schema: str = "edubot"
    table_name: str = "knowledge_embeddings"
    pool_min_size: int = 2
    pool_max_size: int = 10
    auto_create_table: bool = True
    id_type: str | None = None
    columns: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_COLUMNS))
    index_type: str = "none"
    auto_create_index: bool = False
    min_rows_for_index: int = 1000
    index_params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    domain_id: str | None = None
    batch_size: int = 100
    search_params: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.dimensions is None:
            msg = "dimensions is required: the length of the vectors, such as 768"
            raise ConfigError(msg)
        check_range(self.dimensions, "dimensions", 1, VectorType.VECTOR.max_dimensions)
        metric = Distance.parse(getattr(self.metric, "value", self.metric))
        metric.check_type(VectorType.VECTOR)
        object.__setattr__(self, "metric", metric)
        for name in ("auto_create_table", "auto_create_index"):
            check_flag(getattr(self, name), name)
        check_choice(self.id_type, "id_type", (None, *_ID_TYPES))
        check_choice(self.index_type, "index_type", _INDEX_TYPES)
        check_range(self.min_rows_for_index, "min_rows_for_index", 1, 2**63 - 1)
        check_range(self.batch_size, "batch_size", 1, _MAX_BATCH)
        object.__setattr__(self, "columns", _columns(self.columns))
        if self.domain_id is not None:
            Scope.of(self.domain_id)
        # Whatever else is wrong with them is said here, and not when they are first used.
        _ = self.pool, self.table(self.names), self.index(), self.searching

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> StoreOptions:
        """Return the options of a configuration.

        Raises:
            ConfigError: One is not known, or wrong.
        """
        if not isinstance(config, Mapping):
            msg = f"config must be a mapping of options, not {type(config).__name__}"
            raise ConfigError(msg)
        known = {option.name for option in fields(cls)}
        unknown = sorted(str(name) for name in config if name not in known)
        if unknown:
            msg = f"unknown options {unknown}; known are {sorted(known)}"
            raise ConfigError(msg)
        # `None` for an option is as good as leaving it out.
        return cls(**{name: value for name, value in config.items() if value is not None})

    @property
    def url(self) -> str | None:
        """Where the database is; `None` leaves it to the engine."""
        if self.connection_string is not None:
            return self.connection_string
        found = from_environment(("DATABASE_URL",))
        return found and found[1]

    @property
    def names(self) -> Columns:
        """The columns; what else the engine can keep in columns has none here."""
        return Columns(**self.columns, metadata_types=None, content_hash=None, envelope=None)  # pyright: ignore[reportArgumentType] - all of them are names

    @property
    def pool(self) -> PoolConfig:
        """How connections are kept."""
        return PoolConfig(min_size=self.pool_min_size, max_size=self.pool_max_size)

    @property
    def searching(self) -> SearchOptions | None:
        """What searches are told."""
        unknown = sorted(set(self.search_params) - set(_SEARCH))
        if unknown:
            msg = f"unknown search_params {unknown}; known are {list(_SEARCH)}"
            raise ConfigError(msg)
        return SearchOptions(**self.search_params) if self.search_params else None

    def index(self, kind: str | None = None, params: Mapping[str, Any] | None = None) -> Index | None:
        """Return the index of this kind, the options' own unless given; `None` for none.

        Raises:
            ConfigError: The kind is not known, or has no such parameter.
        """
        kind = self.index_type if kind is None else kind
        check_choice(kind, "index_type", _INDEX_TYPES)
        # The options' parameters are those of the options' kind.
        own = self.index_params if kind == self.index_type else {}
        chosen = own if params is None else params
        if not isinstance(chosen, Mapping):
            msg = f"index_params must be a mapping, not {type(chosen).__name__}"
            raise ConfigError(msg)
        unknown = sorted(str(name) for name in chosen if name not in _PARAMS[kind])
        if unknown:
            msg = f"an index of type {kind!r} has no parameters {unknown}; it has {list(_PARAMS[kind])}"
            raise ConfigError(msg)
        match kind:
            case "hnsw":
                return HNSW(**chosen)
            case "ivfflat":
                return IVFFlat(lists=chosen.get("lists", _LISTS))
            case _:
                return None

    def table(self, columns: Columns) -> CollectionConfig:
        """Return the table, with these columns, as the engine knows it."""
        # An IVFFlat index has to wait for its rows; HNSW is built at once, by the store.
        waits = self.auto_create_index and self.index_type == "ivfflat"
        return CollectionConfig(
            name=self.table_name,
            schema=self.schema,
            dimensions=self.dimensions,
            distance=cast("Distance", self.metric),
            id_type="uuid" if self.id_type == "uuid" else "text",
            columns=columns,
            index=self.index() if waits else None,
            min_rows_for_index=self.min_rows_for_index,
            setup="create" if self.auto_create_table else "validate",
        )


def _columns(given: object) -> Mapping[str, str]:
    if not isinstance(given, Mapping):
        msg = f"columns must be a mapping of names, not {type(given).__name__}"
        raise ConfigError(msg)
    unknown = sorted(str(name) for name in given if name not in DEFAULT_COLUMNS)
    if unknown:
        msg = f"columns has no {unknown}; it has {sorted(DEFAULT_COLUMNS)}"
        raise ConfigError(msg)
    return {**DEFAULT_COLUMNS, **cast("Mapping[str, str]", given)}
