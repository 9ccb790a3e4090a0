"""Settings check themselves."""

from dataclasses import FrozenInstanceError

import pytest

from pgrecall import HNSW, CollectionConfig, Columns, Distance, IVFFlat, PoolConfig, SearchOptions, VectorType
from pgrecall.errors import ConfigError


@pytest.mark.parametrize("name", ["", None, 5, "a\x00b", "x" * 64, "é" * 32, "\ud800"])
def test_collection_with_a_name_that_postgresql_cannot_keep_is_an_error(name):
    with pytest.raises(ConfigError, match="collection name"):
        CollectionConfig(name=name)


def test_collection_name_of_63_bytes_is_taken():
    assert CollectionConfig(name="é" * 31 + "x").name == "é" * 31 + "x"


@pytest.mark.parametrize("dimensions", [0, -1, True, "3", 16_001, 1.0])
def test_collection_dimensions_out_of_range_are_an_error(dimensions):
    with pytest.raises(ConfigError, match="dimensions"):
        CollectionConfig(name="docs", dimensions=dimensions)


def test_collection_of_bits_takes_64_000_dimensions():
    assert CollectionConfig(name="docs", vector_type=VectorType.BIT, dimensions=64_000).dimensions == 64_000


@pytest.mark.parametrize(
    ("given", "vector_type", "distance"),
    [
        ({}, VectorType.VECTOR, Distance.COSINE),
        ({"distance": "euclidean"}, VectorType.VECTOR, Distance.L2),
        ({"vector_type": "bit"}, VectorType.BIT, Distance.HAMMING),
        ({"distance": "jaccard"}, VectorType.BIT, Distance.JACCARD),
        ({"vector_type": "halfvec"}, VectorType.HALFVEC, Distance.COSINE),
    ],
)
def test_collection_fills_in_type_and_distance(given, vector_type, distance):
    config = CollectionConfig(name="docs", **given)
    assert (config.new_vector_type, config.new_distance) == (vector_type, distance)


@pytest.mark.parametrize(
    "given",
    [
        {"vector_type": "bit", "distance": "cosine"},
        {"vector_type": "vector", "distance": "hamming"},
        {"vector_type": "float"},
        {"distance": "near"},
        {"id_type": "int"},
        {"setup": "maybe"},
        {"schema": ""},
    ],
)
def test_collection_with_a_setting_that_does_not_exist_is_an_error(given):
    with pytest.raises(ConfigError):
        CollectionConfig(name="docs", **given)


def test_collection_config_is_frozen():
    with pytest.raises(FrozenInstanceError):
        CollectionConfig(name="docs").name = "other"


def test_columns_with_one_name_twice_are_an_error():
    with pytest.raises(ConfigError, match="same name"):
        Columns(content="metadata")


def test_columns_without_an_optional_one_do_not_map_it():
    assert "content" not in Columns(content=None).mapping()


@pytest.mark.parametrize("given", [{"id": None}, {"embedding": ""}, {"metadata": "m" * 64}])
def test_columns_with_an_impossible_name_are_an_error(given):
    with pytest.raises(ConfigError):
        Columns(**given)


@pytest.mark.parametrize("given", [{"m": 1}, {"m": 101}, {"ef_construction": 1_001}, {"m": 40}, {"m": True}])
def test_hnsw_outside_of_pgvectors_limits_is_an_error(given):
    with pytest.raises(ConfigError):
        HNSW(**given)


@pytest.mark.parametrize("lists", [0, 32_769, "10"])
def test_ivfflat_outside_of_pgvectors_limits_is_an_error(lists):
    with pytest.raises(ConfigError, match="lists"):
        IVFFlat(lists=lists)


@pytest.mark.parametrize(
    "given", [{"max_size": 0}, {"min_size": 9}, {"min_size": -1}, {"max_size": "8"}, {"max_size": True}]
)
def test_pool_with_impossible_sizes_is_an_error(given):
    with pytest.raises(ConfigError, match="_size"):
        PoolConfig(**given)


@pytest.mark.parametrize(
    "given", [{"ef_search": 0}, {"ef_search": 1_001}, {"probes": 0}, {"overfetch": 101}, {"max_scan_tuples": -1}]
)
def test_search_options_out_of_range_are_an_error(given):
    with pytest.raises(ConfigError, match=next(iter(given))):
        SearchOptions(**given)
