"""Whatever a caller calls things and puts into them comes back as it was."""

import math
import string
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgrecall import HNSW, Client, CollectionConfig, Columns, Record


def examples(count):
    return settings(
        max_examples=count,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


CHARACTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\x00")
TEXTS = st.text(CHARACTERS)
RESERVED = st.sampled_from(["select", "user", "table", "Order", "all", "primary", "null", "stored", "new", "nearest"])
# pg_ is PostgreSQL's own beginning for schemas.
NAMES = (st.text(CHARACTERS, min_size=1, max_size=63) | st.text("\"'\\;${}%. ", min_size=1) | RESERVED).filter(
    lambda name: len(name.encode()) <= 63 and not name.startswith("pg_") and name != "information_schema"
)
SYSTEM = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}
COLUMNS = NAMES.filter(lambda name: name not in SYSTEM)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=12)


@pytest.fixture
def docs(blocking_client):
    return blocking_client.get_or_create_collection("docs", dimensions=2)


def same(found, sent):
    """Whether *found* is what jsonb keeps of *sent*: it may turn a large float into the integer it equals."""
    if isinstance(sent, float):
        return math.isclose(float(found), sent, rel_tol=1e-15, abs_tol=0) and not isinstance(found, bool)
    if isinstance(sent, dict):
        return sent.keys() == found.keys() and all(same(found[key], sent[key]) for key in sent)
    if isinstance(sent, list):
        return len(found) == len(sent) and all(map(same, found, sent))
    return type(found) is type(sent) and found == sent


def verbs(docs):
    """Use every verb once."""
    record = Record(id="a", embedding=[1, 2], content="x", metadata={"n": 1}, document_id="d", chunk_index=1)
    assert docs.upsert([record]).inserted == 1
    assert docs.upsert([record]).unchanged == 1
    assert docs.update(["a"], metadatas={"m": 2}) == 1
    (found,) = docs.get(["a"], include=["embedding", "envelope"])
    assert (found.content, found.metadata, found.document_id, found.chunk_index) == ("x", {"n": 1, "m": 2}, "d", 1)
    assert found.embedding.tolist() == [1, 2]
    assert [match.id for match in docs.search([1, 2], filter={"n": 1})] == ["a"]
    many = [Record(id=f"{n:03}", embedding=[1, n]) for n in range(60)]
    assert docs.upsert(many).inserted == 60
    assert [record.id for record in docs.list(limit=3, after="004").records] == ["005", "006", "007"]
    assert docs.stats().rows == 61
    assert docs.delete(document_ids=["d"], filter={"m": 2}) == 1
    assert docs.clear() == 60


@examples(15)
@given(name=NAMES, schema=NAMES)
def test_any_name_of_a_collection_and_a_schema_will_do(blocking_client, name, schema):
    docs = blocking_client.get_or_create_collection(CollectionConfig(name=name, schema=schema, dimensions=2))
    verbs(docs)
    assert docs.create_index(HNSW(m=4, ef_construction=8)).valid
    assert docs.create_index(HNSW(m=5, ef_construction=10), replace=True).valid
    assert name in blocking_client.list_collections(schema=schema)
    blocking_client.delete_collection(name, schema=schema)


@pytest.mark.parametrize("name", ["é" * 31, "😀" * 15, "x" * 63, "日" * 21])
def test_a_collection_with_a_long_name_can_be_indexed_again_and_again(blocking_client, name):
    docs = blocking_client.get_or_create_collection(name, dimensions=2)
    docs.upsert([Record(id="a", embedding=[1, 2])])
    for m in (4, 5, 6):
        docs.create_index(HNSW(m=m, ef_construction=16), replace=True)
        assert [dict(index.options)["m"] for index in docs.stats().indexes] == [str(m)]


@examples(15)
@given(names=st.lists(COLUMNS, min_size=12, max_size=12, unique=True))
def test_any_names_of_columns_will_do(blocking_client, names):
    logical = Columns().mapping()
    columns = Columns(**dict(zip(logical, names, strict=True)))
    config = CollectionConfig(name="docs", columns=columns, dimensions=2, sparse_dimensions=3)
    docs = blocking_client.get_or_create_collection(config)
    verbs(docs)
    blocking_client.delete_collection("docs")


@pytest.mark.parametrize("shift", range(1, 12))
def test_columns_may_have_each_others_names(blocking_client, shift):
    logical = list(Columns().mapping())
    columns = Columns(**dict(zip(logical, logical[shift:] + logical[:shift], strict=True)))
    config = CollectionConfig(name="docs", columns=columns, dimensions=2, sparse_dimensions=3)
    verbs(blocking_client.get_or_create_collection(config))


@examples(60)
@given(metadata=st.dictionaries(TEXTS, JSON), envelope=st.none() | st.dictionaries(TEXTS, JSON))
def test_any_metadata_comes_back(docs, metadata, envelope):
    docs.upsert([Record(id="a", embedding=[1, 2], metadata=metadata, envelope=envelope)])
    (found,) = docs.get(["a"], include=["envelope"])
    assert same(found.metadata, metadata)
    assert found.envelope is None if envelope is None else same(found.envelope, envelope)


@examples(60)
@given(row_id=TEXTS.filter(bool), content=st.none() | TEXTS, document_id=st.none() | TEXTS.filter(bool))
def test_any_text_comes_back(docs, row_id, content, document_id):
    docs.clear()
    docs.upsert([Record(id=row_id, embedding=[1, 2], content=content, document_id=document_id)])
    (found,) = docs.get([row_id])
    assert (found.id, found.content, found.document_id) == (row_id, content, document_id)
    assert [match.id for match in docs.search([1, 2])] == [row_id]
    assert [record.id for record in docs.list(prefix=row_id[:2]).records] == [row_id]
    assert docs.delete([row_id]) == 1


@examples(40)
@given(st.lists(TEXTS.filter(bool), unique=True, min_size=1, max_size=12), st.integers(1, 5))
def test_pages_of_any_ids_are_complete_and_ordered(docs, ids, limit):
    docs.clear()
    docs.upsert([Record(id=row_id, embedding=[1, 2]) for row_id in ids])
    found, after = [], None
    while len(found) <= len(ids):
        page = docs.list(limit=limit, after=after)
        found += [record.id for record in page.records]
        after = page.next
        if after is None:
            break
    assert found == sorted(ids, key=str.encode)


@examples(40)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=2, max_size=2).filter(any))
def test_any_embedding_comes_back(url, embedding):
    with Client(url) as client:
        docs = client.get_or_create_collection(CollectionConfig(name="docs", dimensions=2, distance="l2"))
        docs.upsert([Record(id="a", embedding=embedding)])
        assert docs.get(["a"], include=["embedding"])[0].embedding.tolist() == embedding


def test_every_printable_character_is_only_text(docs):
    text = string.printable + "é😀\u2028\ufeff\U0010ffff"
    docs.upsert([Record(id=text, embedding=[1, 2], content=text, metadata={text: text})])
    assert docs.count({text.replace(".", r"\."): text}) == 1
    assert docs.get([text])[0].content == text


TYPED = {
    "at": datetime(2024, 2, 29, 12, tzinfo=UTC),
    "day": date(2024, 2, 29),
    "id": uuid.UUID(int=7),
    "price": Decimal("19.90"),
    "share": np.float32(0.1),
    "mass": 1e23,
    "nested": {"list": [Decimal("1.0"), {"day": date(1999, 1, 1)}], "pair": (1, np.int64(2))},
}


def typed_repr(metadata):
    return repr(sorted(metadata.items()))


def test_types_of_metadata_come_back_by_every_way(docs):
    docs.upsert([Record(id="a", embedding=[1, 2], metadata=TYPED)])
    found = [docs.get(["a"])[0], docs.search([1, 2])[0], docs.list().records[0]]
    assert [typed_repr(one.metadata) for one in found] == [typed_repr(TYPED)] * 3


def test_types_of_metadata_follow_updates(docs):
    docs.upsert([Record(id="a", embedding=[1, 2], metadata={"x": uuid.UUID(int=1), "y": date(2024, 1, 1), "n": 1})])
    docs.update(["a"], metadatas={"x": str(uuid.UUID(int=1)), "n": Decimal("1.50")})
    assert typed_repr(docs.get(["a"])[0].metadata) == typed_repr(
        {"x": str(uuid.UUID(int=1)), "y": date(2024, 1, 1), "n": Decimal("1.50")}
    )
    docs.update(["a"], metadatas={"y": "2024-01-01"}, merge=False)
    assert docs.get(["a"])[0].metadata == {"y": "2024-01-01"}


def test_metadata_of_another_type_is_a_change(docs):
    docs.upsert([Record(id="a", embedding=[1, 2], metadata={"day": "2024-01-01"})])
    assert docs.upsert([Record(id="a", embedding=[1, 2], metadata={"day": date(2024, 1, 1)})]).updated == 1
    assert docs.upsert([Record(id="a", embedding=[1, 2], metadata={"day": date(2024, 1, 1)})]).unchanged == 1
    assert docs.upsert([Record(id="a", embedding=[1, 2], metadata={"day": "2024-01-01"})]).updated == 1
    assert docs.get(["a"])[0].metadata == {"day": "2024-01-01"}


def test_typed_metadata_is_plain_json_to_filters(docs):
    docs.upsert([Record(id="a", embedding=[1, 2], metadata=TYPED)])
    assert docs.count({"price": 19.9, "day": "2024-02-29", "id": {"$eq": str(uuid.UUID(int=7))}}) == 1
