"""A blocking iterable as the source of something that runs on the portal: its items are made in the caller's thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable
from contextlib import suppress
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from pgrecall import portal
from pgrecall.errors import PortalError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
    from concurrent.futures import Future

T = TypeVar("T")
# Crossing between threads takes as long as making a few items.
_ITEMS: Final = 256


class Feed:
    """Hands the items of a blocking source over to the portal, some at a time, as they are asked for.

    Args:
        source: The items, or a function that returns them from a position on.
    """

    def __init__(self, source: Iterable[Any] | Callable[[int], Iterable[Any]]) -> None:
        self._source = source
        self._wanted: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[Any], int] | None] = SimpleQueue()

    async def items(self, start: int) -> AsyncGenerator[Any]:
        """Return the items from *start* on; on the portal."""
        loop = asyncio.get_running_loop()
        while True:
            answer: asyncio.Future[Any] = loop.create_future()
            self._wanted.put((loop, answer, start))
            part = await answer
            if isinstance(part, AsyncIterable):
                # A function of the position may return what is asynchronous after all.
                async for item in cast("AsyncIterable[Any]", part):
                    yield item
                return
            if not part:
                return
            for item in part:
                yield item

    def serve(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine*, which takes `items`, on the portal, and make the items here until it has ended."""
        ended = portal.submit(coroutine)
        ended.add_done_callback(lambda _: self._wanted.put(None))
        iterator: Iterator[Any] | None = None
        try:
            while (wanted := self._wanted.get()) is not None:
                loop, answer, start = wanted
                try:
                    source = self._begun(start) if iterator is None else None
                    if isinstance(source, AsyncIterable):
                        part: Any = source
                    else:
                        iterator = iter(source) if source is not None else iterator
                        part = list(islice(cast("Iterator[Any]", iterator), _ITEMS))
                except Exception as error:  # noqa: BLE001 - raised where the items are taken
                    loop.call_soon_threadsafe(_fail, answer, error)
                else:
                    loop.call_soon_threadsafe(_give, answer, part)
        except BaseException:
            # Ctrl-C, or a portal that is closing: the work ends with whoever waits for it.
            ended.cancel()
            raise
        return _result(ended)

    def _begun(self, start: int) -> Iterable[Any] | AsyncIterable[Any]:
        if callable(self._source) and not isinstance(self._source, Iterable):
            return self._source(start)
        return islice(cast("Iterable[Any]", self._source), start, None)


def _result(ended: Future[T]) -> T:
    if ended.cancelled():
        msg = "the call was cancelled: the interpreter, or pgrecall's background loop, is shutting down"
        raise PortalError(msg)
    return ended.result()


def _give(answer: asyncio.Future[Any], part: object) -> None:
    with suppress(asyncio.InvalidStateError):
        answer.set_result(part)


def _fail(answer: asyncio.Future[Any], error: Exception) -> None:
    if isinstance(error, StopIteration):
        error = RuntimeError("the source raised StopIteration")
    with suppress(asyncio.InvalidStateError):
        answer.set_exception(error)
