"""Who is told how far something has come, while it goes on."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeVar

from pgrecall.errors import ConfigError
from pgrecall.progress_bar import Showable, bar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

P = TypeVar("P", bound=Showable)


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


def listener(
    progress: Callable[[P], object] | bool | None,  # noqa: FBT001 - as callers give it
) -> AbstractContextManager[Callable[[P], object] | None]:
    """Return a context manager that gives whom to tell, if anyone.

    Raises:
        ConfigError: *progress* is nothing that can be told, or a bar was asked for and rich is not installed.
    """
    check_listener(progress)
    if progress is True:
        return bar()
    return _function(progress) if callable(progress) else _nobody()


def check_listener(progress: object) -> None:
    """Raise `ConfigError` where *progress* is nothing that can be told."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        msg = f"progress must be a function, True for a progress bar, or None, not {progress!r:.200}"
        raise ConfigError(msg)


@contextmanager
def _nobody() -> Generator[None]:
    yield None


@contextmanager
def _function(function: Callable[[P], object]) -> Generator[Callable[[P], object]]:
    yield function
