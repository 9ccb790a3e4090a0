"""What an adapter's constructor is given, to one collection that serves both kinds of callers."""

from __future__ import annotations

from typing import Final

from pgrecall.checks import check_instance
from pgrecall.collection.blocking.client import Client
from pgrecall.collection.blocking.collection import Collection
from pgrecall.collection.client import AsyncClient
from pgrecall.collection.collection import AsyncCollection
from pgrecall.config import CollectionConfig
from pgrecall.errors import ConfigError
from pgrecall.scope import DEFAULT_DOMAIN, UNSET, Unset

DEFAULT_COLLECTION: Final = "documents"
"""The table that all adapters use unless told otherwise, so that each finds what another wrote."""

CollectionLike = str | CollectionConfig | Collection | AsyncCollection
ClientLike = Client | AsyncClient


def open_collection(
    collection: CollectionLike,
    *,
    url: str | None = None,
    client: ClientLike | None = None,
    domain: str | Unset = UNSET,
) -> tuple[Collection, AsyncClient | None]:
    """Return the collection, and the client that was made for it and is to be closed with it, if any.

    Nothing is connected yet.

    Args:
        collection: Its name, its configuration, or a handle on it.
        url: Where the database is; see `AsyncClient`.
        client: A client that is open already, instead of a URL.
        domain: The domain to bind the handle to; ``"default"``, or that of the handle, unless given.

    Raises:
        ConfigError: A handle was given together with a URL or a client, or both of those; or the domain is `None`,
            or cannot be one.
    """
    if isinstance(collection, AsyncCollection | Collection):
        if url is not None or client is not None:
            msg = "a collection that is open already needs neither url nor client"
            raise ConfigError(msg)
        handle = collection if isinstance(collection, Collection) else Collection(collection)
        return handle if domain is UNSET else handle.domain(domain), None
    if not isinstance(collection, str | CollectionConfig):
        msg = f"collection must be a name, a CollectionConfig or a collection, not {type(collection).__name__}"
        raise ConfigError(msg)
    opened, made = open_client(url, client)
    bound = opened.collection(collection, domain=DEFAULT_DOMAIN if domain is UNSET else domain)
    return Collection(bound), made


def open_client(url: str | None, client: ClientLike | None) -> tuple[AsyncClient, AsyncClient | None]:
    """Return the client, and once more where it was made here and is to be closed by whoever has it.

    Raises:
        ConfigError: Both a URL and a client were given.
    """
    if url is not None and client is not None:
        msg = "pass either url or client, not both"
        raise ConfigError(msg)
    if client is not None:
        check_instance(client, "client", ClientLike, "a Client or an AsyncClient")
        return client.asynchronous if isinstance(client, Client) else client, None
    made = AsyncClient(url)
    return made, made
