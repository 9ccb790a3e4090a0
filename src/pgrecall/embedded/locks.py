"""Who is there: locks of the kernel's, which end with the process that holds them.

`flock` belongs to the open file description. Children made by fork share it with their
parent, and it is let go when the last of them has closed it: so nobody unlocks, everybody
closes.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pgrecall.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

POLL_SECONDS = 0.02


def _open(path: Path) -> int:
    # As root this opens names in a directory of another user: no links are followed.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def create(path: Path) -> None:
    """Make the lock's file, unless it is there."""
    os.close(_open(path))


@contextmanager
def alone(path: Path, *, patience: float) -> Generator[None]:
    """Be the only one on the machine inside the block.

    Args:
        path: The lock's file.
        patience: Seconds to wait for others; they are starting or stopping the server.

    Raises:
        EmbeddedServerError: The others did not finish in that time.
    """
    import fcntl

    deadline = time.monotonic() + patience
    descriptor = _open(path)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"another process has been starting or stopping the embedded server "
                        f"for {patience:.0f} s; it holds {path}"
                    ) from None
            # Waiting in the kernel would be as good, but could not end at a deadline.
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def enter(path: Path) -> int:
    """Be counted among those who are there, until the descriptor returned is closed.

    The descriptor is not passed on to programs that are executed.
    """
    import fcntl

    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_same_file(descriptor: int, path: Path) -> bool:
    """Tell whether an open lock is still the one that others find under the path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def is_deserted(path: Path) -> bool:
    """Tell whether nobody is there. Ask only inside `alone`, or the answer may be stale."""
    import fcntl

    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
