"""Work on what a stream gives, several at a time, with the results in its order."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

T = TypeVar("T")
R = TypeVar("R")


async def several(
    stream: AsyncGenerator[T], work: Callable[[T], Coroutine[object, object, R]], most: int
) -> AsyncGenerator[R]:
    """Yield what *work* makes of each part of *stream*, in the order of the stream.

    While a result is being taken, *most* of the next are worked on, and no more of the stream is read: whoever
    takes the results slowly has it wait. What the stream raises is raised behind the results of what it gave
    before. Leaving early cancels what is being worked on, and closes the stream.

    Args:
        stream: The parts.
        work: What to do with one of them.
        most: How many are worked on at a time.
    """
    waiting: deque[asyncio.Task[R]] = deque()
    failed: Exception | None = None
    try:
        async with aclosing(stream):
            while True:
                try:
                    part = await anext(stream)
                except StopAsyncIteration:
                    break
                except Exception as error:  # noqa: BLE001 - raised below, once what stands before it is passed on
                    failed = error
                    break
                done = [await waiting.popleft()] if len(waiting) >= most else []
                waiting.append(asyncio.create_task(work(part), name="pgrecall works ahead"))
                for result in done:
                    yield result
        while waiting:
            yield await waiting.popleft()
        if failed is not None:
            raise failed
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
