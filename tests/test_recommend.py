"""Which index suits: sizes in, an index and reasons out."""

import pytest

from pgrecall import HNSW, IndexRecommendation, IVFFlat, VectorType, recommend_index
from pgrecall.errors import ConfigError
from pgrecall.planner import recommend

MIB = 1024 * 1024


def said(recommendation, words):
    return any(words in reason for reason in recommendation.reasons)


@pytest.mark.parametrize(("rows", "dimensions"), [(0, 384), (1, 1), (2_500, 384), (1_000, 1_536)])
def test_no_index_while_comparing_is_fast(rows, dimensions):
    found = recommend_index(rows, dimensions)
    assert (found.index, found.index_bytes, found.build_memory) == (None, 0, 0)
    assert said(found, "ms, and finds every one")


def test_hnsw_as_it_comes_is_the_default():
    found = recommend_index(100_000, 384)
    assert found.index == HNSW(m=16, ef_construction=64)
    assert (found.vector_type, found.quantization) == (VectorType.VECTOR, "none")


@pytest.mark.parametrize(
    ("dimensions", "quantization"),
    [(768, "none"), (1_023, "none"), (1_024, "halfvec"), (4_000, "halfvec"), (4_001, "bit")],
)
def test_long_embeddings_are_quantized(dimensions, quantization):
    found = recommend_index(200_000, dimensions)
    assert found.quantization == quantization
    assert found.index == HNSW(quantization=None if quantization == "none" else quantization)
    assert found.vector_type is VectorType.VECTOR


def test_above_a_million_rows_the_column_is_halfvec_and_the_graph_denser():
    found = recommend_index(1_000_001, 768)
    assert found.index == HNSW(m=24, ef_construction=128)
    assert (found.vector_type, found.quantization) == (VectorType.HALFVEC, "none")


def test_a_high_recall_wants_a_denser_graph():
    assert recommend_index(100_000, 384, recall=0.99).index == HNSW(m=24, ef_construction=128)


def test_short_memory_makes_the_index_coarser_step_by_step():
    found = [recommend_index(500_000, 1_536, memory=f"{size}GB") for size in (16, 8, 3, 0.4)]
    assert [r.quantization for r in found] == ["halfvec", "halfvec", "bit", "none"]
    assert isinstance(found[-1].index, IVFFlat)
    short = [recommend_index(500_000, 512, memory=f"{size}GB") for size in (16, 2, 1)]
    assert [r.quantization for r in short] == ["none", "halfvec", "none"]
    assert isinstance(short[-1].index, IVFFlat)


def test_bits_are_only_for_long_embeddings():
    assert all(
        recommend_index(5_000_000, 768, memory=f"{size}GB").quantization != "bit" for size in (0.1, 1, 2, 4, 8, 16, 32)
    )


def test_what_is_recommended_fits_in_half_of_the_memory():
    for rows in (50_000, 500_000, 5_000_000):
        for dimensions in (128, 768, 1_536, 3_072):
            for size in (1, 4, 16, 64):
                found = recommend_index(rows, dimensions, memory=size * 1024**3)
                if isinstance(found.index, HNSW):
                    assert found.index_bytes <= size * 1024**3 / 2


def test_bits_that_do_not_fit_are_still_the_only_index_of_so_many_dimensions():
    found = recommend_index(5_000_000, 8_000, memory="1GB")
    assert found.quantization == "bit"
    assert said(found, "wait for the disk")


def test_more_writes_than_a_graph_takes_want_lists():
    assert isinstance(recommend_index(300_000, 768, writes=500).index, HNSW)
    found = recommend_index(300_000, 768, writes=5_000)
    assert found.index == IVFFlat(lists=300)
    assert found.vector_type is VectorType.HALFVEC
    assert said(found, "5,000 are written")
    assert recommend_index(300_000, 6_000, writes=5_000).quantization == "bit"


@pytest.mark.parametrize(("rows", "lists"), [(1_000_000, 1_000), (4_000_000, 2_000), (2**31, 32_768)])
def test_lists_follow_pgvectors_rule(rows, lists):
    assert recommend_index(rows, 128, memory="1MB").index == IVFFlat(lists=lists)


def test_filters_and_size_bring_hints():
    assert not said(recommend_index(100_000, 384), "fields=")
    assert said(recommend_index(100_000, 384, filtered=True), "fields=")
    assert not said(recommend_index(100_000, 384, filtered=True), "partition")
    assert said(recommend_index(2_000_000, 384, filtered=True), "partition the table by the key")
    assert said(recommend_index(20_000_000, 384), "by domain")


@pytest.mark.parametrize(
    ("dimensions", "quantization", "measured"),
    [(768, "none", 78), (768, "halfvec", 39), (768, "bit", 7.8), (1_536, "none", 156)],
)
def test_sizes_of_hnsw_are_as_measured(dimensions, quantization, measured):
    size = recommend._embedding_bytes(dimensions, quantization)
    assert recommend.hnsw_bytes(20_000, size, 16) / MIB == pytest.approx(measured, rel=0.01)


def test_an_element_that_fills_a_page_leaves_its_neighbours_another():
    assert recommend.hnsw_bytes(1_000, 8_008, 16) == 2_000 * 8_192


@pytest.mark.parametrize(("rows", "size", "gigabytes"), [(1_000_000, 4 * 1_536, 7), (1_000_000, 2 * 768, 2.3)])
def test_memory_to_build_is_about_what_was_published(rows, size, gigabytes):
    assert recommend.hnsw_build_memory(rows, size, 16) / 1e9 == pytest.approx(gigabytes, rel=0.06)


@pytest.mark.parametrize(
    ("memory", "size"),
    [
        (1, 1),
        (4_096, 4_096),
        ("512", 512),
        ("64kB", 65_536),
        ("1.5 GB", 1_610_612_736),
        ("8gib", 8 * 1024**3),
        ("2T", 2 * 1024**4),
    ],
)
def test_memory_is_a_number_or_a_size(memory, size):
    assert recommend._bytes(memory) == size


@pytest.mark.parametrize(
    "arguments",
    [
        {"rows": -1},
        {"rows": 1.5},
        {"dimensions": 0},
        {"dimensions": 16_001},
        {"memory": 0},
        {"memory": "much"},
        {"memory": "-1GB"},
        {"memory": True},
        {"memory": 1.5},
        {"recall": 0},
        {"recall": 1.01},
        {"recall": "high"},
        {"writes": -1},
        {"writes": float("inf")},
        {"writes": float("nan")},
    ],
    ids=str,
)
def test_nonsense_is_refused(arguments):
    with pytest.raises(ConfigError):
        recommend_index(**{"rows": 10, "dimensions": 3, **arguments})


def test_it_prints_what_and_why():
    assert str(recommend_index(100_000, 1_536)).splitlines() == [
        "index   HNSW(m=16, ef_construction=64, quantization='halfvec')",
        "column  vector",
        "size    391 MB; built in one go with 355 MB",
        "- halfvec, because it halves the index, and the rows it finds are ordered by full precision",
        "- m=16 and ef_construction=64 find about 97 of 100; tune() finds more",
    ]
    assert str(recommend_index(10, 3)).startswith("index   none\ncolumn  vector\n- comparing all 10 rows")
    assert "IVFFlat(lists=300)" in str(recommend_index(300_000, 768, writes=5_000))
    assert isinstance(recommend_index(10, 3), IndexRecommendation)
