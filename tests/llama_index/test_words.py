"""The words of llama-index-vector-stores-postgres, understood or answered."""

import json
from datetime import date

import pytest

from pgrecall import HNSW, CollectionConfig, VectorType
from pgrecall.errors import ConfigError
from pgrecall.llama_index import PGRecallVectorStore
from pgrecall.llama_index.words import understood

PARAMS = {
    "host": "db.example.org",
    "port": "5433",
    "database": "rag",
    "user": "me",
    "password": "p@ss:w/rd#?",
    "table_name": "paper",
}


def test_usual_from_params_is_understood():
    found = understood({**PARAMS, "embed_dim": 384, "schema_name": "notes"})
    assert found == {
        "url": "postgresql://me:p%40ss%3Aw%2Frd%23%3F@db.example.org:5433/rag",
        "collection": CollectionConfig(name="paper", schema="notes", dimensions=384),
    }


def test_example_of_their_documentation_is_understood():
    store = PGRecallVectorStore.from_params(
        **PARAMS,
        embed_dim=1536,
        hybrid_search=False,
        cache_ok=True,
        perform_setup=True,
        debug=False,
        use_jsonb=True,
        use_halfvec=True,
        indexed_metadata_keys={("year", "int"), ("a.b", "text"), ("tags", "text[]"), ("on", "date")},
        hnsw_kwargs={
            "hnsw_m": 24,
            "hnsw_ef_construction": 100,
            "hnsw_ef_search": 40,
            "hnsw_dist_method": "vector_cosine_ops",
        },
    )
    config = store.config
    assert (config.name, config.dimensions, config.vector_type) == ("paper", 1536, VectorType.HALFVEC)
    assert config.index == HNSW(m=24, ef_construction=100)
    assert config.fields == {"a\\.b": str, "on": date, "tags": list, "year": int}
    assert store.search_kwargs == {"ef_search": 40}
    assert json.loads(store.to_json())["config"]["fields"] == {
        "a\\.b": "text",
        "on": "time",
        "tags": "list",
        "year": "number",
    }


def test_params_are_taken_by_position():
    store = PGRecallVectorStore.from_params("h", 5432, "d", "u", "secret", table_name="t")
    assert store.url == "postgresql://u:secret@h:5432/d"
    assert "secret" not in repr(store) + store.to_json()


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ({"host": "h"}, "postgresql://postgres@h:5432/"),
        ({"database": "d"}, "postgresql://postgres@localhost:5432/d"),
        ({"host": "::1", "database": "d"}, "postgresql://postgres@[::1]:5432/d"),
        ({"host": "/run/pg", "user": "u"}, "postgresql://u@/?host=%2Frun%2Fpg&port=5432"),
        ({"connection_string": "postgresql://a@b/c"}, "postgresql://a@b/c"),
        (
            {"connection_string": "postgresql://a@b/c", "async_connection_string": "postgresql+asyncpg://a@b/c"},
            "postgresql://a@b/c",
        ),
        ({"async_connection_string": "postgresql+asyncpg://a@b/c"}, "postgresql+asyncpg://a@b/c"),
    ],
)
def test_place_becomes_a_url(place, url):
    assert understood(place)["url"] == url


def test_url_object_keeps_its_password():
    class URL:  # as SQLAlchemy's, whose str() hides the password
        def __str__(self):
            return "postgresql://me:***@h/d"

        def render_as_string(self, hide_password):
            return "postgresql://me:***@h/d" if hide_password else "postgresql://me:secret@h/d"

    assert understood({"connection_string": URL()})["url"] == "postgresql://me:secret@h/d"


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"debug": True}, "getLogger"),
        ({"initialization_fail_on_error": False}, "always an error"),
        ({"create_engine_kwargs": {"pool_size": 3}}, "PoolConfig"),
        ({"engine": object()}, "engine=….*url="),
        ({"async_engine": object()}, "async_engine=….*url="),
        ({"customize_query_fn": len}, "customize_query_fn=….*MetadataFilters"),
        ({"connection_string": 3}, "must be a URL"),
        ({"hnsw_kwargs": {"hnsw_dist_method": "vector_l2_ops"}}, "distance="),
        ({"hnsw_kwargs": {"hnsw_mm": 3}}, "did you mean 'hnsw_m'"),
        ({"indexed_metadata_keys": {("a", "json")}}, "'a' must be one of"),
        ({"port": "x"}, "port"),
        ({"tabel_name": "x"}, "did you mean 'table_name'"),
        ({"table_name": "x", "collection": "y"}, "table_name and collection"),
        ({"host": "h", "url": "postgresql://a@b/c"}, "and url say the same"),
        ({"connection_string": "postgresql://a@b/c", "client": object()}, "and client say the same"),
        ({"embed_dim": 3, "collection": CollectionConfig(name="x")}, "which says already what embed_dim"),
    ],
)
def test_word_without_meaning_says_what_to_write_instead(words, match):
    with pytest.raises(ConfigError, match=match):
        understood(words)


def test_empty_and_missing_words_say_nothing():
    assert understood({"create_engine_kwargs": {}, "hnsw_kwargs": None, "engine": None, "host": None}) == {}


def test_without_setup_nothing_is_made():
    assert PGRecallVectorStore.from_params("h", perform_setup=False).config.setup == "validate"
