"""The options of a store: names, defaults, and what is refused before anything is connected."""

import builtins
import enum
import sys

import pytest

from pgrecall import HNSW, Distance, IVFFlat
from pgrecall.dataknobs import (
    MissingDependency,
    PgVectorStore,
    VectorStoreFactory,
    recommend_index,
    vector_store_factory,
)
from pgrecall.dataknobs.columns import ColumnValues
from pgrecall.dataknobs.options import StoreOptions
from pgrecall.errors import ConfigError, PGRecallError

URL = "postgresql://user:secret@localhost:1/nowhere"
DEFAULTS = {
    "connection_string": None,
    "metric": Distance.COSINE,
    "schema": "edubot",
    "table_name": "knowledge_embeddings",
    "pool_min_size": 2,
    "pool_max_size": 10,
    "auto_create_table": True,
    "id_type": None,
    "columns": {
        name: name
        for name in (
            "id",
            "embedding",
            "content",
            "metadata",
            "domain_id",
            "document_id",
            "chunk_index",
            "created_at",
        )
    },
    "index_type": "none",
    "auto_create_index": False,
    "min_rows_for_index": 1000,
    "index_params": {},
    "domain_id": None,
    "batch_size": 100,
    "search_params": {},
}


class Metric(enum.Enum):
    DOT_PRODUCT = "dot_product"


def options(**given):
    return StoreOptions.of({"dimensions": 4, **given})


def test_options_have_the_defaults_of_dataknobs():
    assert PgVectorStore.describe_options() == DEFAULTS


def test_dimensions_are_required():
    with pytest.raises(ConfigError, match="dimensions is required"):
        PgVectorStore({"connection_string": URL})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dimensions", 0),
        ("dimensions", "768"),
        ("metric", "hamming"),
        ("metric", "nearest"),
        ("schema", ""),
        ("table_name", "t" * 64),
        ("pool_min_size", 11),
        ("pool_max_size", 0),
        ("auto_create_table", "yes"),
        ("auto_create_index", "no"),
        ("id_type", "integer"),
        ("columns", {"vector": "v"}),
        ("columns", {"id": "same", "content": "same"}),
        ("columns", ["id"]),
        ("index_type", "diskann"),
        ("min_rows_for_index", 0),
        ("index_params", {"lists": 100}),
        ("index_params", ["m"]),
        ("domain_id", ""),
        ("domain_id", 7),
        ("batch_size", 0),
        ("search_params", {"ef": 1}),
        ("search_params", {"ef_search": 5_000}),
        ("persist_path", "/somewhere"),
    ],
)
def test_option_that_is_wrong_is_refused(name, value):
    with pytest.raises(ConfigError):
        PgVectorStore({"connection_string": URL, "dimensions": 4, name: value})


@pytest.mark.parametrize("config", ["dimensions", [("dimensions", 4)], 7])
def test_config_that_is_no_mapping_is_refused(config):
    with pytest.raises(ConfigError, match="mapping"):
        PgVectorStore(config)


@pytest.mark.parametrize(
    ("metric", "distance"),
    [
        ("cosine", Distance.COSINE),
        ("euclidean", Distance.L2),
        ("l2", Distance.L2),
        ("inner_product", Distance.INNER_PRODUCT),
        ("dot_product", Distance.INNER_PRODUCT),
        (Metric.DOT_PRODUCT, Distance.INNER_PRODUCT),
        ("l1", Distance.L1),
    ],
)
def test_metric_is_the_engines_distance(metric, distance):
    assert options(metric=metric).metric is distance


def test_url_falls_back_to_the_environment(monkeypatch):
    monkeypatch.setenv("PGRECALL_URL", "postgresql://of-pgrecall/db")
    monkeypatch.setenv("DATABASE_URL", "postgresql://of-the-environment/db")
    assert options().url == "postgresql://of-the-environment/db"
    assert options(connection_string=URL).url == URL
    assert options(connection_string="").url == ""  # which the engine refuses
    monkeypatch.setenv("DATABASE_URL", " ")
    assert options().url is None
    monkeypatch.delenv("DATABASE_URL")
    assert options().url is None


def test_pool_has_the_sizes_of_the_options():
    assert (options().pool.min_size, options().pool.max_size) == (2, 10)
    pool = options(pool_min_size=5, pool_max_size=20).pool
    assert (pool.min_size, pool.max_size, pool.command_timeout) == (5, 20, None)


@pytest.mark.parametrize(
    ("given", "index"),
    [
        ({}, None),
        ({"index_type": "hnsw"}, HNSW(m=16, ef_construction=64)),
        ({"index_type": "hnsw", "index_params": {"m": 32, "ef_construction": 128}}, HNSW(m=32, ef_construction=128)),
        ({"index_type": "ivfflat"}, IVFFlat(lists=100)),
        ({"index_type": "ivfflat", "index_params": {"lists": 200}}, IVFFlat(lists=200)),
    ],
)
def test_index_has_the_parameters_of_the_options(given, index):
    assert options(**given).index() == index


def test_parameters_of_one_kind_are_not_those_of_another():
    given = options(index_type="hnsw", index_params={"m": 32})
    assert given.index("ivfflat") == IVFFlat(lists=100)
    with pytest.raises(ConfigError, match="lists"):
        given.index("hnsw", {"lists": 7})


@pytest.mark.parametrize(
    ("rows", "kind", "params"),
    [
        (0, "none", {}),
        (999, "none", {}),
        (1_000, "hnsw", {"m": 16, "ef_construction": 64}),
        (100_000, "hnsw", {"m": 16, "ef_construction": 64}),
        (100_001, "hnsw", {"m": 32, "ef_construction": 128}),
        (1_000_000, "hnsw", {"m": 32, "ef_construction": 128}),
        (4_000_000, "ivfflat", {"lists": 2_000}),
    ],
)
def test_recommend_index_follows_the_guide(rows, kind, params):
    chosen = recommend_index(rows)
    assert chosen == {"index_type": kind, "index_params": params}
    assert type(options(**chosen).index()).__name__.lower() == {"none": "nonetype"}.get(kind, kind)
    with pytest.raises(ConfigError):
        recommend_index(-1)


def test_factory_makes_stores_of_its_one_backend():
    factory = VectorStoreFactory()
    for name in ("pgvector", "PGVECTOR", "postgresql"):
        store = factory.create(backend=name, connection_string=URL, dimensions=4, domain_id="a")
        assert (type(store), store.dimensions, store.metric, store.domain_id) == (PgVectorStore, 4, "cosine", "a")
    with pytest.raises(ConfigError, match="faiss"):
        factory.create(backend="faiss", dimensions=4)
    assert "dimensions" not in vector_store_factory.get_backend_info("PGVector")["config_options"]
    assert "error" in factory.get_backend_info("faiss")


def test_store_shows_no_secrets():
    store = PgVectorStore.from_config({"connection_string": URL, "dimensions": 4, "domain_id": "a"})
    assert "secret" not in repr(store) + str(store.options)
    assert repr(store) == "<PgVectorStore edubot.knowledge_embeddings, domain 'a'>"
    assert store.config["dimensions"] == 4


def test_missing_driver_is_named_with_what_to_do(monkeypatch):
    real = builtins.__import__

    def without_asyncpg(name, *arguments, **words):
        if name.split(".")[0] == "asyncpg":
            raise ModuleNotFoundError(name, name="asyncpg")
        return real(name, *arguments, **words)

    for name in [name for name in sys.modules if name.split(".")[0] == "asyncpg" or "pgrecall.collection" in name]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("pgrecall.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_asyncpg)
    with pytest.raises(ImportError, match=r"asyncpg is not installed.*pip install asyncpg") as caught:
        PgVectorStore({"connection_string": URL, "dimensions": 4})
    assert isinstance(caught.value, MissingDependency)
    assert isinstance(caught.value, PGRecallError)


@pytest.mark.parametrize(
    ("metadata", "content", "document", "chunk"),
    [
        ({}, None, None, None),
        ({"source_text": "s", "content": "c", "document_id": "d", "source": "o", "chunk_index": 3}, "s", "d", 3),
        ({"content": "c", "source": 7}, "c", "7", None),
        ({"content": ["c"], "source": ["o"], "chunk_index": "3"}, None, None, None),
        ({"chunk_index": True, "source": True}, None, None, None),
        ({"chunk_index": 2**40, "source": "s" * 3_000}, None, None, None),
    ],
)
def test_columns_are_what_the_metadata_says(metadata, content, document, chunk):
    held = ColumnValues(metadata, None)
    assert (held.content, held.document_id, held.chunk_index) == (content, document, chunk)


def test_document_that_does_not_fit_its_column_stays_in_the_metadata():
    assert ColumnValues({"source": "s" * 256}, 255).document_id is None
    assert ColumnValues({"source": "s" * 255}, 255).document_id == "s" * 255
