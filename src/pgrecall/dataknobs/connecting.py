"""What every use of a store begins with: the connection, the table, and its index."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self

from pgrecall.config import MAX_K
from pgrecall.dataknobs.errors import ExtensionNotInstalled, MissingDependency, TableMissing
from pgrecall.dataknobs.options import StoreOptions
from pgrecall.errors import CollectionNotFound, ConfigError, ExtensionMissing, SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from pgrecall.build import IndexProgress
    from pgrecall.collection import AsyncClient, AsyncCollection
    from pgrecall.config import Index
    from pgrecall.dataknobs.layout import Layout
    from pgrecall.records import Extra, Record
    from pgrecall.table import VectorIndex


class Connecting:
    """A store's options, its connection and its table."""

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self._config = {} if config is None else config
        self.options = StoreOptions.of(self._config)
        """What was asked for, with the defaults of what was not."""
        self._client: AsyncClient = _client(self.options)
        self._layout: Layout | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a store with these options."""
        return cls(config)

    @staticmethod
    def describe_options() -> dict[str, Any]:
        """Return the names of all options with their defaults."""
        given = StoreOptions(dimensions=1)
        return {option.name: getattr(given, option.name) for option in fields(given) if option.name != "dimensions"}

    def __repr__(self) -> str:
        options = self.options
        bound = "" if options.domain_id is None else f", domain {options.domain_id!r}"
        return f"<{type(self).__name__} {options.schema}.{options.table_name}{bound}>"

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def config(self) -> Mapping[str, Any]:
        """The options as they were given."""
        return self._config

    @property
    def dimensions(self) -> int:
        """Length of the vectors."""
        return int(self.options.dimensions or 0)

    @property
    def metric(self) -> str:
        """How vectors are compared, in the engine's words, such as ``"cosine"`` or ``"l2"``."""
        return str(self.options.metric)

    @property
    def domain_id(self) -> str | None:
        """The domain that the store is bound to; `None` where it is of the whole table."""
        return self.options.domain_id

    @property
    def id_type(self) -> str:
        """What ids are, ``"uuid"`` or ``"text"``; before the first use, what was asked for, else text."""
        return self._layout.id_type if self._layout is not None else self.options.id_type or "text"

    async def initialize(self) -> None:
        """Make what is missing: the extension, the schema, the table, and an HNSW index that was asked for.

        Any number of processes may do so at once. An IVFFlat index that was asked for is built in the
        background, now or after the write that makes it due; see `wait_for_index`.

        Raises:
            TableMissing: There is no table, and ``auto_create_table`` is off.
            ExtensionNotInstalled: pgvector is not installed, and the role cannot install it.
            SchemaError: The table does not fit the options; the message says all that is wrong.
        """
        if self._layout is not None:
            return
        from pgrecall.dataknobs.layout import lay_out

        options = self.options
        try:
            layout = await lay_out(self._client, options)
            await self._client.get_or_create_collection(layout.rows.config)
        except CollectionNotFound as error:
            msg = f"table {options.schema}.{options.table_name} does not exist and auto_create_table is disabled"
            raise TableMissing(msg) from error
        except ExtensionMissing as error:
            raise ExtensionNotInstalled(str(error)) from error
        rows = layout.rows
        wanted = options.index() if options.auto_create_index and options.index_type == "hnsw" else None
        if wanted is not None and not _is_served(await rows.indexes(), rows):
            await _build(rows, wanted, replace=False)
        await rows.build_due_index()
        self._layout = layout

    async def close(self) -> None:
        """Close all connections; the next use opens them again.

        An index that is being built in the background is given up, and begun anew at the next use.
        """
        await self._client.close()
        self._layout = None

    async def create_index(
        self, index_type: str | None = None, params: Mapping[str, Any] | None = None, if_not_exists: bool = True
    ) -> bool:
        """Build an index, without blocking readers or writers, and return whether there was anything to build.

        Whether there is an index is read from PostgreSQL's catalog. However many processes ask at once, one
        of them builds.

        Args:
            index_type: ``"hnsw"`` or ``"ivfflat"``; that of the options unless given.
            params: ``m`` and ``ef_construction``, or ``lists``; those of the options, where they are of this
                kind, unless given.
            if_not_exists: Whether an index that there is, of whatever kind, is enough; otherwise a new one
                takes its place, once it is built.

        Raises:
            ConfigError: The kind is ``"none"`` or unknown, a parameter is wrong, or pgvector cannot index so
                many dimensions in this way.
            IndexBuildError: PostgreSQL gave the build up.
        """
        wanted = self.options.index(index_type, params)
        if wanted is None:
            msg = "index_type 'none' cannot be built; pass 'hnsw' or 'ivfflat'"
            raise ConfigError(msg)
        rows = await self._rows()
        if if_not_exists and _is_served(await rows.indexes(), rows):
            return False
        return await _build(rows, wanted, replace=not if_not_exists)

    async def wait_for_index(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - as asked for
        """Wait until no index is being built in the background, and return whether there is one.

        Args:
            timeout: Most seconds to wait; `None` for no limit.
        """
        return await (await self._rows()).wait_for_index(timeout) is not None

    async def _records(self, ids: Sequence[str], *include: Extra) -> list[Record | None]:
        """Return the record of each id; where several domains have it, that of the default one, else of the first."""
        layout = await self._ready()
        found = await (layout.target if layout.is_divided else layout.rows).get(ids, include=include)
        if layout.is_divided:
            missing = [row_id for row_id, record in zip(ids, found, strict=True) if record is None]
            others = await _elsewhere(layout.rows, missing, include)
            found = [record or others.get(row_id) for row_id, record in zip(ids, found, strict=True)]
        return found

    async def _places(self, ids: Sequence[str]) -> list[tuple[AsyncCollection, list[str]]]:
        """Return where to find records by their ids: in the default domain, and the rest in all of them."""
        layout = await self._ready()
        if not layout.is_divided:
            return [(layout.rows, list(ids))]
        found = await layout.target.get(ids)
        own = [row_id for row_id, record in zip(ids, found, strict=True) if record is not None]
        rest = [row_id for row_id, record in zip(ids, found, strict=True) if record is None]
        return [place for place in ((layout.target, own), (layout.rows, rest)) if place[1]]

    async def _ready(self) -> Layout:
        if self._layout is None:
            await self.initialize()
        if self._layout is None:
            msg = "the store was closed while it was being used"
            raise ConfigError(msg)
        return self._layout

    async def _rows(self) -> AsyncCollection:
        return (await self._ready()).rows


def _client(options: StoreOptions) -> AsyncClient:
    try:
        from pgrecall.collection import AsyncClient
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        msg = "asyncpg is not installed; install it with: pip install asyncpg"
        raise MissingDependency(msg) from error
    return AsyncClient(options.url, pool=options.pool)


def _is_served(indexes: Sequence[VectorIndex], rows: AsyncCollection) -> bool:
    """Whether searches by the store's own metric have an index of all rows."""
    return any(index.valid and index.distance is rows.config.distance and index.condition is None for index in indexes)


async def _build(rows: AsyncCollection, index: Index, *, replace: bool) -> bool:
    """Build an index, and return whether it was this call that did."""
    told: list[IndexProgress] = []
    try:
        await rows.create_index(index, replace=replace, progress=told.append)
    except SchemaError:
        # Somebody else was faster, with another kind.
        if replace or not _is_served(await rows.indexes(), rows):
            raise
    return bool(told)


async def _elsewhere(rows: AsyncCollection, ids: Sequence[str], include: Sequence[Extra]) -> dict[str, Record]:
    """Return the records with these ids in whatever domain: of several, the first by domain."""
    found: dict[str, Record] = {}
    for start in range(0, len(ids), MAX_K):
        wanted = {"$id": {"$in": list(ids[start : start + MAX_K])}}
        after: str | None = None
        while True:
            page = await rows.list(limit=MAX_K, after=after, filter=wanted, include=include)
            for record in page.records:
                found.setdefault(str(record.id), record)
            after = page.next
            if after is None:
                break
    return found
