"""Writing: what goes in is what is stored, once, whole, and only where it has changed."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from pgrecall import CollectionConfig, Columns, Record, RecordBatch, RecordChange
from pgrecall.errors import ConfigError, RecordError, SchemaError

pytestmark = pytest.mark.core

ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]
ROW_VERSIONS = "SELECT id, xmin, ctid FROM docs ORDER BY id"


def records(count, **more):
    return [Record(id=f"{n:04}", embedding=[n + 1, 1, 1], content=str(n), **more) for n in range(count)]


async def stored(docs, ids):
    return [record.embedding.tolist() for record in await docs.get(ids, include=["embedding"])]


async def test_upsert_keeps_every_field(docs):
    time = datetime(2020, 2, 29, 12, 30, tzinfo=UTC)
    await docs.upsert(
        [
            Record(
                id="a",
                embedding=[1, 2, 3],
                content="hello",
                metadata={"n": 1, "deep": {"list": [None, 1.5, "é"]}},
                document_id="d",
                chunk_index=7,
                created_at=time,
                envelope={"kind": "node"},
            )
        ]
    )
    (found,) = await docs.get(["a"], include=["embedding", "envelope"])
    assert found.embedding.tolist() == [1, 2, 3]
    assert found.embedding.dtype == np.float32
    assert (found.id, found.content, found.document_id, found.chunk_index) == ("a", "hello", "d", 7)
    assert found.metadata == {"n": 1, "deep": {"list": [None, 1.5, "é"]}}
    assert (found.created_at, found.envelope, found.domain_id) == (time, {"kind": "node"}, "default")


async def test_upsert_of_the_least_leaves_the_rest_empty(docs):
    await docs.upsert([Record(id="a", embedding=[1, 2, 3])])
    (found,) = await docs.get(["a"])
    assert (found.content, found.metadata, found.document_id, found.chunk_index) == (None, {}, None, None)
    assert found.created_at.tzinfo is not None


async def test_upsert_makes_ids_where_there_are_none(docs):
    result = await docs.upsert([Record(embedding=row) for row in ROWS])
    assert len({uuid.UUID(row_id) for row_id in result.ids}) == 3
    assert await stored(docs, result.ids) == ROWS


async def test_upsert_makes_only_the_ids_that_are_missing(docs):
    result = await docs.upsert([Record(id="a", embedding=ROWS[0]), Record(embedding=ROWS[1])])
    assert result.ids[0] == "a"
    assert await stored(docs, result.ids) == ROWS[:2]


@pytest.mark.parametrize(
    "embeddings",
    [
        np.array(ROWS, np.float32),
        np.array(ROWS, np.float64),
        np.array(ROWS, np.float16),
        np.array(ROWS, np.float32, order="F"),
        np.array([[*row, 0.0] for row in ROWS], np.float32)[:, :3],
        np.array([ROWS[0], ROWS[0], ROWS[1], ROWS[1], ROWS[2]])[::2],
        ROWS,
        [np.array(row) for row in ROWS],
    ],
    ids=["float32", "float64", "float16", "fortran", "columns", "strided", "lists", "arrays"],
)
async def test_upsert_of_a_batch_takes_embeddings_of_any_form(docs, embeddings):
    result = await docs.upsert(RecordBatch(embeddings=embeddings, ids=["a", "b", "c"]))
    assert result.ids == ["a", "b", "c"]
    assert await stored(docs, result.ids) == ROWS


async def test_upsert_of_a_batch_keeps_every_column(docs):
    time = datetime(2020, 2, 29, tzinfo=UTC)
    batch = RecordBatch(
        embeddings=np.array(ROWS),
        ids=["a", "b", "c"],
        contents=["x", None, "z"],
        metadatas=[{"n": 1}, None, {}],
        document_ids=["d", "d", None],
        chunk_indexes=[0, 1, None],
        created_ats=[time, time, time],
        envelopes=[{"k": 1}, None, None],
    )
    await docs.upsert(batch)
    found = await docs.get(["a", "b", "c"], include=["envelope"])
    assert [record.content for record in found] == ["x", None, "z"]
    assert [record.metadata for record in found] == [{"n": 1}, {}, {}]
    assert [record.document_id for record in found] == ["d", "d", None]
    assert [record.chunk_index for record in found] == [0, 1, None]
    assert [record.created_at for record in found] == [time] * 3
    assert [record.envelope for record in found] == [{"k": 1}, None, None]


@pytest.mark.parametrize("count", [1, 49, 50, 1_001, 2_345])
async def test_upsert_counts_what_is_new_changed_and_unchanged(docs, count):
    given = records(count)
    first = await docs.upsert(given)
    assert (first.inserted, first.updated, first.unchanged) == (count, 0, 0)
    again = await docs.upsert(given)
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, count)
    other = await docs.upsert([Record(id=r.id, embedding=r.embedding, content="new") for r in given])
    assert (other.inserted, other.updated, other.unchanged) == (0, count, 0)
    assert await docs.count() == count


async def test_upsert_of_new_changed_and_unchanged_together(docs):
    await docs.upsert(records(100))
    mixed = [*records(50), *(Record(id=f"{n:04}", embedding=[1, 1, 1]) for n in range(50, 200))]
    result = await docs.upsert(mixed)
    assert (result.inserted, result.updated, result.unchanged) == (100, 50, 50)


async def test_upsert_leaves_unchanged_rows_where_they_are(docs, connection):
    await docs.upsert(records(60, metadata={"a": [1, 2]}))
    before = await connection.fetch(ROW_VERSIONS)
    await docs.upsert(records(60, metadata={"a": [1, 2]}))
    assert await connection.fetch(ROW_VERSIONS) == before


async def test_upsert_replaces_the_whole_record(docs):
    await docs.upsert([Record(id="a", embedding=[1, 2, 3], content="x", metadata={"a": 1}, document_id="d")])
    await docs.upsert([Record(id="a", embedding=[4, 5, 6], metadata={"b": 2})])
    (found,) = await docs.get(["a"], include=["embedding"])
    assert found.embedding.tolist() == [4, 5, 6]
    assert (found.content, found.metadata, found.document_id) == (None, {"b": 2}, None)


async def test_upsert_keeps_the_time_of_the_first_write(docs):
    await docs.upsert([Record(id="a", embedding=[1, 2, 3], content="old")])
    (before,) = await docs.get(["a"])
    late = datetime(2030, 1, 1, tzinfo=UTC)
    await docs.upsert([Record(id="a", embedding=[1, 2, 3], content="new", created_at=late)])
    (after,) = await docs.get(["a"])
    assert (after.content, after.created_at) == ("new", before.created_at)


@pytest.mark.parametrize("count", [3, 120])
async def test_upsert_of_equal_ids_keeps_the_last_and_returns_an_id_for_each(docs, count):
    given = [Record(id=f"{n % 3}", embedding=[1, 2, 3], content=str(n)) for n in range(count)]
    result = await docs.upsert(given)
    assert result.ids == [record.id for record in given]
    assert (result.inserted, result.updated, result.unchanged) == (3, 0, 0)
    assert [record.content for record in await docs.get(["0", "1", "2"])] == [str(n) for n in range(count - 3, count)]


async def test_upsert_of_equal_ids_in_two_batches_keeps_the_last(docs):
    given = (Record(id="a", embedding=[1, 2, 3], content=str(n)) for n in range(5))
    result = await docs.upsert(given, batch_size=2)
    assert result.ids == ["a"] * 5
    assert (await docs.get(["a"]))[0].content == "4"


@pytest.mark.parametrize(
    "nothing", [[], (), iter(()), RecordBatch(embeddings=[]), RecordBatch(embeddings=np.ones((0, 3)))]
)
async def test_upsert_of_nothing_writes_nothing(docs, nothing):
    result = await docs.upsert(nothing)
    assert (result.ids, result.inserted, result.updated, result.unchanged) == ([], 0, 0, 0)


class Taken:
    """Records one by one, counting how many were taken."""

    def __init__(self, docs, batch_size, count=10):
        self.docs, self.batch_size, self.count = docs, batch_size, count
        self.ahead = []

    async def __aiter__(self):
        for number in range(self.count):
            self.ahead.append(number - await self.docs.count())
            yield Record(id=str(number), embedding=[1, 1, 1])


async def test_upsert_takes_one_batch_ahead_of_an_asynchronous_generator(docs):
    taken = Taken(docs, 4)
    result = await docs.upsert(taken, batch_size=4)
    assert result.ids == [str(number) for number in range(10)]
    assert max(taken.ahead) < 4


async def test_upsert_takes_one_batch_ahead_of_a_generator(docs):
    alive = set()

    class Counted(list):
        def __init__(self, number):
            super().__init__([1, 1, 1])
            self.number = number
            alive.add(number)

        def __del__(self):
            alive.discard(self.number)

    most = []

    def given():
        for number in range(40):
            most.append(len(alive))
            yield Record(id=str(number), embedding=Counted(number))

    result = await docs.upsert(given(), batch_size=4)
    assert result.inserted == 40
    assert max(most) <= 8


async def test_upsert_of_a_generator_used_up_writes_nothing(docs):
    given = (Record(id=str(n), embedding=[1, 1, 1]) for n in range(3))
    assert (await docs.upsert(given)).inserted == 3
    again = await docs.upsert(given)
    assert (again.ids, again.inserted, again.unchanged) == ([], 0, 0)


async def test_upsert_of_a_generator_that_fails_keeps_the_batches_before(docs):
    def given():
        yield from records(5)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        await docs.upsert(given(), batch_size=2)
    assert await docs.count() == 4


async def test_upsert_of_a_list_with_a_fault_at_its_end_writes_nothing(docs):
    with pytest.raises(RecordError, match="record 10"):
        await docs.upsert([*records(10), Record(id="bad", embedding=[float("nan"), 1, 1])], batch_size=2)
    assert await docs.count() == 0


@pytest.mark.parametrize("batch_size", [0, -1, True, "5", 100_001])
async def test_upsert_in_batches_of_an_impossible_size_is_an_error(docs, batch_size):
    with pytest.raises(ConfigError, match="batch_size"):
        await docs.upsert(records(1), batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [0, -1, True, "5", 100_001])
def test_blocking_upsert_in_batches_of_an_impossible_size_is_an_error(blocking_client, batch_size):
    docs = blocking_client.get_or_create_collection("docs", dimensions=3)
    with pytest.raises(ConfigError, match="batch_size"):
        docs.upsert(iter(records(1)), batch_size=batch_size)


@pytest.mark.parametrize(
    "given", ["abc", b"abc", {"id": "a"}, None, 5, Record(id="a", embedding=[1, 1, 1]), [{"id": "a"}], np.ones((2, 3))]
)
async def test_upsert_of_what_is_no_record_is_an_error(docs, given):
    with pytest.raises(ConfigError, match="Record"):
        await docs.upsert(given)


async def test_uuid_collection_keeps_uuids_and_makes_them(client, connection):
    docs = await client.create_collection(CollectionConfig(name="docs", id_type="uuid", dimensions=3))
    given = str(uuid.uuid4())
    result = await docs.upsert([Record(id=given.upper(), embedding=[1, 1, 1]), Record(embedding=[1, 1, 2])])
    assert result.ids[0] == given
    assert [record.id for record in await docs.get([given.upper(), result.ids[1]])] == result.ids
    assert str(await connection.fetchval("SELECT pg_typeof(id)::text FROM docs LIMIT 1")) == "uuid"


@pytest.mark.parametrize("count", [2, 60])
async def test_uuid_collection_is_written_and_rewritten(client, count):
    docs = await client.create_collection(CollectionConfig(name="docs", id_type="uuid", dimensions=3))
    given = [Record(id=str(uuid.UUID(int=n)), embedding=[1, 1, n]) for n in range(count)]
    assert (await docs.upsert(given)).inserted == count
    assert (await docs.upsert(given)).unchanged == count


async def test_uuid_collection_refuses_other_ids(client):
    docs = await client.create_collection(CollectionConfig(name="docs", id_type="uuid", dimensions=3))
    with pytest.raises(RecordError, match=r"'a' is not a UUID.*id_type='text'"):
        await docs.upsert([Record(id="a", embedding=[1, 1, 1])])
    assert await docs.count() == 0


async def test_upsert_that_meets_old_rows_after_new_ones_counts_and_replaces_them(docs):
    old = [Record(id=f"{n:03}", embedding=[1, 0, 0], content="old") for n in range(120, 240)]
    await docs.upsert(old)
    again = [replace(record, content="new" if int(record.id) % 2 else "old") for record in old]
    fresh = [Record(id=f"{n:03}", embedding=[0, 1, 0], content="new") for n in [*range(120), *range(240, 300)]]
    # In batches of 60 by id: two of new rows only, two of old ones, of which half are as before, and a new one.
    result = await docs.upsert([*fresh, *again], batch_size=60)
    assert (result.inserted, result.updated, result.unchanged) == (180, 60, 60)
    assert await docs.count() == 300
    assert [r.content for r in await docs.get(["119", "120", "121", "299"])] == ["new", "old", "new", "new"]


async def test_upsert_in_several_batches_takes_no_row_of_another_domain(client, database):
    database.execute("CREATE TABLE flat (id text PRIMARY KEY, domain_id text NOT NULL, embedding vector(3) NOT NULL)")
    columns = Columns(**dict.fromkeys(["document_id", "chunk_index", "content", "metadata", "metadata_types"]))
    config = CollectionConfig(name="flat", columns=columns)
    theirs = client.collection(config, domain="theirs")
    await theirs.upsert([Record(id="150", embedding=[1, 0, 0])])
    mine = [Record(id=f"{n:03}", embedding=[0, 1, 0]) for n in range(200)]
    with pytest.raises(SchemaError, match="belongs to another domain"):
        await client.collection(config, domain="mine").upsert(mine, batch_size=60)
    assert (await theirs.get(["150"], include=["embedding"]))[0].embedding.tolist() == [1, 0, 0]


async def test_numbers_and_uuids_are_ids(client):
    docs = await client.get_or_create_collection("numbered", dimensions=2)
    made = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    ledger = docs.ledger("all")
    written = await docs.upsert(
        [Record(id=given, embedding=[1.0, 2.0]) for given in (1, np.int64(2), made)], ledger=ledger
    )
    assert written.ids == ["1", "2", str(made)] == [record.id for record in await docs.get([1, 2, made])]
    assert (await docs.upsert(RecordBatch(embeddings=[[1.0, 2.0]] * 2, ids=np.arange(1, 3)))).unchanged == 2
    assert await ledger.keys() == sorted(written.ids)
    assert await docs.update([1], contents=["one"]) == 1
    assert await docs.amend([RecordChange(id=2, content="two"), RecordChange(id="2", chunk_index=3)]) == 1
    assert [match.id for match in await docs.search_by_id(1, 1)] != ["1"]
    assert await docs.delete([1, made], ledger=ledger) == 2
    assert [record.id for record in (await docs.list()).records] == await ledger.keys() == ["2"]


@pytest.mark.parametrize("verb", ["update", "amend"])
async def test_nothing_is_changed_of_a_record_without_id(docs, verb):
    with pytest.raises(RecordError, match="None: say which"):
        await (
            docs.update([None], contents=["x"])
            if verb == "update"
            else docs.amend([RecordChange(id=None, content="x")])
        )
