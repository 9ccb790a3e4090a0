"""Records to rows: checked and encoded before anything is sent."""

import uuid
from datetime import UTC, datetime

import numpy as np
import pytest

from pgrecall import Columns, Record, RecordBatch
from pgrecall.errors import ConfigError, DimensionMismatch, RecordError
from pgrecall.records import as_records
from pgrecall.rows import check_id, prepare, prepare_changes
from pgrecall.scope import Scope
from tests.tables import table

ACME = Scope.of("acme")
HERE = [1.0, 2.0, 3.0]


def rows(*records, scope=ACME, **changes):
    prepared, ids = prepare(as_records(records), table(**changes), scope)
    prepared.finish()
    return prepared, ids


def changed(ids, *, embeddings=None, contents=None, metadatas=None, **changes):
    columns = {"embeddings": embeddings, "contents": contents, "metadatas": metadatas}
    return prepare_changes(table(**changes), ids, columns, merge=True)


def test_prepare_encodes_every_column():
    found, ids = rows(Record(id="a", embedding=HERE, content="x", metadata={"n": 1}, document_id="d", chunk_index=3))
    hashed = found.columns.pop("content_hash")
    embedding = found.columns.pop("embedding")
    assert ids == ["a"]
    assert found.columns == {
        "id": ["a"],
        "domain_id": ["acme"],
        "document_id": ["d"],
        "chunk_index": [3],
        "content": ["x"],
        "metadata": [b'{"n":1}'],
        "metadata_types": [None],
        "envelope": [None],
    }
    assert [len(hashed[0]), len(embedding[0])] == [16, 16]


def test_prepare_makes_ids_where_there_are_none():
    found, ids = rows(Record(embedding=HERE), Record(embedding=HERE))
    assert len({uuid.UUID(row_id) for row_id in ids}) == 2
    assert found.made
    assert found.columns["id"] == ids


def test_prepare_does_not_take_given_ids_for_made():
    found, _ = rows(Record(embedding=HERE), Record(id="a", embedding=HERE))
    assert not found.made


def test_prepare_keeps_the_last_of_equal_ids():
    found, ids = rows(*(Record(id=i, embedding=HERE, content=c) for i, c in ("b1", "a2", "b3", "a4")))
    assert ids == ["b", "a", "b", "a"]
    assert list(zip(found.columns["id"], found.columns["content"], strict=True)) == [("a", "4"), ("b", "3")]


def test_prepare_sorts_rows_so_that_writers_cannot_deadlock():
    found, _ = rows(*(Record(id=i, embedding=HERE) for i in "cab"))
    assert found.columns["id"] == ["a", "b", "c"]


def test_prepare_keeps_equal_ids_of_two_domains():
    found, _ = rows(
        Record(id="a", embedding=HERE, domain_id="y"),
        Record(id="a", embedding=HERE, domain_id="x"),
        scope=Scope.everything(),
    )
    assert found.columns["domain_id"] == ["x", "y"]


def test_prepare_gives_every_record_the_domain_of_the_scope():
    found, _ = rows(Record(id="a", embedding=HERE, metadata={"domain_id": "other"}))
    assert found.columns["domain_id"] == ["acme"]


@pytest.mark.parametrize("domain", ["other", "", 5])
def test_prepare_of_a_record_of_another_domain_is_an_error(domain):
    with pytest.raises(RecordError, match=r"record 0 \(id 'a'\).*bound to domain 'acme'"):
        rows(Record(id="a", embedding=HERE, domain_id=domain))


@pytest.mark.parametrize("domain", [None, "", 5, "\x00", "\ud800"])
def test_prepare_for_all_domains_needs_a_domain_of_each_record(domain):
    with pytest.raises(RecordError, match="record 0"):
        rows(Record(id="a", embedding=HERE, domain_id=domain), scope=Scope.everything())


def test_prepare_hashes_what_an_upsert_would_change():
    variants = [
        {},
        {"content": "x"},
        {"content": ""},
        {"metadata": {"a": 1}},
        {"document_id": "d"},
        {"chunk_index": 0},
        {"envelope": {}},
        {"embedding": [1.0, 2.0, 3.5]},
        {"content": "ab", "document_id": "c"},
        {"content": "b", "document_id": "ca"},
    ]
    hashes = [rows(Record(**{"id": "a", "embedding": HERE, **more}))[0].columns["content_hash"][0] for more in variants]
    assert len(set(hashes)) == len(variants)


def test_prepare_hashes_neither_domain_nor_time():
    early, late = datetime(2020, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
    one, _ = rows(Record(id="a", embedding=HERE, created_at=early))
    other, _ = rows(Record(id="a", embedding=HERE, created_at=late), scope=Scope.of("other"))
    assert one.columns["content_hash"] == other.columns["content_hash"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": 5.0}, "id must be text, not float"),
        ({"id": True}, "id must be text, not bool"),
        ({"id": ""}, "id must not be empty|id the id must not be empty"),
        ({"id": "x" * 2_001}, "longer than 2000 bytes"),
        ({"id": "é" * 1_001}, "longer than 2000 bytes"),
        ({"id": "a\x00"}, "NUL"),
        ({"id": "\ud800"}, "surrogate"),
        ({"content": "a\x00b"}, "content.*NUL"),
        ({"content": "\ud800"}, "content.*surrogate"),
        ({"content": b"x"}, "content must be text, not bytes"),
        ({"metadata": [1]}, "metadata must be a mapping, not list"),
        ({"metadata": "x"}, "metadata must be a mapping, not str"),
        ({"metadata": {"a": float("nan")}}, "metadata.*nan"),
        ({"metadata": {"a": {1}}}, "metadata.*set"),
        ({"metadata": {"a": "\x00"}}, "metadata.*NUL"),
        ({"metadata": {"\x00": 1}}, "metadata.*NUL"),
        ({"metadata": {1: 2}}, "keys must be strings"),
        ({"metadata": {"a": 10**5_000}}, "metadata"),
        ({"envelope": 3}, "envelope must be a mapping"),
        ({"document_id": 3}, "document_id must be text"),
        ({"chunk_index": "1"}, "chunk_index must be a whole number"),
        ({"chunk_index": True}, "chunk_index must be a whole number"),
        ({"chunk_index": 2**31}, "chunk_index must be a whole number"),
        ({"created_at": datetime(2024, 1, 1)}, "created_at.*time zone"),  # noqa: DTZ001
        ({"created_at": "2024"}, "created_at.*datetime"),
        ({"embedding": [1.0, float("nan"), 0.0]}, "NaN"),
        ({"embedding": [0, 0, 0]}, "zero vector"),
        ({"embedding": None}, "no embedding"),
    ],
)
def test_prepare_names_the_record_that_cannot_be_stored(fields, message):
    bad = Record(**{"id": "a", "embedding": HERE, **fields})
    with pytest.raises(RecordError, match=f"record 1.*({message})"):
        rows(Record(id="good", embedding=HERE), bad)


def test_prepare_names_the_record_with_other_dimensions():
    with pytest.raises(DimensionMismatch, match=r"record 1 \(id 'b'\).* 2 dimensions"):
        rows(Record(id="a", embedding=HERE), Record(id="b", embedding=[1, 2]))


def test_prepare_takes_whole_numbers_of_numpy():
    assert rows(Record(id="a", embedding=HERE, chunk_index=np.int64(3)))[0].columns["chunk_index"] == [3]


def test_prepare_leaves_the_time_to_the_server():
    assert "created_at" not in rows(Record(id="a", embedding=HERE))[0].columns


def test_prepare_takes_the_callers_time():
    time = datetime(2020, 1, 1, tzinfo=UTC)
    assert rows(Record(id="a", embedding=HERE, created_at=time))[0].columns["created_at"] == [time]


def test_prepare_of_a_field_without_a_column_is_an_error():
    with pytest.raises(RecordError, match=r"record 0.* has content, but public\.docs has no column"):
        rows(Record(id="a", embedding=HERE, content="x"), columns=Columns(content=None))


def test_prepare_of_fields_that_are_empty_needs_no_columns():
    columns = Columns(
        content=None, metadata=None, metadata_types=None, document_id=None, chunk_index=None, envelope=None
    )
    assert rows(Record(id="a", embedding=HERE), columns=columns)[0].columns.keys() == {
        "id",
        "domain_id",
        "embedding",
        "content_hash",
    }


@pytest.mark.parametrize(
    ("id_type", "given", "kept"),
    [
        ("text", "a", "a"),
        ("uuid", "{00000000-0000-0000-0000-00000000000A}", "00000000-0000-0000-0000-00000000000a"),
        ("bigint", "7", "7"),
        ("bigint", "-7", "-7"),
        ("bigint", "007", "7"),
    ],
)
def test_check_id_keeps_ids_as_the_server_prints_them(id_type, given, kept):
    assert check_id(given, table(id_type=id_type)) == kept


@pytest.mark.parametrize(
    ("id_type", "given", "message"),
    [
        ("uuid", "a", "not a UUID"),
        ("bigint", "a", "not a whole number"),
        ("bigint", "1.5", "not a whole number"),
        ("bigint", "--5", "not a whole number"),
        ("bigint", "9223372036854775808", "9223372036854775808"),
        ("integer", "2147483648", "2147483648"),
        ("bigint", "٣", "٣"),
    ],
)
def test_check_id_refuses_what_the_column_cannot_hold(id_type, given, message):
    with pytest.raises(ValueError, match=message):
        check_id(given, table(id_type=id_type))


def test_prepare_cannot_make_ids_for_a_column_of_numbers():
    with pytest.raises(RecordError, match="id"):
        rows(Record(embedding=HERE), id_type="bigint")


def test_prepare_changes_holds_only_what_changes():
    assert changed(["a"], contents=["x"]).columns == {"id": ["a"], "content": ["x"]}


def test_prepare_changes_keeps_the_last_of_equal_ids():
    assert changed(["a", "a"], contents=["x", "y"]).columns == {"id": ["a"], "content": ["y"]}


@pytest.mark.parametrize("given", [{"contents": ["x"]}, {"embeddings": [HERE]}, {"metadatas": [{}, {}, {}]}])
def test_prepare_changes_of_another_length_is_an_error(given):
    with pytest.raises(RecordError, match="entries, but there are 2 ids"):
        changed(["a", "b"], **given)


@pytest.mark.parametrize(
    "columns",
    [
        {"ids": ["a"]},
        {"contents": ["a", "b", "c"]},
        {"metadatas": []},
        {"ids": "ab"},
        {"ids": iter("ab")},
        {"domain_ids": ["x"]},
    ],
)
def test_batch_whose_columns_differ_in_length_is_an_error(columns):
    with pytest.raises(ConfigError, match=r"entries|sequence"):
        RecordBatch(embeddings=np.ones((2, 3)), **columns)


@pytest.mark.parametrize("embeddings", [None, 5, np.array(1.0), iter([HERE])])
def test_batch_of_what_is_no_sequence_is_an_error(embeddings):
    with pytest.raises(ConfigError, match="embeddings"):
        RecordBatch(embeddings=embeddings)


def test_batch_is_cut_in_all_its_columns():
    batch = RecordBatch(embeddings=np.ones((3, 2)), ids=["a", "b", "c"]).slice(1, 3)
    assert (len(batch), batch.ids, batch.contents) == (2, ["b", "c"], None)


def test_batch_from_what_is_no_record_is_an_error():
    with pytest.raises(ConfigError, match="record 1 is a dict, not a Record"):
        RecordBatch.from_records([Record(), {"id": "a"}])
