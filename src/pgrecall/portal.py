"""One background thread with one event loop, on which blocking callers run their coroutines.

It starts at the first blocking call, is shared by all clients of the process, is left behind by a fork
(the child starts its own), and is closed, with everything that was opened on it, when the interpreter
exits. Users of the asynchronous classes never meet it.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pgrecall.errors import PortalError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

T = TypeVar("T")
_CLOSE_SECONDS: Final = 10.0
_CLOSING: Final = "the call was cancelled: the interpreter, or pgrecall's background loop, is shutting down"


class _Turn(Generic[T]):
    """One coroutine on its way through the portal.

    It does what `asyncio.run_coroutine_threadsafe` and the waiting for its future do, in two thirds of the
    time: a search takes a millisecond, so the difference shows.
    """

    __slots__ = ("_coroutine", "_done", "_loop", "_task")

    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._task: asyncio.Task[T] | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def start(self) -> None:
        """Start the coroutine; on the loop, in the waiting thread's context."""
        self._task = self._loop.create_task(self._coroutine)
        self._task.add_done_callback(lambda _: self._done.release())

    def wait(self) -> None:
        """Wait until the coroutine has ended; in the waiting thread."""
        self._done.acquire()

    def cancel(self) -> None:
        """Cancel the coroutine; on the loop."""
        if self._task is not None:
            self._task.cancel()

    def result(self) -> T:
        """Return, or raise, what the coroutine did."""
        if self._task is None or self._task.cancelled():
            raise PortalError(_CLOSING)
        return self._task.result()


class Portal:
    """A thread whose loop runs coroutines for other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="pgrecall portal", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            # Python 3.12 starts no thread once the interpreter has begun to end.
            self._loop.close()
            raise PortalError(_CLOSING) from None

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what *coroutine* returns; it sees the caller's context variables.

        An interrupt (Ctrl-C) of the waiting thread cancels it.

        Raises:
            PortalError: The caller runs on the portal itself, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            msg = (
                "a blocking method was called from code that pgrecall itself runs on its background loop, and would "
                "wait for itself; use the asynchronous method there"
            )
            raise PortalError(msg)
        turn = _Turn(self._loop, coroutine)
        try:
            self._loop.call_soon_threadsafe(turn.start)
        except RuntimeError:
            coroutine.close()
            raise PortalError(_CLOSING) from None
        try:
            turn.wait()
        except BaseException:
            # Ctrl-C, or whatever else ends the wait, ends the work too.
            self._loop.call_soon_threadsafe(turn.cancel)
            raise
        return turn.result()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start *coroutine*, which sees the caller's context variables, and return its future.

        Raises:
            PortalError: The caller runs on the portal itself.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            msg = "a blocking method was called from code that pgrecall itself runs; use the asynchronous one there"
            raise PortalError(msg)
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self) -> None:
        """End the loop: what runs on it is cancelled, what was opened on it is closed."""
        if self._loop.is_closed() or not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_SECONDS)

    def _serve(self) -> None:
        try:
            # The Runner's end is what cancels tasks and finalises generators: pools close there.
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.get_loop().run_forever()
        except RuntimeError:
            # The last that it does is to start a thread, which waits for those that the loop has started. Python 3.12
            # starts none once the interpreter has begun to end, and has waited for them itself by then.
            if sys.version_info[:2] != (3, 12) or not self._loop.is_closed():
                raise


_lock = threading.Lock()
_portal: Portal | None = None
_ended = False


def call(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* on the process's portal and return its result; see `Portal.call`.

    Raises:
        PortalError: It would wait for itself, or the interpreter ends.
    """
    return _shared_for(coroutine).call(coroutine)


def close(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run *coroutine*, which closes something, unless the end of the interpreter has closed everything already."""
    if _ended:
        coroutine.close()
    else:
        call(coroutine)


def submit(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Start *coroutine* on the process's portal; see `Portal.submit`."""
    return _shared_for(coroutine).submit(coroutine)


def _shared_for(coroutine: Coroutine[Any, Any, Any]) -> Portal:
    try:
        return _shared()
    except PortalError:
        coroutine.close()
        raise


def _shared() -> Portal:
    global _portal  # noqa: PLW0603 - the one thread that a process has
    if _portal is None:
        with _lock:
            if _portal is None:
                _portal = Portal()
                # After the embedded server's own handler, hence run before it: pools close first.
                atexit.register(_close)
    return _portal


def _close() -> None:
    global _portal, _ended
    portal, _portal, _ended = _portal, None, True
    if portal is not None:
        portal.close()


def _after_fork() -> None:
    """Forget the parent's portal: its thread is not here."""
    global _lock, _portal  # noqa: PLW0603
    if _portal is not None:
        _INHERITED.append(_portal)
        atexit.unregister(_close)
    _portal = None
    _lock = threading.Lock()


# Finalising the parent's loop here would close its selector; it is kept as it is.
_INHERITED: Final[list[Portal]] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
