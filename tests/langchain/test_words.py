"""The constructor words of langchain-postgres: what they become, and what is said where they mean nothing."""

import dataclasses
import enum
import re

import pytest

from pgrecall import CollectionConfig, Columns, Distance
from pgrecall.errors import ConfigError
from pgrecall.langchain.words import KNOWN, understood
from pgrecall.postgres import resolve

URL = "postgresql://me@host/app"
MODEL = object()


class First(str, enum.Enum):  # noqa: UP042 - theirs is no StrEnum
    """As PGVector's is made."""

    EUCLIDEAN = "l2"
    COSINE = "cosine"
    MAX_INNER_PRODUCT = "inner"


@dataclasses.dataclass
class Strategy:
    operator: str
    search_function: str


class Second(Strategy, enum.Enum):
    """As PGVectorStore's is made."""

    EUCLIDEAN = "<->", "l2_distance"
    COSINE_DISTANCE = "<=>", "cosine_distance"
    INNER_PRODUCT = "<#>", "inner_product"


class Engine:
    def __repr__(self):
        return "Engine(postgresql://me:secret@host/app)"


def test_our_own_words_stay_as_they_are():
    ours = {"embedding": MODEL, "collection": "docs", "url": URL, "domain": "a", "relevance_score_fn": abs}
    assert understood(ours) == ours


def test_none_is_the_same_as_nothing():
    assert understood(dict.fromkeys(set(KNOWN) - {"content_column", "metadata_json_column"})) == {}


def test_the_words_of_pgvector():
    words = {
        "embeddings": MODEL,
        "connection": URL,
        "collection_name": "docs",
        "embedding_length": 384,
        "distance_strategy": First.EUCLIDEAN,
        "use_jsonb": True,
        "create_extension": True,
        "async_mode": True,
        "pre_delete_collection": False,
        "collection_metadata": None,
        "relevance_score_fn": abs,
        "engine_args": {},
    }
    assert understood(words) == {
        "embedding": MODEL,
        "url": URL,
        "collection": CollectionConfig(name="docs", dimensions=384, distance=Distance.L2),
        "relevance_score_fn": abs,
    }


def test_the_words_of_pgvectorstore():
    words = {
        "embedding_service": MODEL,
        "table_name": "docs",
        "schema_name": "app",
        "content_column": "body",
        "embedding_column": "vector",
        "id_column": "langchain_id",
        "metadata_json_column": "langchain_metadata",
        "metadata_columns": [],
        "ignore_metadata_columns": None,
        "distance_strategy": Second.INNER_PRODUCT,
        "k": 4,
        "fetch_k": 20,
        "lambda_mult": 0.5,
    }
    columns = Columns(content="body", embedding="vector", id="langchain_id", metadata="langchain_metadata")
    config = CollectionConfig(name="docs", schema="app", columns=columns, distance=Distance.INNER_PRODUCT)
    assert understood(words) == {"embedding": MODEL, "collection": config}


def test_a_name_alone_stays_a_name():
    assert understood({"collection_name": "docs"}) == {"collection": "docs"}
    assert understood({"table_name": "docs"}) == {"collection": "docs"}


def test_settings_without_a_name_are_of_the_collection_that_all_adapters_use():
    assert understood({"embedding_length": 3}) == {"collection": CollectionConfig(name="documents", dimensions=3)}


def test_settings_beside_our_own_name_are_of_that_collection():
    words = {"collection": "docs", "schema_name": "app"}
    assert understood(words) == {"collection": CollectionConfig(name="docs", schema="app")}


def test_a_column_that_there_is_not_is_none():
    words = {"table_name": "docs", "content_column": None, "metadata_json_column": None}
    columns = Columns(content=None, metadata=None)
    assert understood(words) == {"collection": CollectionConfig(name="docs", columns=columns)}


@pytest.mark.parametrize(
    ("strategy", "distance"),
    [
        (First.EUCLIDEAN, Distance.L2),
        (First.COSINE, Distance.COSINE),
        (First.MAX_INNER_PRODUCT, Distance.INNER_PRODUCT),
        (Second.EUCLIDEAN, Distance.L2),
        (Second.COSINE_DISTANCE, Distance.COSINE),
        (Second.INNER_PRODUCT, Distance.INNER_PRODUCT),
        (Distance.L1, Distance.L1),
        ("l2", Distance.L2),
        ("cosine", Distance.COSINE),
        ("inner", Distance.INNER_PRODUCT),
    ],
    ids=str,
)
def test_distance_strategies_of_both_kinds(strategy, distance):
    assert understood({"distance_strategy": strategy})["collection"].distance is distance


@pytest.mark.parametrize("word", ["connection", "connection_string", "url"])
@pytest.mark.parametrize("driver", ["", "+psycopg", "+psycopg2", "+asyncpg"])
def test_connection_strings_of_sqlalchemy_are_urls(word, driver):
    found = understood({word: f"postgresql{driver}://me:secret@host:6024/app"})
    assert resolve(found["url"]).url == "postgresql://me:secret@host:6024/app"


@pytest.mark.parametrize(
    ("word", "value", "advice"),
    [
        ("pre_delete_collection", True, "collection.clear()"),
        ("use_jsonb", False, "always jsonb"),
        ("create_extension", False, 'setup="validate"'),
        ("async_mode", "yes", "both kinds"),
        ("engine_args", {"pool_size": 5}, "PoolConfig(max_size="),
        ("engine", Engine(), 'url="postgresql://'),
        ("engine", URL, 'url="postgresql://'),
        ("collection_metadata", {"owner": "me"}, "in that of the documents"),
        ("metadata_columns", ["year"], 'fields={"year": int}'),
        ("ignore_metadata_columns", ["note"], 'fields={"year": int}'),
        ("index_query_options", object(), "ef_search="),
        ("hybrid_search_config", object(), 'text_search="english"'),
        ("logger", object(), 'getLogger("pgrecall")'),
        ("k", 8, "search_kwargs={'k': 8}"),
        ("fetch_k", 50, "search_kwargs={'fetch_k': 50}"),
        ("lambda_mult", 0, "search_kwargs={'lambda_mult': 0}"),
        ("connection", Engine(), "render_as_string"),
        ("distance_strategy", "hamlet", "one of cosine"),
        ("embedding_length", "384", "whole number"),
        ("schema_name", "", "non-empty"),
        ("id_column", Engine(), "column id must be"),
        ("table", "docs", "did you mean 'table_name'"),
        ("nonsense", 1, "unknown keyword"),
    ],
)
def test_what_differs_is_an_error_with_what_to_write_instead(word, value, advice):
    with pytest.raises(ConfigError, match=re.escape(advice)):
        understood({word: value})


@pytest.mark.parametrize("word", ["engine", "connection", "connection_string"])
def test_no_password_of_an_engine_is_shown(word):
    with pytest.raises(ConfigError) as caught:
        understood({word: Engine()})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        {"collection": "a", "collection_name": "a"},
        {"collection_name": "a", "table_name": "b"},
        {"url": URL, "connection": URL},
        {"connection": URL, "connection_string": URL},
        {"client": object(), "connection": URL},
        {"embedding": MODEL, "embeddings": MODEL},
        {"embedding": MODEL, "embedding_service": MODEL},
    ],
    ids="-".join,
)
def test_two_words_for_one_thing_are_an_error_that_names_both(words):
    with pytest.raises(ConfigError, match=" and ".join(words)):
        understood(words)


@pytest.mark.parametrize("collection", [CollectionConfig(name="docs"), object()])
def test_settings_beside_a_collection_that_has_them_are_an_error(collection):
    with pytest.raises(ConfigError, match="says already what embedding_length, id_column would say"):
        understood({"collection": collection, "embedding_length": 3, "id_column": "key"})


def test_what_was_passed_is_not_changed():
    words = {"connection": URL, "table_name": "docs"}
    understood(words)
    assert words == {"connection": URL, "table_name": "docs"}
