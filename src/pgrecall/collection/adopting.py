"""Tables that another store has made: found, and opened where they are, or copied from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from pgrecall.collection.opening import open_client
from pgrecall.columns import Columns
from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pgrecall.collection.blocking.collection import Collection
    from pgrecall.collection.client import AsyncClient
    from pgrecall.collection.collection import AsyncCollection
    from pgrecall.collection.opening import ClientLike
    from pgrecall.collection.writing.copying import CopyReport
    from pgrecall.records import Record

    Find = Callable[[AsyncClient], Awaitable[AsyncCollection]]

T = TypeVar("T")
THEIRS: Final = Columns(
    domain_id=None,
    document_id=None,
    chunk_index=None,
    metadata_types=None,
    created_at=None,
    content_hash=None,
    envelope=None,
)
"""The columns of tables that others have made: one that is called like one of ours alone is not meant as that."""
COPYING: Final = ("batch_size", "after", "verify", "progress")
"""What a copy takes beside source, target and conversion; see `AsyncCollection.copy_to`."""


async def adopt(
    find: Find,
    make: Callable[[AsyncCollection, AsyncClient | None], T],
    *,
    url: str | None,
    client: ClientLike | None,
) -> T:
    """Return what *make* makes of the collection that *find* finds, and of the client to close with it, if any.

    Where one of them fails, what was opened is closed.
    """
    opened, made = open_client(url, client)
    try:
        return make(await find(opened), made)
    except BaseException:
        if made is not None:
            await made.close()
        raise


async def copy_found(
    find: Find,
    target: Collection,
    own: AsyncClient | None,
    *,
    url: str | None,
    client: ClientLike | None,
    convert: Callable[[Record], Record],
    **options: Any,
) -> CopyReport:
    """Copy the collection that *find* finds into *target*.

    Args:
        find: Finds the source.
        target: Where to.
        own: The client that the target's store made itself, and in whose database is looked unless told otherwise.
        url: Where to look.
        client: A client that is open already, instead of *url*.
        convert: Makes of each record that is read the one that is written.
        **options: Those of `COPYING`.

    Raises:
        ConfigError: It was not said in which database to look.
    """
    if url is None and client is None:
        client = own
        if client is None:
            msg = "this store's client is the caller's: pass url or client, to say where to copy from"
            raise ConfigError(msg)
    opened, made = open_client(url, client)
    try:
        found = await find(opened)
        return await found.copy_to(target, convert=convert, **options)
    finally:
        if made is not None:
            await made.close()
