"""How far a build has come, told to whoever wants to know while it goes on."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from pgrecall.build import IndexProgress
from pgrecall.errors import PGRecallError
from pgrecall.postgres import statistics
from pgrecall.progress import ProgressFailed

if TYPE_CHECKING:
    from collections.abc import Callable

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
