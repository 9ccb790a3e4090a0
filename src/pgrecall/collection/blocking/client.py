"""`Client`: the same verbs for callers without an event loop.

Every method is its asynchronous twin, run on the process's portal; a test holds the signatures equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pgrecall import portal
from pgrecall.collection.blocking.collection import Collection
from pgrecall.collection.blocking.inspecting import Inspection
from pgrecall.collection.client import AsyncClient
from pgrecall.collection.namespaces.blocking import KeyValues
from pgrecall.scope import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from types import TracebackType

    from pgrecall.config import CollectionConfig
    from pgrecall.pooling import PoolConfig
    from pgrecall.records import Match, Record
    from pgrecall.server import Server

    Names = list[str]
    Records = list[Record | None]
    Matches = list[Match]
    RecordLists = list[list[Record]]


class Client(Inspection):
    """`AsyncClient` for blocking callers. It may be used from any thread, also within a running loop."""

    def __init__(self, url: str | None = None, *, pool: PoolConfig | None = None) -> None:
        self.asynchronous = AsyncClient(url, pool=pool)
        """The client that does the work; it may be used beside this one."""

    def __repr__(self) -> str:
        return repr(self.asynchronous).replace("AsyncClient", "Client", 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """See `AsyncClient.close`."""
        portal.close(self.asynchronous.close())

    def server(self) -> Server:
        """See `AsyncClient.server`."""
        return portal.call(self.asynchronous.server())

    def collection(self, config: CollectionConfig | str, *, domain: str = DEFAULT_DOMAIN) -> Collection:
        """See `AsyncClient.collection`."""
        return Collection(self.asynchronous.collection(config, domain=domain))

    def create_collection(
        self, config: CollectionConfig | str, *, dimensions: int | None = None, domain: str = DEFAULT_DOMAIN
    ) -> Collection:
        """See `AsyncClient.create_collection`."""
        return Collection(
            portal.call(self.asynchronous.create_collection(config, dimensions=dimensions, domain=domain))
        )

    def get_collection(self, config: CollectionConfig | str, *, domain: str = DEFAULT_DOMAIN) -> Collection:
        """See `AsyncClient.get_collection`."""
        return Collection(portal.call(self.asynchronous.get_collection(config, domain=domain)))

    def get_or_create_collection(
        self, config: CollectionConfig | str, *, dimensions: int | None = None, domain: str = DEFAULT_DOMAIN
    ) -> Collection:
        """See `AsyncClient.get_or_create_collection`."""
        return Collection(
            portal.call(self.asynchronous.get_or_create_collection(config, dimensions=dimensions, domain=domain))
        )

    def key_values(self, namespace: str, *, domain: str = DEFAULT_DOMAIN, schema: str = "public") -> KeyValues:
        """See `AsyncClient.key_values`."""
        return KeyValues(self.asynchronous.key_values(namespace, domain=domain, schema=schema))

    def list_collections(self, *, schema: str = "public") -> Names:
        """See `AsyncClient.list_collections`."""
        return portal.call(self.asynchronous.list_collections(schema=schema))

    def create_alias(self, alias: str, collection: str, *, schema: str = "public") -> None:
        """See `AsyncClient.create_alias`."""
        portal.call(self.asynchronous.create_alias(alias, collection, schema=schema))

    def switch_alias(self, alias: str, collection: str, *, schema: str = "public") -> str:
        """See `AsyncClient.switch_alias`."""
        return portal.call(self.asynchronous.switch_alias(alias, collection, schema=schema))

    def drop_alias(self, alias: str, *, schema: str = "public") -> None:
        """See `AsyncClient.drop_alias`."""
        portal.call(self.asynchronous.drop_alias(alias, schema=schema))

    def list_aliases(self, *, schema: str = "public") -> dict[str, str]:
        """See `AsyncClient.list_aliases`."""
        return portal.call(self.asynchronous.list_aliases(schema=schema))

    def open_alias(
        self,
        alias: str,
        *,
        config: CollectionConfig | None = None,
        domain: str = DEFAULT_DOMAIN,
        schema: str = "public",
    ) -> Collection:
        """See `AsyncClient.open_alias`."""
        opened = self.asynchronous.open_alias(alias, config=config, domain=domain, schema=schema)
        return Collection(portal.call(opened))

    def rename_collection(self, name: str, new_name: str, *, schema: str = "public") -> None:
        """See `AsyncClient.rename_collection`."""
        portal.call(self.asynchronous.rename_collection(name, new_name, schema=schema))

    def delete_collection(self, name: str, *, schema: str = "public", adopted: bool = False) -> None:
        """See `AsyncClient.delete_collection`."""
        portal.call(self.asynchronous.delete_collection(name, schema=schema, adopted=adopted))
