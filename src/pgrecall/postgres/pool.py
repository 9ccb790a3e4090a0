"""One event loop's connections, kept at hand between operations.

asyncpg's pool hands a connection out and takes it back at the price of several turns of the loop, a tenth
of what a search takes. So connections that an operation has ended well on stay here, the last one used on
top; all others go back to asyncpg's pool, which knows how to mend or replace them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import asyncpg

from pgrecall.errors import ConnectionFailed
from pgrecall.postgres.failures import without_secrets
from pgrecall.postgres.session import Session
from pgrecall.sql.dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from asyncpg.pool import PoolConnectionProxy

    from pgrecall.pooling import PoolConfig
    from pgrecall.server import Server

_IDLE_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 5.0
# What a connection takes to be mended after a failure: a round trip or two. A silent network takes for ever.
_MEND_SECONDS: Final = 5.0


class LoopPool:
    """The connections of one event loop to one server.

    Attributes:
        server: What they are connected to.
    """

    def __init__(self, pool: asyncpg.Pool, server: Server, config: PoolConfig) -> None:
        self.server = server
        self._pool = pool
        self._dialect = Dialect(server.vector_schema)
        self._room = asyncio.Semaphore(config.max_size)
        self._config = config
        self._idle: list[tuple[float, Session]] = []
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._releasing: set[asyncio.Task[None]] = set()
        self._guard = self._until_loop_ends()

    async def start(self) -> LoopPool:
        """Have the loop close this pool before it ends, and return the pool."""
        await anext(self._guard)
        return self

    async def take(self) -> Session:
        """Return a connection that nobody else has; wait for one where all are taken.

        Raises:
            ConnectionFailed: All stayed taken for longer than ``acquire_timeout``, or a new one could not be
                made in ``connect_timeout``.
        """
        if self._config.acquire_timeout is None or not self._room.locked():
            await self._room.acquire()
        else:
            await self._wait_for_room(self._config.acquire_timeout)
        try:
            while self._idle:
                _, session = self._idle.pop()
                if _is_open(session):
                    return session
                await self._release(session)
            connection = await self._acquire()
        except BaseException:
            self._room.release()
            raise
        return Session(
            server=self.server,
            dialect=self._dialect,
            direct=not self.server.pooled,
            connection=connection,  # pyright: ignore[reportArgumentType] - a proxy, with the same methods
            patience=_MEND_SECONDS,
        )

    async def _wait_for_room(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
        except TimeoutError:
            msg = (
                f"no connection was free within acquire_timeout ({seconds:g} seconds): all {self._config.max_size} "
                "are in use; raise max_size of the PoolConfig, or do less at once"
            )
            raise ConnectionFailed(msg) from None

    async def _acquire(self) -> PoolConnectionProxy:
        try:
            return await self._pool.acquire()
        except TimeoutError as error:
            msg = f"the server did not answer within connect_timeout ({self._config.connect_timeout:g} seconds)"
            raise ConnectionFailed(msg) from without_secrets(error)
        except Exception as error:  # noqa: BLE001 - it is raised again
            raise without_secrets(error) from error.__cause__

    async def _release(self, session: Session) -> None:
        """Give a connection to asyncpg's pool; one that cannot be mended is cut there, and replaced."""
        # What ended the operation matters to the caller, and not that its connection is lost too.
        with suppress(TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError, OSError):
            await self._pool.release(session.connection, timeout=_MEND_SECONDS)

    async def give_back(self, session: Session, *, well: bool) -> None:
        """Take a connection back.

        Args:
            session: What `take` returned.
            well: Whether what was done on it ended well, so that nothing about it needs mending.
        """
        try:
            open_ = well and not self._closed and _is_open(session)
            if open_ and not session.connection.is_in_transaction():
                self._idle.append((self._loop.time(), session))
                if self._timer is None:
                    self._timer = self._loop.call_later(_IDLE_SECONDS, self._trim)
            else:
                await self._release(session)
        finally:
            self._room.release()

    async def close(self) -> None:
        """Close all connections, also those in use after a while."""
        await self._guard.aclose()

    def _trim(self) -> None:
        """Give connections that nobody has needed for a while to asyncpg's pool, which closes them in time."""
        self._timer = None
        latest = self._loop.time() - _IDLE_SECONDS
        while self._idle and self._idle[0][0] <= latest:
            _, session = self._idle.pop(0)
            task = self._loop.create_task(self._release(session))
            self._releasing.add(task)
            task.add_done_callback(self._releasing.discard)
        if self._idle and not self._closed:
            self._timer = self._loop.call_later(_IDLE_SECONDS, self._trim)

    async def _until_loop_ends(self) -> AsyncGenerator[None]:
        """Close the pool when this generator is closed: by `close`, or by the loop, which does so before it ends."""
        try:
            yield
        finally:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            try:
                await asyncio.wait_for(self._close_all(), _CLOSE_SECONDS)
            except (TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError, OSError):
                self._pool.terminate()

    async def _close_all(self) -> None:
        while self._idle:
            _, session = self._idle.pop()
            await self._release(session)
        await self._pool.close()


def _is_open(session: Session) -> bool:
    """Whether the connection lives; asyncpg detaches one that was lost, and then refuses to say."""
    try:
        return not session.connection.is_closed()
    except asyncpg.InterfaceError:
        return False
