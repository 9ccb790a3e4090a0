"""How much memory and how many workers a build gets."""

import pytest

from pgrecall import HNSW, IVFFlat, VectorType
from pgrecall.build import BuildOptions
from pgrecall.collection.indexes.resources import needed_memory, resources, vector_bytes
from pgrecall.postgres.statistics import Limits
from tests.tables import server

KILO, MEGA, GIGA = 2**10, 2**20, 2**30
FRESH = {"memory": 64 * MEGA, "buffers": 128 * MEGA, "cache": 4 * GIGA, "workers": 2, "parallel": 8, "processes": 8}
SAFE = server(vector_version=(0, 8, 2))


def limits(**changes):
    return Limits(**{**FRESH, **changes})


def chosen(options=None, *, index=None, rows=1_000_000, need=0, server=SAFE, **changes):
    return resources(options or BuildOptions(), limits(**changes), server, index or HNSW(), rows, need)


@pytest.mark.parametrize(
    ("vector_type", "size"), [(VectorType.VECTOR, 6152), (VectorType.HALFVEC, 3080), (VectorType.BIT, 200)]
)
def test_size_of_an_embedding(vector_type, size):
    assert vector_bytes(vector_type, 1536) == size


def test_a_graph_of_a_million_embeddings_needs_what_was_measured():
    # 4 * 1536 bytes, and about 700 for the links: 7 GB, and a margin
    need = needed_memory(HNSW(), 1_000_000, VectorType.VECTOR, 1536)
    assert 1.1 * 6_850 * 10**6 < need < 1.3 * 6_850 * 10**6


def test_a_graph_with_more_links_or_finer_embeddings_needs_more():
    less = needed_memory(HNSW(m=8), 1_000, VectorType.HALFVEC, 100)
    assert less < needed_memory(HNSW(m=32), 1_000, VectorType.HALFVEC, 100)
    assert less < needed_memory(HNSW(m=8), 1_000, VectorType.VECTOR, 100)


def test_cells_need_what_pgvector_says():
    # "memory required is 34 MB", of 300 lists over 256 dimensions, is 33 MB and a little
    need = needed_memory(IVFFlat(lists=300), 15_000, VectorType.VECTOR, 256)
    samples, lists = 15_000, 300
    least = samples * 1032 + 2 * lists * 1032 + samples * lists * 4
    assert 32 * MEGA < least < need < 1.2 * least


@pytest.mark.parametrize(
    ("need", "changes", "memory"),
    [
        (MEGA, {}, 64 * MEGA),  # never below the server's own
        (100 * MEGA, {}, 100 * MEGA),
        (7 * GIGA, {}, 256 * MEGA),  # twice shared_buffers
        (7 * GIGA, {"buffers": 4 * GIGA, "cache": 12 * GIGA}, 6 * GIGA),  # half of the cache
        (7 * GIGA, {"memory": 2 * GIGA}, 2 * GIGA),
    ],
)
def test_memory_is_what_is_needed_within_bounds(need, changes, memory):
    assert chosen(need=need, **changes).memory == memory


def test_memory_is_what_the_caller_says():
    assert chosen(BuildOptions(memory="32MB"), need=GIGA).memory == 32 * MEGA
    assert chosen(BuildOptions(memory="32GB"), need=GIGA).memory == 32 * GIGA


@pytest.mark.parametrize(
    ("rows", "changes", "workers"),
    [
        (1_000_000, {}, 2),
        (9_999, {}, 0),
        (1_000_000, {"workers": 0}, 0),
        (1_000_000, {"workers": 6}, 6),
        (1_000_000, {"parallel": 32, "processes": 64}, 16),
        (1_000_000, {"parallel": 64, "processes": 12}, 6),
        (1_000_000, {"parallel": 64}, 2),
    ],
)
def test_workers_are_the_servers_or_half_of_what_it_has(rows, changes, workers):
    assert chosen(rows=rows, **changes).workers == workers


def test_workers_are_what_the_caller_says_and_the_server_may_use_as_many():
    given = chosen(BuildOptions(workers=12), rows=10)
    assert (given.workers, given.parallel) == (12, 12)
    assert chosen(BuildOptions(workers=0)).workers == 0


@pytest.mark.parametrize("version", [(0, 6), (0, 7, 4), (0, 8, 1), None])
def test_graphs_get_no_workers_where_these_would_overflow_a_buffer(version):
    old = server(vector_version=version)
    assert chosen(server=old).workers == chosen(BuildOptions(workers=4), server=old).workers == 0
    assert chosen(server=old, index=IVFFlat(lists=10)).workers == 2


def test_settings_lift_every_time_limit():
    settings = chosen(need=100 * MEGA + 1).settings()
    assert settings["maintenance_work_mem"] == "102400kB"
    assert {settings[f"{what}_timeout"] for what in ("lock", "statement", "transaction")} == {"0"}
