"""Functions of the caller's, called in threads."""

import asyncio
import contextvars

import pytest

from pgrecall.calling import in_thread

NAME = contextvars.ContextVar("name", default="nobody")


async def test_function_is_called_in_the_callers_context():
    NAME.set("caller")
    assert await in_thread(lambda greeting: f"{greeting}, {NAME.get()}", "hello") == "hello, caller"


async def test_function_that_raises_stop_iteration_leaves_nobody_waiting():
    with pytest.raises(RuntimeError, match="__next__ raised StopIteration"):
        await asyncio.wait_for(in_thread(iter(()).__next__), 10)
