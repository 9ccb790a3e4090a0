"""Bad input: a clear error of ours before anything is sent, and nothing half-written."""

import math

import numpy as np
import pytest

from pgrecall import AsyncClient, AsyncCollection, Collection, CollectionConfig, Record, RecordBatch, RecordChange
from pgrecall.collection.opening import open_collection
from pgrecall.errors import ConfigError, DimensionMismatch, PGRecallError, RecordError

GOOD = [1.0, 2.0, 3.0]

FAULTS = {
    "short embedding": ({"embedding": [1, 2]}, DimensionMismatch, "2 dimensions, but 3 are expected"),
    "long embedding": ({"embedding": [1, 2, 3, 4]}, DimensionMismatch, "4 dimensions"),
    "empty embedding": ({"embedding": []}, DimensionMismatch, "0 dimensions"),
    "no embedding": ({"embedding": None}, RecordError, "no embedding"),
    "text as embedding": ({"embedding": "abc"}, RecordError, "numbers"),
    "NaN": ({"embedding": [1, math.nan, 3]}, RecordError, "NaN"),
    "infinity": ({"embedding": [1, math.inf, 3]}, RecordError, "infinity"),
    "float32 overflow": ({"embedding": [1, 1e39, 3]}, RecordError, "cannot hold"),
    "zero vector": ({"embedding": [0, 0, 0]}, RecordError, "zero vector"),
    "NUL in content": ({"content": "a\x00b"}, RecordError, "content.*NUL"),
    "NUL in id": ({"id": "a\x00b"}, RecordError, "id.*NUL"),
    "NUL in a metadata value": ({"metadata": {"k": "\x00"}}, RecordError, "metadata k.*NUL"),
    "NUL in a metadata key": ({"metadata": {"\x00": 1}}, RecordError, "metadata.*key.*NUL"),
    "NUL deep in metadata": ({"metadata": {"k": [{"x": "\x00"}]}}, RecordError, r"k\[0\]\.x.*NUL"),
    "NUL in document id": ({"document_id": "\x00"}, RecordError, "document_id.*NUL"),
    "NUL in envelope": ({"envelope": {"k": "\x00"}}, RecordError, "envelope.*NUL"),
    "surrogate in content": ({"content": "\ud800"}, RecordError, "content.*surrogate"),
    "surrogate in id": ({"id": "\ud800"}, RecordError, "id.*surrogate"),
    "surrogate in metadata": ({"metadata": {"k": "\udfff"}}, RecordError, "metadata k.*surrogate"),
    "id that is a fraction": ({"id": 5.0}, RecordError, "id must be text, not float"),
    "empty id": ({"id": ""}, RecordError, "empty"),
    "id too long": ({"id": "x" * 2_001}, RecordError, "longer than 2000 bytes"),
    "metadata that is a list": ({"metadata": [1]}, RecordError, "metadata must be a mapping, not list"),
    "metadata that is text": ({"metadata": "x"}, RecordError, "metadata must be a mapping, not str"),
    "NaN in metadata": ({"metadata": {"k": math.nan}}, RecordError, "metadata k is nan"),
    "set in metadata": ({"metadata": {"k": {1}}}, RecordError, "metadata k is a set"),
    "number as metadata key": ({"metadata": {1: 2}}, RecordError, "keys must be strings"),
    "chunk index out of range": ({"chunk_index": 2**31}, RecordError, "chunk_index"),
    "content that is bytes": ({"content": b"x"}, RecordError, "content must be text, not bytes"),
    "another domain": ({"domain_id": "other"}, RecordError, "bound to domain 'default'"),
}


def around(bad):
    """Return *bad* between two batches' worth of good records."""
    before = [Record(id=f"before {n}", embedding=GOOD) for n in range(60)]
    after = [Record(id=f"after {n}", embedding=GOOD) for n in range(60)]
    return [*before, bad, *after]


@pytest.mark.parametrize("fault", FAULTS)
async def test_upsert_of_one_bad_record_among_many_names_it_and_writes_nothing(docs, fault):
    fields, error, message = FAULTS[fault]
    with pytest.raises(error, match=f"record 60.*{message}"):
        await docs.upsert(around(Record(**{"id": "bad", "embedding": GOOD, **fields})))
    assert await docs.all_domains().count() == 0


async def test_bad_input_does_not_break_the_collection(docs):
    with pytest.raises(RecordError):
        await docs.upsert([Record(id="bad", embedding=[0, 0, 0])])
    await docs.upsert([Record(id="good", embedding=GOOD)])
    assert await docs.count() == 1


async def test_upsert_of_what_halfvec_cannot_hold_writes_nothing(client):
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=3, vector_type="halfvec"))
    with pytest.raises(RecordError, match=r"record 60.*halfvec cannot hold"):
        await docs.upsert(around(Record(id="bad", embedding=[1, 70_000, 3])))
    assert await docs.count() == 0


async def test_upsert_of_what_is_no_bit_writes_nothing(client):
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=3, vector_type="bit"))
    good = [Record(id=str(n), embedding=[1, 0, 1]) for n in range(60)]
    with pytest.raises(RecordError, match=r"record 60.*only 0 and 1"):
        await docs.upsert([*good, Record(id="bad", embedding=[1, 2, 0])])
    assert await docs.count() == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
async def test_upsert_of_a_matrix_with_one_bad_row_names_it_and_writes_nothing(docs, bad):
    matrix = np.ones((100, 3))
    matrix[77, 1] = bad
    with pytest.raises(RecordError, match="record 77"):
        await docs.upsert(RecordBatch(embeddings=matrix))
    assert await docs.count() == 0


@pytest.mark.parametrize(
    "columns", [{"ids": ["a"]}, {"contents": []}, {"metadatas": [{}] * 3}, {"document_ids": "ab"}, {"ids": 5}]
)
async def test_columns_of_mismatched_lengths_are_an_error(columns):
    with pytest.raises(ConfigError, match=next(iter(columns))):
        RecordBatch(embeddings=np.ones((2, 3)), **columns)


async def test_a_document_id_of_any_length_up_to_the_limit_is_stored(docs):
    await docs.upsert([Record(id="x" * 2_000, embedding=GOOD)])
    await docs.upsert([Record(id="a", embedding=GOOD, document_id="é" * 1_000)])
    assert await docs.count() == 2


async def test_an_id_and_a_domain_at_their_limits_are_stored_or_refused_by_us(docs):
    try:
        await docs.domain("d" * 2_000).upsert([Record(id="x" * 2_000, embedding=GOOD)])
    except ConfigError:
        assert await docs.all_domains().count() == 0


async def test_metadata_of_any_size_is_stored(docs):
    metadata = {"text": "x" * 1_000_000, "many": {f"k{n}": n for n in range(1_000)}}
    await docs.upsert([Record(id="a", embedding=GOOD, metadata=metadata, content="y" * 1_000_000)])
    (found,) = await docs.get(["a"])
    assert found.metadata == metadata


async def test_metadata_with_a_number_beyond_postgresqls_is_refused_and_nothing_written(docs):
    from decimal import Decimal

    from pgrecall.errors import PGRecallError

    with pytest.raises(PGRecallError):
        await docs.upsert(around(Record(id="bad", embedding=GOOD, metadata={"n": Decimal("1e140000")})))
    assert await docs.count() == 0


NO_IDS = {
    "nothing": None,
    "one text": "a",
    "bytes": b"a",
    "a number": 5,
    "a mapping": {"a": 1},
    "an array of no dimensions": np.array("a"),
    "None among them": [None],
    "bytes among them": [b"a"],
    "an empty text among them": [""],
    "a list among them": [["a"]],
    "a truth value among them": [True],
    "a fraction among them": [1.5],
}
BY_ID = {
    "get": lambda docs, ids: docs.get(ids),
    "delete": lambda docs, ids: docs.delete(ids, filter={"n": 1}),
    "delete_returning": lambda docs, ids: docs.delete_returning(ids, filter={"n": 1}),
    "update": lambda docs, ids: docs.update(ids, metadatas={"n": 2}),
}


@pytest.mark.parametrize("verb", BY_ID)
@pytest.mark.parametrize("what", NO_IDS)
@pytest.mark.parametrize("name", ["docs", "missing"])
async def test_what_is_no_list_of_ids_is_named_at_once(docs, client, name, what, verb):
    await docs.upsert([Record(id="a", embedding=GOOD)])
    ids = NO_IDS[what]
    if ids is None and "delete" in verb:
        pytest.skip("there None says that the ids do not matter")
    with pytest.raises((ConfigError, RecordError), match="ids"):
        await BY_ID[verb](client.collection(name), ids)
    assert [(record.id, record.metadata) for record in (await docs.list()).records] == [("a", {})]


async def test_ids_that_can_be_read_once_are_ids(docs, client):
    await docs.upsert([Record(id="a", embedding=GOOD)])
    assert await docs.update((one for one in "ab"), metadatas={"n": 1}) == 1
    assert [record.metadata for record in await docs.get(iter("a"))] == [{"n": 1}]
    assert await client.collection("missing").get(iter("ab")) == [None, None]
    assert await docs.delete(iter("a")) == 1


@pytest.mark.parametrize("name", ["docs", "missing"])
@pytest.mark.parametrize("verb", ["upsert", "replace", "replace_documents", "amend", "neighbours"])
@pytest.mark.parametrize(
    "bad", [None, 5, "ab", b"ab", Record(id="a", embedding=GOOD), {"id": "a"}, [None], [{"id": "a"}], [["a"]], Record]
)
async def test_what_are_no_records_is_named_and_nothing_written(docs, client, name, verb, bad):
    with pytest.raises(ConfigError, match=r"record|change|chunks"):
        await getattr(client.collection(name), verb)(bad)
    assert await docs.count() == 0


SETTINGS = {
    "search": {"options": 5, "include": 5, "k": "x", "filter": 5},
    "search_mmr": {"mmr": None},
    "search_range": {"max_distance": "x"},
    "create_index": {"index": "hnsw", "options": 5},
    "wait_for_index": {"timeout": "x"},
    "copy_to": {"target": "docs", "convert": 5},
    "recommend": {"positive": [b"a"], "negative": 5},
    "search_many": {"embeddings": 5},
    "keep_models": {"embeds": ["a"]},
    "replace_documents": {"document_ids": 5},
    "update": {"contents": 5, "embeddings": 5, "metadatas": {1, 2}},
    "search_keyword": {"options": 5},
    "search_hybrid": {"options": 5},
}
OTHERS = {
    "search": {"embedding": GOOD},
    "search_mmr": {"embedding": GOOD},
    "search_range": {"embedding": GOOD},
    "recommend": {"positive": ["a"]},
    "replace_documents": {"records": []},
    "update": {"ids": ["a"]},
    "search_keyword": {"query": "a"},
    "search_hybrid": {"query": "a", "embedding": GOOD},
}


@pytest.mark.parametrize(("verb", "argument"), [(verb, name) for verb, given in SETTINGS.items() for name in given])
async def test_an_argument_of_another_type_is_named(docs, verb, argument):
    others = {"target": docs.domain("other")} if verb == "copy_to" else OTHERS.get(verb, {})
    with pytest.raises(PGRecallError, match="filter|max_distance" if argument == "filter" else argument):
        await getattr(docs, verb)(**{**others, argument: SETTINGS[verb][argument]})


@pytest.mark.parametrize("bad", [None, 5, b"docs", ["docs"], {"name": "docs"}, CollectionConfig, object()])
async def test_what_is_no_collection_is_named_by_whatever_takes_one(client, bad):
    with pytest.raises(ConfigError, match="a name or a CollectionConfig"):
        client.collection(bad)
    for verb in (client.create_collection, client.get_collection, client.get_or_create_collection):
        with pytest.raises(ConfigError, match="a name or a CollectionConfig"):
            await verb(bad)
    assert await client.list_collections() == []


async def test_a_client_and_a_collection_are_not_taken_for_each_other(client, docs):
    for make in (client.collection, AsyncCollection, open_collection):
        with pytest.raises(ConfigError, match=r"collection must be|a collection is made of"):
            make(client)
    with pytest.raises(ConfigError, match="an AsyncCollection"):
        Collection(client)
    with pytest.raises(ConfigError, match="a Client or an AsyncClient"):
        open_collection("docs", client=docs)
    with pytest.raises(ConfigError, match="a PoolConfig"):
        AsyncClient("postgresql://h/d", pool=5)


@pytest.mark.parametrize("bad", [{"a": 1}, {"a"}, np.array(1.0)])
def test_columns_without_an_order_are_refused(bad):
    for columns in ({"embeddings": bad}, {"embeddings": [GOOD], "ids": bad}, {"embeddings": [GOOD], "optional": bad}):
        with pytest.raises(ConfigError, match="must be"):
            RecordBatch(**columns)


async def test_a_change_without_an_id_is_refused(docs):
    with pytest.raises(RecordError, match="id"):
        await docs.amend([RecordChange(id=None, content="x")])


@pytest.mark.parametrize("bad", NO_IDS)
async def test_what_are_no_keys_is_named_by_ledgers_and_key_values(docs, client, bad):
    if NO_IDS[bad] == [""]:
        pytest.skip("a key may be empty")
    for take in (docs.ledger("n").mark, docs.ledger("n").unmark, client.key_values("n").get):
        with pytest.raises((ConfigError, RecordError), match="keys"):
            await take(NO_IDS[bad])
    with pytest.raises((ConfigError, RecordError), match="group_ids"):
        await docs.ledger("n").mark(["a"], group_ids=5)
