"""How far a build has come, told to whoever wants to know while it goes on."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from pgrecall.build import IndexProgress
from pgrecall.errors import ConfigError, PGRecallError
from pgrecall.postgres import statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.postgres.statistics import BuildState

    Listener = Callable[[IndexProgress], object]

_POLL_SECONDS: Final = 0.5
_BUILDING: Final = "building index"
# Where each phase begins and ends, as a share of the whole. Building is nearly all of it. Its parts are named
# by the access method: HNSW and IVFFlat load rows, IVFFlat learns its cells before, a B-tree sorts.
_SPANS: Final = {
    "initializing": (0.0, 0.01),
    "waiting for writers before build": (0.0, 0.01),
    _BUILDING: (0.01, 0.95),
    f"{_BUILDING}: initializing": (0.01, 0.02),
    f"{_BUILDING}: performing k-means": (0.02, 0.30),
    f"{_BUILDING}: assigning tuples": (0.30, 0.75),
    f"{_BUILDING}: scanning table": (0.01, 0.50),
    f"{_BUILDING}: sorting live tuples": (0.50, 0.75),
    f"{_BUILDING}: sorting dead tuples": (0.75, 0.76),
    f"{_BUILDING}: loading tuples in tree": (0.76, 0.95),
    "waiting for writers before validation": (0.95, 0.96),
    "index validation: scanning index": (0.96, 0.97),
    "index validation: sorting tuples": (0.97, 0.98),
    "index validation: scanning table": (0.98, 0.99),
    "waiting for old snapshots": (0.99, 1.0),
    "waiting for readers before marking dead": (0.99, 1.0),
    "waiting for readers before dropping": (0.99, 1.0),
}
_LOADING: Final = f"{_BUILDING}: loading tuples"
_LOADING_SPANS: Final = {"hnsw": (0.01, 0.95), "ivfflat": (0.75, 0.95)}


class ProgressFailed(Exception):
    """What a listener raised, on its way out through code that would take it for an error of the server.

    Attributes:
        error: The listener's own exception.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def own_errors() -> Generator[None]:
    """Raise what a listener raised as what it is."""
    try:
        yield
    except ProgressFailed as failed:
        raise failed.error from failed.error.__cause__


class Reporter:
    """Tells a listener how far one build has come.

    Args:
        what: What is built.
        method: Access method of a vector index; empty for others.
        listener: Whom to tell.
    """

    def __init__(self, what: str, method: str, listener: Listener) -> None:
        self._what = what
        self._method = method
        self._listener = listener
        self._began = time.monotonic()
        self._fraction: float | None = None
        self.index: str | None = None
        """Name of what is built, once that is known."""

    def tell(self, phase: str, done: int = 0, total: int = 0, fraction: float | None = None) -> None:
        """Tell the listener.

        Raises:
            ProgressFailed: The listener raised an exception.
        """
        if fraction is not None:
            # Phases come and go, and the server's figures with them, but nothing is ever undone.
            self._fraction = max(self._fraction or 0.0, fraction)
        try:
            self._listener(
                IndexProgress(
                    index=self._what,
                    phase=phase,
                    done=done,
                    total=total,
                    fraction=self._fraction,
                    seconds=time.monotonic() - self._began,
                )
            )
        except Exception as error:
            raise ProgressFailed(error) from error

    async def watch(self, handle: Handle, backend: int) -> None:
        """Look at the build that the server's process *backend* runs, until this is cancelled.

        What goes wrong with looking is passed over: the build itself is what counts.

        Raises:
            ProgressFailed: The listener raised an exception.
        """

        async def look(session: Session) -> BuildState | None:
            return await statistics.build_state(session, backend)

        while True:
            try:
                state = await handle.database.run(look)
            except PGRecallError:
                state = None
            if state is not None:
                self.index = state.index or self.index
                self.tell(state.phase, state.done, state.total, fraction(state, self._method))
            await asyncio.sleep(_POLL_SECONDS)


def fraction(state: BuildState, method: str) -> float | None:
    """Return which share of a build is done; `None` where its phase is not known here.

    Args:
        state: What it is doing.
        method: Access method of a vector index; empty for others.
    """
    span = _LOADING_SPANS.get(method) if state.phase == _LOADING else _SPANS.get(state.phase)
    if span is None:
        return _SPANS[_BUILDING][0] if state.phase.startswith(_BUILDING) else None
    first, last = span
    share = min(1.0, state.done / state.total) if state.total > 0 else 0.0
    return first + share * (last - first)


class Showable(Protocol):
    """What a progress bar shows."""

    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def phase(self) -> str: ...  # noqa: D102
    @property
    def fraction(self) -> float | None: ...  # noqa: D102


P = TypeVar("P", bound=Showable)


def listener(
    progress: Callable[[P], object] | bool | None,  # noqa: FBT001 - as callers give it
) -> AbstractContextManager[Callable[[P], object] | None]:
    """Return a context manager that gives whom to tell, if anyone.

    Raises:
        ConfigError: *progress* is nothing that can be told, or a bar was asked for and rich is not installed.
    """
    if progress is True:
        return _bar()
    if progress is None or progress is False:
        return _nobody()
    if not callable(progress):
        msg = f"progress must be a function, True for a progress bar, or None, not {progress!r}"
        raise ConfigError(msg)
    return _function(progress)


@contextmanager
def _nobody() -> Generator[None]:
    yield None


@contextmanager
def _function(function: Callable[[P], object]) -> Generator[Callable[[P], object]]:
    yield function


@contextmanager
def _bar() -> Generator[Callable[[Showable], object]]:
    try:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
    except ImportError as error:
        msg = "a progress bar needs rich: pip install 'pgrecall[cli]', or pass a function as progress"
        raise ConfigError(msg) from error
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[phase]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("", total=None, phase="")

        def show(progress: Showable) -> None:
            total = None if progress.fraction is None else 1.0
            bar.update(
                task,
                description=progress.title,
                total=total,
                completed=progress.fraction or 0.0,
                phase=progress.phase,
            )

        yield show
