"""How an index is built: with how much memory, by how many workers, and how far it has come."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pgrecall.checks import check_range
from pgrecall.errors import ConfigError

_UNITS: Final = {"kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_SIZE: Final = re.compile(r"(\d+)\s*(kB|MB|GB|TB)")
# What PostgreSQL takes as maintenance_work_mem.
_LEAST: Final = 1024**2
_MOST: Final = (2**31 - 1) * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What one build may use of the server; `None` leaves the choice to pgrecall.

    Attributes:
        memory: Memory for the build (``maintenance_work_mem``), as bytes or as ``"2GB"``. `None` takes what
            the index should need, but no more than twice ``shared_buffers`` or half of
            ``effective_cache_size``, and no less than the server's own setting. An HNSW graph that does not
            fit is built several times more slowly.
        workers: Processes that help, beside the one that builds. `None` takes the server's
            ``max_parallel_maintenance_workers``, or half of its workers where it was given more than
            PostgreSQL's default; none for few rows. HNSW gets none from pgvector before 0.8.2, whose
            parallel builds overflow a buffer.
    """

    memory: str | int | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.memory_bytes is not None:
            check_range(self.memory_bytes, "memory in bytes", _LEAST, _MOST)
        if self.workers is not None:
            check_range(self.workers, "workers", 0, 1024)

    @property
    def memory_bytes(self) -> int | None:
        """The memory in bytes."""
        if not isinstance(self.memory, str):
            return self.memory
        size = _SIZE.fullmatch(self.memory.strip())
        if size is None:
            msg = f"memory must be bytes, or a string such as '512MB' or '2GB', not {self.memory!r}"
            raise ConfigError(msg)
        return int(size[1]) * _UNITS[size[2]]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexProgress:
    """How far the build of an index has come.

    Attributes:
        index: What is built, such as ``HNSW on public.docs``.
        phase: What PostgreSQL is doing, in its words; ``starting`` before it has said, ``done`` at the end.
        done: Blocks, rows or transactions that this phase is through with.
        total: How many of them there are; 0 where that is not known.
        fraction: Share of the whole build that is done, 0 to 1, which never falls; `None` before
            PostgreSQL has said anything.
        seconds: Since the build was begun.
    """

    index: str
    phase: str
    done: int
    total: int
    fraction: float | None
    seconds: float

    @property
    def title(self) -> str:
        """What a progress bar calls it."""
        return self.index

    def __str__(self) -> str:
        share = "" if self.fraction is None else f"{self.fraction:.0%}, "
        return f"{self.index}: {share}{self.phase}, {self.seconds:.0f} s"


ProgressLike = Callable[[IndexProgress], object] | bool | None
"""Who is told how far a build has come: a function, a progress bar (`True`), or nobody."""
