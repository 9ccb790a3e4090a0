"""What a build may use, and how its progress reads."""

import pytest

from pgrecall.build import BuildOptions, IndexProgress
from pgrecall.errors import ConfigError

PROGRESS = {"index": "HNSW on public.docs", "phase": "loading", "done": 1, "total": 2, "seconds": 3.4}


@pytest.mark.parametrize(
    ("memory", "size"),
    [(None, None), (2**30, 2**30), ("1024kB", 2**20), ("64MB", 2**26), (" 2 GB ", 2**31), ("1TB", 2**40)],
)
def test_memory_is_bytes_or_a_size(memory, size):
    assert BuildOptions(memory=memory).memory_bytes == size


@pytest.mark.parametrize("memory", ["", "2", "2gb", "-1GB", "1.5GB", "2GB;", "2 GB x", 0, -1, 1024, True, 2.5, "3TB"])
def test_memory_that_postgresql_would_not_take_is_an_error(memory):
    with pytest.raises(ConfigError, match="memory"):
        BuildOptions(memory=memory)


@pytest.mark.parametrize("workers", [-1, 1025, True, "2", 1.0])
def test_workers_out_of_range_are_an_error(workers):
    with pytest.raises(ConfigError, match="workers"):
        BuildOptions(workers=workers)


def test_progress_prints_what_there_is():
    assert str(IndexProgress(fraction=0.42, **PROGRESS)) == "HNSW on public.docs: 42%, loading, 3 s"
    assert str(IndexProgress(fraction=None, **PROGRESS)) == "HNSW on public.docs: loading, 3 s"
