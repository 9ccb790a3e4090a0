"""LlamaIndex's filters, against the function with which its own store applies them."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import VectorIndexAutoRetriever
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    MetadataInfo,
    VectorStoreInfo,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from pgrecall.errors import FilterError
from pgrecall.llama_index import PGRecallVectorStore

KEYS = st.sampled_from(["a", "b", "x'y", 'q"', "a.b", "$ne", "0"])
TEXTS = st.sampled_from(["", "a", "ab", "A", "10", "100%", "_", "ä", "Ä", "'; --", "\\", "nan", "02139", "true"])
NUMBERS = st.integers(-2, 2) | st.sampled_from([0.5, -1.5, 1.0, 2**40, 1e20])
LISTS = st.lists(TEXTS, max_size=3) | st.lists(st.integers(-2, 2), max_size=3) | st.lists(st.floats(-1, 1), max_size=3)
OBJECTS = st.dictionaries(TEXTS, NUMBERS | TEXTS, max_size=2)
VALUES = st.none() | st.booleans() | TEXTS | NUMBERS | LISTS | st.lists(st.booleans(), max_size=2) | OBJECTS
METADATA = st.dictionaries(KEYS, VALUES, max_size=4)
TAKES_A_LIST = [FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY, FilterOperator.ALL]
OTHERS = [operator for operator in FilterOperator if operator not in TAKES_A_LIST]
SINGLE = st.builds(
    MetadataFilter, key=KEYS, value=st.none() | TEXTS | NUMBERS | LISTS, operator=st.sampled_from(OTHERS)
) | st.builds(MetadataFilter, key=KEYS, value=st.none() | NUMBERS | LISTS, operator=st.sampled_from(TAKES_A_LIST))
CONDITIONS = st.sampled_from([None, *FilterCondition])
GROUPS = st.recursive(
    st.builds(MetadataFilters, filters=st.lists(SINGLE, max_size=3), condition=CONDITIONS),
    lambda inner: st.builds(MetadataFilters, filters=st.lists(SINGLE | inner, max_size=3), condition=CONDITIONS),
    max_leaves=5,
)
ORDERS = [FilterOperator.GT, FilterOperator.GTE, FilterOperator.LT, FilterOperator.LTE]


class Truth:
    """A boolean as JSON has it, which is no number: equal only to itself, and not to be compared."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Truth) and other.value == self.value

    __hash__ = None


def strict(value):
    if isinstance(value, bool):
        return Truth(value)
    return [strict(one) for one in value] if isinstance(value, list) else value


def expected(group, metadata):
    """Return what LlamaIndex's own store says, group by group since it cannot nest them."""
    answers = [
        expected(entry, metadata) if isinstance(entry, MetadataFilters) else one(entry, metadata)
        for entry in group.filters
    ]
    if group.condition == FilterCondition.OR and answers:
        return any(answers)
    return not any(answers) if group.condition == FilterCondition.NOT else all(answers)


def one(entry, metadata):
    """Return what LlamaIndex's own store says of one filter; what it cannot compare does not pass."""
    value = metadata.get(entry.key)
    if entry.operator in ORDERS and isinstance(value, list) and isinstance(entry.value, list):
        return False  # Python has an order of lists; the framework's documentation has only that of numbers and texts
    try:
        return build_metadata_filter_fn(lambda _: metadata, MetadataFilters(filters=[entry]))("n")
    except TypeError:
        return False


@pytest.fixture
def store(url):
    store = PGRecallVectorStore(url=url)
    yield store
    store.close()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(metadatas=st.lists(METADATA, min_size=1, max_size=8), groups=st.lists(GROUPS, min_size=1, max_size=6))
def test_filters_find_what_the_reference_finds(store, metadatas, groups):
    store.clear()
    store.add([TextNode(id_=str(n), embedding=[1.0, n + 1.0], metadata=m) for n, m in enumerate(metadatas)])
    seen = [{key: strict(value) for key, value in metadata.items()} for metadata in metadatas]
    for group in groups:
        wanted = {str(n) for n, metadata in enumerate(seen) if expected(group, metadata)}
        assert {node.node_id for node in store.get_nodes(filters=group)} == wanted, group


def put(store, **metadatas):
    store.add([TextNode(id_=i, embedding=[1.0, 2.0], metadata=m) for i, m in metadatas.items()])


def found(store, key, operator, value):
    group = MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])
    return [node.node_id for node in store.get_nodes(filters=group)]


def test_nested_filters_are_combined(store):
    put(store, x={"a": 1}, y={"a": 2, "b": 3})
    one = MetadataFilters(filters=[MetadataFilter(key="a", value=2), MetadataFilter(key="b", value=3)])
    group = MetadataFilters(filters=[one, MetadataFilter(key="a", value=1)], condition=FilterCondition.OR)
    assert [node.node_id for node in store.get_nodes(filters=group)] == ["x", "y"]
    nobody = MetadataFilters(filters=[group], condition=FilterCondition.NOT)
    assert store.get_nodes(filters=nobody) == []


def test_numbers_and_booleans_are_different_types(store):
    put(store, number={"a": 1}, float={"a": 1.0}, truth={"a": True}, text={"a": "1"})
    assert found(store, "a", "==", 1) == ["float", "number"]
    assert found(store, "a", "in", [1]) == ["float", "number"]
    assert found(store, "a", ">", 0) == ["float", "number"]
    assert found(store, "a", "!=", 1) == ["text", "truth"]


@pytest.mark.parametrize("operator", TAKES_A_LIST)
def test_text_where_a_list_belongs_is_an_error(store, operator):
    with pytest.raises(FilterError, match=r"'a'.*takes a list"):
        found(store, "a", operator, "x")


def test_value_that_nothing_can_be_compared_with_matches_nothing(store):
    put(store, x={"a": "3"}, y={"a": 3}, z={})
    assert found(store, "a", "text_match", 3) == []
    assert found(store, "a", "in", 3) == []
    assert found(store, "a", "nin", 3) == ["z"]
    assert found(store, "a", ">", None) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, "a\x00b"])
def test_value_that_json_has_not_is_an_error_that_names_the_key(store, value):
    put(store, x={"a": 1})
    with pytest.raises(FilterError, match="'a'"):
        found(store, "a", "==", value)


def test_filter_that_is_nested_or_branched_without_end_is_refused(store):
    group = MetadataFilters(filters=[MetadataFilter(key="a", value=1)])
    for _ in range(30):
        group = MetadataFilters(filters=[group])
    with pytest.raises(FilterError, match="deeper"):
        store.get_nodes(filters=group)
    many = MetadataFilters(filters=[MetadataFilter(key="a", value=n) for n in range(2_000)])
    with pytest.raises(FilterError, match="more than"):
        store.get_nodes(filters=many)
    assert found(store, "a", "in", list(range(40_000))) == []


class Says(MockLLM):
    """A language model that always says the same."""

    words: str = ""

    @classmethod
    def always(cls, words):
        made = cls()
        made.words = words
        return made

    def predict(self, *args, **kwargs):
        return self.words

    async def apredict(self, *args, **kwargs):
        return self.words


HOSTILE = [
    {"key": "owner", "value": "nope' OR '1'='1", "operator": "=="},
    {"key": "owner' = 'nope' OR '1'='1' --", "value": "x", "operator": "=="},
    {"key": 'owner" OR true; DROP TABLE documents; --', "value": ["x"], "operator": "in"},
    {"key": "$id", "value": "a", "operator": "=="},
    {"key": "domain_id", "value": "other", "operator": "=="},
]


@pytest.mark.parametrize("entry", HOSTILE)
async def test_filter_that_a_language_model_writes_stays_data(store, entry):
    put(store, a={"owner": "me"})
    PGRecallVectorStore(store.collection.domain("other")).add([TextNode(id_="b", embedding=[1.0, 2.0])])
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(2))
    retriever = VectorIndexAutoRetriever(
        index,
        vector_store_info=VectorStoreInfo(
            content_info="notes", metadata_info=[MetadataInfo(name="owner", type="str", description="whose")]
        ),
        llm=Says.always(json.dumps({"query": "notes", "filters": [entry], "top_k": 5})),
        embed_model=MockEmbedding(2),
    )
    assert retriever.retrieve("notes") == []
    assert await retriever.aretrieve("notes") == []
    assert [node.node_id for node in store.get_nodes()] == ["a"]


def test_filter_that_a_language_model_writes_selects(store):
    put(store, a={"owner": "me"}, b={"owner": "you"})
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(2))
    info = VectorStoreInfo(content_info="notes", metadata_info=[])
    words = json.dumps({"query": "", "filters": [{"key": "owner", "value": "you", "operator": "=="}]})
    retriever = VectorIndexAutoRetriever(
        index, vector_store_info=info, llm=Says.always(words), default_empty_query_vector=[0.0, 0.0]
    )
    assert [hit.node.node_id for hit in retriever.retrieve("yours")] == ["b"]
