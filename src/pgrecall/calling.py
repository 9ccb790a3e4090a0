"""Calling functions of the caller's that may block, such as models, without holding up the loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what *function* returns, called in a thread, in the context of the caller.

    Raises:
        RuntimeError: It raised `StopIteration`, which no future can hold: whoever waits for it would wait for ever.
        Exception: What else it raised.
    """

    def call() -> T:
        try:
            return function(*args, **kwargs)
        except StopIteration as error:
            msg = f"{getattr(function, '__name__', function)!s:.80} raised StopIteration"
            raise RuntimeError(msg) from error

    return await asyncio.to_thread(call)
