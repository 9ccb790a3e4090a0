"""How much memory and how many workers the build of an index gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pgrecall.config import HNSW
from pgrecall.distance import VectorType

if TYPE_CHECKING:
    from pgrecall.build import BuildOptions
    from pgrecall.config import Index
    from pgrecall.postgres.statistics import Limits
    from pgrecall.server import Server

# Of an HNSW graph in memory: a node, and its links (two lists of m on the ground floor, and the few above).
_NODE_BYTES: Final = 128
_LINKS_BYTES: Final = 36
# Rows that come while we build, and what the allocator rounds up.
_MARGIN: Final = 1.2
# Of IVFFlat, pgvector's own: it learns its cells from so many rows, and refuses to do so in less memory.
_SAMPLES: Final = 10_000
_SAMPLES_PER_LIST: Final = 50
_SAMPLE_MARGIN: Final = 1.05
# Before this version parallel builds of HNSW overflow a buffer.
SAFE_VERSION: Final = (0, 8, 2)
# Below this a build takes seconds, and starting workers takes memory for nothing.
_PARALLEL_ROWS: Final = 10_000
# PostgreSQL's default for max_parallel_workers and max_worker_processes, whatever the machine.
_DEFAULT_WORKERS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a build gets.

    Attributes:
        memory: Bytes of ``maintenance_work_mem``.
        workers: Processes beside the one that builds.
        parallel: ``max_parallel_workers``, which holds *workers* at least.
    """

    memory: int
    workers: int
    parallel: int

    def settings(self) -> dict[str, str]:
        """Return the parameters of the session that say so, and that nothing but the end ends it."""
        return {
            "maintenance_work_mem": f"{self.memory // 1024}kB",
            "max_parallel_maintenance_workers": str(self.workers),
            "max_parallel_workers": str(self.parallel),
            "lock_timeout": "0",
            "statement_timeout": "0",
            "transaction_timeout": "0",
        }


def vector_bytes(vector_type: VectorType, dimensions: int) -> int:
    """Return the size of one embedding."""
    match vector_type:
        case VectorType.VECTOR:
            return 8 + 4 * dimensions
        case VectorType.HALFVEC:
            return 8 + 2 * dimensions
        case VectorType.BIT:
            return 8 + (dimensions + 7) // 8


def needed_memory(index: Index, rows: int, vector_type: VectorType, dimensions: int) -> int:
    """Return the bytes in which *index* is built without resorting to the disk.

    Args:
        index: Kind and parameters; an IVFFlat index with its number of lists.
        rows: Rows in it.
        vector_type: What it holds.
        dimensions: Length of the embeddings.
    """
    size = vector_bytes(vector_type, dimensions)
    if isinstance(index, HNSW):
        return graph_memory(index, rows, size)
    lists = index.lists or 1
    samples = max(_SAMPLES, _SAMPLES_PER_LIST * lists)
    # Elkan's k-means: the sample and its distances to every centre; the old centres and the new ones, their
    # sums and their distances.
    sample = samples * (size + 4 * lists + 8)
    centres = lists * (2 * size + 4 * dimensions + 4 * lists + 16)
    return int((sample + centres) * _SAMPLE_MARGIN)


def graph_memory(index: HNSW, rows: int, size: int) -> int:
    """Return the bytes in which an HNSW index of *rows* embeddings of *size* bytes is built."""
    return int(rows * (size + _NODE_BYTES + _LINKS_BYTES * index.m) * _MARGIN)


def resources(
    options: BuildOptions, limits: Limits, server: Server, index: Index | None, rows: int, need: int
) -> Resources:
    """Return what a build gets.

    Args:
        options: What the caller said.
        limits: What the server is set to use.
        server: Which pgvector it has.
        index: The vector index, if it is one.
        rows: Rows in it.
        need: Bytes that it needs, by `needed_memory`.
    """
    workers = _workers(options, limits, server, index, rows)
    return Resources(
        memory=options.memory_bytes or max(limits.memory, min(need, _bound(limits))),
        workers=workers,
        parallel=max(limits.parallel, workers),
    )


def usable_memory(limits: Limits) -> int:
    """Return the bytes that a build can get without being given more by its caller."""
    return max(limits.memory, _bound(limits))


def _bound(limits: Limits) -> int:
    """Return the most that is taken without being asked for.

    How much memory the machine has, SQL does not say. On a server that was set up for its machine a quarter
    of it is in shared_buffers, and half of it or more is called effective_cache_size; on one that was not,
    shared_buffers is small, and so is this.
    """
    return min(2 * limits.buffers, limits.cache // 2)


def _workers(options: BuildOptions, limits: Limits, server: Server, index: Index | None, rows: int) -> int:
    if isinstance(index, HNSW) and (server.vector_version or ()) < SAFE_VERSION:
        return 0
    if options.workers is not None:
        return options.workers
    if rows < _PARALLEL_ROWS:
        return 0
    # How many cores the machine has, SQL does not say either. More workers than the default were allowed by
    # somebody who knows; half of them leave the other half to those who search meanwhile.
    pool = min(limits.parallel, limits.processes)
    return max(limits.workers, pool // 2 if pool > _DEFAULT_WORKERS else 0)
