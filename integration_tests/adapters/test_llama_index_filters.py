"""LlamaIndex's filters, against the function with which its own store applies them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from pgrecall.llama_index import PGRecallVectorStore

KEYS = st.sampled_from(["a", "b", "x'y"])
TEXTS = st.sampled_from(["", "a", "ab", "A", "10", "100%", "_"])
NUMBERS = st.integers(-2, 2) | st.sampled_from([0.5, -1.5])
LISTS = st.lists(TEXTS, max_size=3) | st.lists(st.integers(-2, 2), max_size=3)
METADATA = st.dictionaries(KEYS, st.none() | TEXTS | NUMBERS | LISTS, max_size=3)
LIST_OPERATORS = [FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY, FilterOperator.ALL]
TEXT_OPERATORS = [FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE]
ORDERS = [FilterOperator.GT, FilterOperator.GTE, FilterOperator.LT, FilterOperator.LTE]
SINGLE = (
    st.builds(MetadataFilter, key=KEYS, value=TEXTS | NUMBERS | LISTS, operator=st.sampled_from(["==", "!="]))
    | st.builds(MetadataFilter, key=KEYS, value=TEXTS | NUMBERS, operator=st.sampled_from(ORDERS))
    | st.builds(MetadataFilter, key=KEYS, value=TEXTS | NUMBERS, operator=st.just(FilterOperator.CONTAINS))
    | st.builds(MetadataFilter, key=KEYS, value=LISTS, operator=st.sampled_from(LIST_OPERATORS))
    | st.builds(MetadataFilter, key=KEYS, value=TEXTS, operator=st.sampled_from(TEXT_OPERATORS))
    | st.builds(MetadataFilter, key=KEYS, value=st.none(), operator=st.just(FilterOperator.IS_EMPTY))
)
GROUPS = st.builds(
    MetadataFilters, filters=st.lists(SINGLE, max_size=3), condition=st.sampled_from([None, *FilterCondition])
)


def expected(filters, metadata):
    """Return what LlamaIndex's own store says; where it raises, types do not fit, and nothing matches."""

    def one(entry):
        try:
            return build_metadata_filter_fn(lambda _: metadata, MetadataFilters(filters=[entry]))("n")
        except TypeError:
            return False

    answers = [one(entry) for entry in filters.filters]
    if filters.condition == FilterCondition.OR and answers:
        return any(answers)
    if filters.condition == FilterCondition.NOT:
        return not any(answers)
    return all(answers)


@pytest.fixture
def store(url):
    store = PGRecallVectorStore(url=url)
    yield store
    store.close()


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(metadatas=st.lists(METADATA, min_size=1, max_size=8), groups=st.lists(GROUPS, min_size=1, max_size=5))
def test_filters_find_what_the_reference_finds(store, metadatas, groups):
    store.clear()
    store.add([TextNode(id_=str(n), embedding=[1.0, n + 1.0], metadata=m) for n, m in enumerate(metadatas)])
    for group in groups:
        wanted = {str(n) for n, metadata in enumerate(metadatas) if expected(group, metadata)}
        assert {node.node_id for node in store.get_nodes(filters=group)} == wanted, group


def test_nested_filters_are_combined(store):
    store.add(
        [TextNode(id_=i, embedding=[1.0, 2.0], metadata=m) for i, m in [("1", {"a": 1}), ("2", {"a": 2, "b": 3})]]
    )
    one = MetadataFilters(filters=[MetadataFilter(key="a", value=2), MetadataFilter(key="b", value=3)])
    group = MetadataFilters(filters=[one, MetadataFilter(key="a", value=1)], condition=FilterCondition.OR)
    assert [node.node_id for node in store.get_nodes(filters=group)] == ["1", "2"]
