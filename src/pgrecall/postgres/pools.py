"""Connection pools of ours, one for each event loop, that survive forks and the end of their loops."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import asyncpg

from pgrecall import embedded
from pgrecall.errors import ConnectionFailed, PGRecallError
from pgrecall.postgres import codecs
from pgrecall.postgres.address import OfThisProcess
from pgrecall.postgres.failures import translate, without_secrets
from pgrecall.postgres.pool import LoopPool
from pgrecall.postgres.probe import keeps_prepared_statements, probe

if TYPE_CHECKING:
    from types import TracebackType

    from pgrecall.pooling import PoolConfig
    from pgrecall.postgres.address import Address
    from pgrecall.postgres.session import Session
    from pgrecall.server import Server

# What searching wants of the planner: without the first, PostgreSQL reads small tables of large vectors
# from end to end instead of using the index; compiling a query takes longer than running it.
_SETTINGS: Final = {"random_page_cost": "1.1", "jit": "off", "application_name": "pgrecall"}
_STATEMENT_CACHE: Final = 256
_HIGH_PAGE_COST: Final = 2.0
_UNKNOWN_PARAMETER: Final = "unsupported startup parameter"

_OTHER_LOOP_SECONDS: Final = 1.0

_logger: Final = logging.getLogger("pgrecall.postgres")
_everyone: Final[WeakSet[Pools]] = WeakSet()
# What was open when this process was forked belongs to the parent; to finalise it here would write on the
# parent's sockets, so it is kept as it is.
_inherited: Final[list[object]] = []


class _Connection(asyncpg.Connection):
    """A connection that is given back without a round trip: nothing here leaves session state behind."""

    __slots__ = ()

    def get_reset_query(self) -> str:
        return ""


class _Maker:
    """Makes a pool's connections, without the pool knowing the password.

    A pool replaces lost connections on its own account, and logs why it could not, with all frames.
    """

    __slots__ = ("_arguments",)

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments

    async def connect(self, _url: object, **given: Any) -> asyncpg.Connection:
        """Return a new connection, for a pool that knows no URL, and wants it to be as *given*."""
        try:
            return await asyncpg.connect(**self._arguments, **given)
        except BaseException as error:  # noqa: BLE001 - it is raised again
            raise without_secrets(error) from error.__cause__


class Pools(OfThisProcess):
    """The pools of one client: where its sessions come from."""

    repeatable = True

    def __init__(self, address: Address, config: PoolConfig) -> None:
        # Looked up here because it registers an exit handler, which must come before the portal's: handlers
        # run in reverse, and pools close before the server does.
        self._start = embedded.start if address.url is None else None
        self.address = address
        self._config = config
        self._lock = threading.Lock()
        _everyone.add(self)
        self._opened: dict[asyncio.AbstractEventLoop, asyncio.Task[LoopPool]] = {}
        self._draining: set[asyncio.Task[None]] = set()
        self._embedded: embedded.EmbeddedServer | None = None

    def session(self) -> AbstractAsyncContextManager[Session]:
        """Return a context manager that lends a connection of the running loop's pool.

        Entering it raises `ConnectionFailed` where no server answers, or it refuses.
        """
        return _Lease(self)

    async def opened(self) -> LoopPool:
        """Return the running loop's pool, opened if need be."""
        loop = asyncio.get_running_loop()
        task = self._opened.get(loop)
        if task is not None and _is_open(task):
            return task.result()
        with self._lock:
            task = self._opened.get(loop)
            if task is None or (task.done() and not _is_open(task)):
                for closed in [other for other in self._opened if other.is_closed()]:
                    del self._opened[closed]
                task = self._opened[loop] = loop.create_task(self._connect(), name="pgrecall opens a pool")
        # One caller's cancellation must not take the pool from the others who wait for it.
        return await asyncio.shield(task)

    async def refresh(self) -> None:
        """Connect anew if the extension was missing: connections that were opened before do not know its types.

        What runs on the old connections ends in its own time.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            task = self._opened.get(loop)
            if task is None or not _is_open(task) or task.result().server.vector_version is not None:
                return
            del self._opened[loop]
        draining = loop.create_task(_finish(task), name="pgrecall closes a pool")
        self._draining.add(draining)
        draining.add_done_callback(self._draining.discard)

    async def close(self) -> None:
        """Close the pools of all loops, and give up the embedded server."""
        with self._lock:
            opened, self._opened = self._opened, {}
            server, self._embedded = self._embedded, None
        here = asyncio.get_running_loop()
        for loop, task in opened.items():
            if loop is here:
                await _finish(task)
            elif loop.is_running():
                # Not for ever: that loop may itself be waiting for us, and closes its pool when it goes on.
                elsewhere = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_finish(task), loop))
                await asyncio.wait([elsewhere], timeout=_OTHER_LOOP_SECONDS)
        if server is not None:
            try:
                await asyncio.to_thread(server.close)
            except RuntimeError:  # the interpreter is exiting and starts no more threads
                server.close()

    def leave_behind(self) -> None:
        """Forget, in a child after a fork, what is the parent's: its pools, and a lock that nobody here holds."""
        _inherited.append(self._opened)
        self._opened = {}
        self._lock = threading.Lock()

    async def _connect(self) -> LoopPool:
        arguments = await self._arguments()
        try:
            server, arguments = await self._look(arguments)

            async def prepare(connection: asyncpg.Connection) -> None:
                await codecs.register(connection, server)

            pool = await asyncpg.create_pool(
                min_size=self._config.min_size,
                max_size=self._config.max_size,
                connect=_Maker(arguments).connect,
                connection_class=_Connection,
                init=prepare,
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
            failed = self._unreachable(error)
            failed.__cause__ = None if _shows_the_url(error) else without_secrets(error)
        else:
            return await LoopPool(pool, server, self._config).start()
        # Out here it has no context either.
        raise failed

    async def _arguments(self) -> dict[str, Any]:
        url = self.address.url
        if self._start is not None:
            if self._embedded is None:
                # Starting takes a second, which the loop must not wait for.
                self._embedded = await asyncio.to_thread(self._start, self.address.path)
            url = self._embedded.url
        return {
            "dsn": url,
            "timeout": self._config.connect_timeout,
            "command_timeout": self._config.command_timeout,
            "statement_cache_size": _STATEMENT_CACHE,
            "server_settings": {**_SETTINGS, **self._config.server_settings},
        }

    async def _look(self, arguments: dict[str, Any]) -> tuple[Server, dict[str, Any]]:
        """Return what the server is, and the arguments with which it takes connections."""
        refused = False
        # A statement cache before we know who is there could meet a pooler that mixes sessions up.
        first: dict[str, Any] = {**arguments, "statement_cache_size": 0}
        try:
            connection = await asyncpg.connect(**first)
        except asyncpg.PostgresError as error:
            if _UNKNOWN_PARAMETER not in str(error):
                raise
            refused = True
            first["server_settings"] = {}
            connection = await asyncpg.connect(**first)
        try:
            server = await probe(connection, refused_settings=refused)
            prepared = self._config.prepared_statements
            if prepared is None:
                prepared = not server.pooled or await keeps_prepared_statements(connection)
        finally:
            await connection.close()
        if server.random_page_cost > _HIGH_PAGE_COST:
            _logger.warning(
                "random_page_cost is %g, with which PostgreSQL prefers reading whole tables to using vector indexes; "
                "have it set once: ALTER ROLE %s SET random_page_cost = 1.1",
                server.random_page_cost,
                server.user,
            )
        if server.pooled:
            arguments = {**arguments, "server_settings": {}}
        return server, arguments if prepared else {**arguments, "statement_cache_size": 0}

    def _unreachable(self, error: Exception) -> PGRecallError:
        if isinstance(error, TimeoutError):
            said = f"no answer within {self._config.connect_timeout:g} seconds"
        elif _shows_the_url(error):
            said = "the URL cannot be used"
        else:
            said = str(error) or type(error).__name__
        if isinstance(error, asyncpg.TooManyConnectionsError):
            return translate(error)
        mapped = translate(error) if isinstance(error, asyncpg.PostgresError) else None
        if mapped is not None and not isinstance(mapped, ConnectionFailed):
            return mapped
        return ConnectionFailed(f"cannot connect to {self.address}: {said}")


class _Lease:
    """One session, from when it is entered until it is left."""

    __slots__ = ("_pool", "_pools", "_session")

    def __init__(self, pools: Pools) -> None:
        self._pools = pools

    async def __aenter__(self) -> Session:
        self._pool = await self._pools.opened()
        self._session = await self._pool.take()
        return self._session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.give_back(self._session, well=error is None)


def _shows_the_url(error: Exception) -> bool:
    """Whether the text of *error* has parts of the URL, in which a password may be; a bad certificate's has not."""
    return isinstance(error, ValueError) and not isinstance(error, OSError)


def _is_open(task: asyncio.Task[LoopPool]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _after_fork() -> None:
    for pools in list(_everyone):
        pools.leave_behind()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


async def _finish(task: asyncio.Task[LoopPool]) -> None:
    """Close the pool that *task* opens or has opened."""
    try:
        pool = await task
    except (Exception, asyncio.CancelledError):  # noqa: BLE001 - told already to whoever wanted to use it
        return
    with suppress(PGRecallError, asyncio.CancelledError):
        await pool.close()
