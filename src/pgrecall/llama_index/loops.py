"""Event loops that LlamaIndex makes for one call.

Where a loop is running already, LlamaIndex runs coroutines on a new one, in a new thread, and closes that without
having it finish what it holds, as `asyncio.run` would: connections that were opened there stayed open.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

if TYPE_CHECKING:
    from pgrecall.collection import AsyncCollection, Collection

_known: Final[WeakSet[asyncio.AbstractEventLoop]] = WeakSet()


def on_this_loop(collection: Collection) -> AsyncCollection:
    """Return the asynchronous form of *collection*, for the loop that is running, which will end in order."""
    loop = asyncio.get_running_loop()
    if loop not in _known:
        _known.add(loop)
        _finish_before_closing(loop)
    return collection.asynchronous


def _finish_before_closing(loop: asyncio.AbstractEventLoop) -> None:
    close = loop.close

    def finish_and_close() -> None:
        # Pools close when the loop's generators are; after `asyncio.run` there are none left.
        if not loop.is_closed() and not loop.is_running():
            loop.run_until_complete(loop.shutdown_asyncgens())
        close()

    # A loop written in C, as uvloop's, does not let itself be changed; LlamaIndex makes none of those by itself.
    with suppress(AttributeError):
        loop.close = finish_and_close
