"""The vector index that a collection builds by itself once it is worth it, in the background, after a write."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from pgrecall.collection.indexes import building, indexing
from pgrecall.config import HNSW
from pgrecall.errors import ConfigError, PermissionDenied, PGRecallError, SchemaError
from pgrecall.postgres import catalog, statistics
from pgrecall.scope import Scope
from pgrecall.sql import dml

if TYPE_CHECKING:
    from pgrecall.collection.handle import Handle
    from pgrecall.config import Index
    from pgrecall.postgres import Database, Session
    from pgrecall.table import VectorIndex

# While rows come faster than an index takes them (some hundreds a second), building would slow the load, and
# the load the index; so first let it pass, but not for ever.
_LULL_SECONDS: Final = 1.0
_LULL_ROWS: Final = 300
_MOST_LULLS: Final = 600
# After a failure that may pass, and while somebody else builds.
_RETRY_SECONDS: Final = 600.0
_BUSY_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1
_CLOSE_SECONDS: Final = 5.0

_logger: Final = logging.getLogger("pgrecall")


@dataclass(slots=True)
class _Watch:
    """What this process knows about one table that is to have an index.

    Attributes:
        inserted: Rows that this process has inserted.
        due: At how many of them to look at the table again.
        not_before: When to look again at the earliest.
        task: What looks, and builds.
    """

    inserted: int = 0
    due: float = 1
    not_before: float = 0.0
    task: asyncio.Task[None] | None = None

    def runs(self) -> bool:
        """Whether somebody looks or builds at this moment; what a closed loop has left does not."""
        return self.task is not None and not self.task.done() and not self.task.get_loop().is_closed()


def written(handle: Handle, inserted: int) -> None:
    """Take note that rows were inserted, and have the index built in the background if it is time.

    Nothing is waited for, and nothing is raised: what goes wrong in the background is logged.
    """
    config = handle.config
    if config.index is None or not inserted or config.setup == "validate" or handle.database.lent:
        return
    with _lock:
        watch = _watches.setdefault(handle.database, {}).setdefault((config.schema, config.name), _Watch())
        watch.inserted += inserted
        if watch.inserted < watch.due or time.monotonic() < watch.not_before or watch.runs():
            return
        watch.task = asyncio.create_task(_look(handle, watch), name="pgrecall builds an index by itself")


async def wait(handle: Handle, timeout: float | None) -> VectorIndex | None:  # noqa: ASYNC109
    """See `AsyncCollection.wait_for_index`."""

    async def look(session: Session) -> tuple[VectorIndex | None, bool]:
        table = await catalog.read_table(session, handle.config)
        if table is None:
            return None, False
        index = table.usable_index()
        return index, index is None and await building.is_busy(session, table)

    index = None
    try:
        async with asyncio.timeout(timeout):
            busy = True
            while busy:
                # By looking again and again, because it may be on another loop, or in another process.
                while _runs(handle):  # noqa: ASYNC110 - nobody could set an event
                    await asyncio.sleep(_POLL_SECONDS)
                index, busy = await handle.run(look)
                if busy:
                    await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        return None
    handle.knowledge.forget()
    return index


async def close(database: Database) -> None:
    """Cancel what is built by itself through *database*, and wait until it has ended."""
    here = asyncio.get_running_loop()
    with _lock:
        tasks = [watch.task for watch in _watches.pop(database, {}).values() if watch.runs()]
    for task in tasks:
        if task is None:
            continue
        loop = task.get_loop()
        if loop is here:
            task.cancel()
            await asyncio.wait([task], timeout=_CLOSE_SECONDS)
        elif loop.is_running():
            elsewhere = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_cancel(task), loop))
            await asyncio.wait([elsewhere], timeout=_CLOSE_SECONDS)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _runs(handle: Handle) -> bool:
    with _lock:
        watch = _watches.get(handle.database, {}).get((handle.config.schema, handle.config.name))
        return watch is not None and watch.runs()


async def _look(handle: Handle, watch: _Watch) -> None:
    """Build the index if it is time, and set when to look again."""
    name = f"{handle.config.schema}.{handle.config.name}"
    try:
        while watch.inserted >= watch.due:
            seen = watch.inserted
            missing = await handle.run(lambda session: _missing(handle, session))
            if not missing:
                await _lull(watch)
                await _build(handle)
                missing = handle.config.min_rows_for_index
            # Half of what is missing, because others may write too.
            watch.due = seen + math.ceil(missing / 2)
    except building.Busy:
        watch.not_before = time.monotonic() + _BUSY_SECONDS
        _logger.debug("the index of %s is being built by somebody else", name)
    except (ConfigError, PermissionDenied, SchemaError) as error:
        watch.due = math.inf
        _logger.warning("%s gets no index by itself: %s", name, error)
    except PGRecallError as error:
        watch.not_before = time.monotonic() + _RETRY_SECONDS
        _logger.warning("the index of %s could not be built by itself, and will be tried again: %s", name, error)
    except Exception:
        watch.due = math.inf
        _logger.exception("the index of %s could not be built by itself", name)


async def _missing(handle: Handle, session: Session) -> int:
    """Return how many rows to wait for; none where there are enough of them, and no index."""
    enough = handle.config.min_rows_for_index
    building.require_direct(session)
    table = await catalog.read_table(session, handle.config)
    if table is None or table.usable_index() is not None:
        return enough
    # Counting is for when it is close; otherwise an estimate does.
    about = await statistics.estimated_rows(session, table)
    if about is not None and about >= 2 * enough:
        return 0
    if about is not None and 2 * about <= enough:
        return enough - about
    if table.secured and not table.owned:
        return enough  # others' rows cannot be counted, nor may an index be built
    everything = replace(handle.selection(session, table), scope=Scope.everything(), filter=None)
    return enough - await session.fetch_value(dml.count_up_to(everything, enough))


async def _lull(watch: _Watch) -> None:
    for _ in range(_MOST_LULLS):
        seen = watch.inserted
        await asyncio.sleep(_LULL_SECONDS)
        if watch.inserted - seen < _LULL_ROWS * _LULL_SECONDS:
            return


async def _build(handle: Handle) -> None:
    index = _kind(handle)
    began = time.monotonic()
    built = await indexing.create_index(handle, index, replace=False, wait=False)
    took = time.monotonic() - began
    _logger.info("%s.%s has the index %s, built in %.1f s", handle.config.schema, handle.config.name, built.name, took)


def _kind(handle: Handle) -> Index:
    return HNSW() if handle.config.index in (None, "auto") else handle.config.index


_lock = threading.Lock()
_watches: WeakKeyDictionary[Database, dict[tuple[str, str], _Watch]] = WeakKeyDictionary()
# What ran when this process was forked is the parent's; to finalise its tasks here would make them complain.
_inherited: Final[list[object]] = []


def _after_fork() -> None:
    global _lock, _watches
    _inherited.append(_watches)
    _lock, _watches = threading.Lock(), WeakKeyDictionary()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
