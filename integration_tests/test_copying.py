"""Copies: complete, checked, and gone on with where they ended."""

import asyncio
import contextlib
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest

from pgrecall import AsyncClient, CollectionConfig, Columns, Record, VectorType
from pgrecall.errors import ConfigError, CopyMismatch, DimensionMismatch, PGRecallError, RecordError, SchemaError

RICH = {
    "n": 1,
    "big": 2**70,
    "float": 1e22,
    "day": date(2024, 1, 2),
    "at": datetime(2024, 1, 2, 3, tzinfo=UTC),
    "id": uuid.UUID(int=7),
    "price": Decimal("1.50"),
    "list": [None, {"a": (1, 2)}],
}
ENVELOPE = {"node": {"a": 1}}


def records(count, *, dimensions=3, prefix="r", **more):
    rng = np.random.default_rng(count)
    return [
        Record(
            id=f"{prefix}{n:04}",
            embedding=rng.normal(size=dimensions).astype(np.float32),
            content=f"text {n}",
            metadata={"n": n},
            **more,
        )
        for n in range(count)
    ]


@pytest.fixture
async def source(client):
    return await client.get_or_create_collection("source", dimensions=3)


@pytest.fixture
def target(client):
    return client.collection("target")


async def everything(docs):
    found, after = [], None
    while True:
        page = await docs.all_domains().list(limit=1_000, after=after, include=["embedding", "envelope"])
        found += [replace(one, embedding=one.embedding.tolist()) for one in page.records]
        after = page.next
        if after is None:
            return [{name: getattr(one, name) for name in Record.__dataclass_fields__} for one in found]


@pytest.mark.parametrize("batch_size", [1, 7, 20, 1_000])
async def test_all_of_a_record_is_copied(source, target, batch_size):
    given = records(20, document_id="d", chunk_index=3, envelope=ENVELOPE, created_at=datetime(2020, 1, 1, tzinfo=UTC))
    await source.upsert([*given[1:], replace(given[0], metadata=RICH)])
    report = await source.copy_to(target, batch_size=batch_size)
    assert (report.read, report.inserted, report.updated, report.unchanged, report.verified) == (20, 20, 0, 0, 20)
    assert report.after == "r0019"
    assert report.seconds > 0
    assert await everything(target) == await everything(source)


async def test_a_copy_that_is_made_again_writes_only_what_has_changed(source, target):
    await source.upsert(records(20))
    await source.copy_to(target)
    await source.update(["r0003"], metadatas={"changed": True})
    report = await source.copy_to(target, batch_size=6)
    assert (report.read, report.inserted, report.updated, report.unchanged) == (20, 0, 1, 19)
    report = await source.copy_to(target)
    assert (report.updated, report.unchanged, report.verified) == (0, 20, 20)


async def test_a_copy_goes_on_where_another_one_ended(source, target):
    await source.upsert(records(20))
    seen = []

    def stop(progress):
        seen.append(progress)
        if progress.done == 12:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        await source.copy_to(target, batch_size=6, progress=stop)
    assert (await target.count(), seen[-1].after) == (12, "r0011")
    report = await source.copy_to(target, batch_size=6, after=seen[-1].after)
    assert (report.read, report.inserted, report.after) == (8, 8, "r0019")
    assert await everything(target) == await everything(source)
    nothing = await source.copy_to(target, after=report.after)
    assert (nothing.read, nothing.after) == (0, "r0019")


async def test_progress_is_told_after_each_page(source, target):
    await source.upsert(records(20))
    seen = []
    await source.copy_to(target, batch_size=8, progress=seen.append)
    assert [(p.phase, p.done, p.total, p.fraction, p.after) for p in seen] == [
        ("copying", 8, 20, 0.4, "r0007"),
        ("copying", 16, 20, 0.8, "r0015"),
        ("copying", 20, 20, 1.0, "r0019"),
        ("done", 20, 20, 1.0, "r0019"),
    ]
    assert str(seen[0]).startswith("public.source to public.target: 40%, 8 records")
    seen.clear()
    await source.copy_to(target, after="r0007", progress=seen.append)
    assert [(p.done, p.total, p.fraction) for p in seen] == [(12, None, None), (12, None, 1.0)]
    for wrong in (3, "bar"):
        with pytest.raises(ConfigError, match="progress must be"):
            await source.copy_to(target, progress=wrong)


async def test_a_progress_bar_is_shown(source, target, capsys):
    await source.upsert(records(5))
    await source.copy_to(target, progress=True)
    assert "public.source to public.target" in capsys.readouterr().out


async def test_nothing_is_copied_from_nothing(client, source, target):
    for empty in (source, client.collection("missing")):
        report = await empty.copy_to(target)
        assert (report.read, report.after) == (0, None)
    assert not await target.exists()


async def test_domains_are_kept_or_given_as_the_target_says(client, source, target):
    for domain in ("red", "blue"):
        await source.domain(domain).upsert(records(10))
    with pytest.raises(ConfigError, match="all_domains"):
        await source.all_domains().copy_to(target)
    report = await source.all_domains().copy_to(target.all_domains(), batch_size=7)
    assert (report.inserted, report.verified, report.after) == (20, 20, '["red", "r0009"]')
    assert await everything(target) == await everything(source)
    other = client.collection("other", domain="green")
    assert (await source.domain("red").copy_to(other)).inserted == 10
    assert (await other.stats()).domains == {"green": 10}
    assert (await source.domain("blue").copy_to(other.all_domains())).inserted == 10
    assert (await other.all_domains().stats()).domains == {"green": 10, "blue": 10}
    report = await source.all_domains().copy_to(target.all_domains(), after='["blue", "r0004"]')
    assert report.read == 15


async def test_a_collection_is_not_copied_onto_itself(source):
    await source.upsert(records(2))
    for same in (source, source.all_domains()):
        with pytest.raises(ConfigError, match="onto itself"):
            await source.copy_to(same)
    assert (await source.copy_to(source.domain("other"))).inserted == 2


async def test_a_copy_goes_to_another_database(server, source, bare_database):
    await source.upsert(records(20))
    async with AsyncClient(bare_database.url) as there:
        target = there.collection(CollectionConfig(name="source", schema="app"))
        assert (await source.copy_to(target)).inserted == 20
        assert await everything(target) == await everything(source)


def test_blocking_callers_copy_too(blocking_client):
    source = blocking_client.get_or_create_collection("source", dimensions=3)
    source.upsert(records(20))
    target = blocking_client.collection("target")
    assert source.copy_to(target, batch_size=6).verified == 20
    assert source.copy_to(target.asynchronous).unchanged == 20


async def test_records_are_converted_on_their_way(source, target):
    await source.upsert(records(4))

    def convert(record):
        n = record.metadata["n"]
        return Record(id=f"new{n}" if n % 2 else None, embedding=record.embedding, metadata={"m": n}, document_id="d")

    for inserted in (4, 0):
        report = await source.copy_to(target, batch_size=2, convert=convert)
        assert (report.inserted, report.verified, report.after) == (inserted, 4, "r0003")
    found = (await target.list()).records
    assert [(one.id, one.content, one.metadata, one.document_id) for one in found] == [
        ("new1", None, {"m": 1}, "d"),
        ("new3", None, {"m": 3}, "d"),
        ("r0000", None, {"m": 0}, "d"),
        ("r0002", None, {"m": 2}, "d"),
    ]


async def test_records_that_become_one_are_noticed(source, target):
    await source.upsert(records(3))
    with pytest.raises(CopyMismatch, match="'same'"):
        await source.copy_to(target, convert=lambda record: replace(record, id="same"))


@pytest.mark.parametrize("kind", ["vector", "halfvec"])
async def test_embeddings_are_compared_as_the_target_holds_them(client, source, kind):
    await source.upsert(records(20))
    target = client.collection(CollectionConfig(name="target", vector_type=VectorType(kind)))
    assert (await source.copy_to(target)).verified == 20
    assert (await target.copy_to(client.collection("back"))).verified == 20


async def test_bits_are_copied(client):
    config = CollectionConfig(name="bits", vector_type=VectorType.BIT)
    source = await client.get_or_create_collection(config, dimensions=11)
    await source.upsert([Record(id=f"{n}", embedding=[n >> i & 1 for i in range(11)]) for n in range(30)])
    assert (await source.copy_to(client.collection(replace(config, name="target")))).verified == 30


# -- what differs, and what cannot be --------------------------------------------------------------

CHANGES = {
    "content": "NEW.content := 'other'",
    "metadata": "NEW.metadata := NEW.metadata || '{\"n\": 7}'",
    "document_id": "NEW.document_id := 'other'",
    "chunk_index": "NEW.chunk_index := 7",
    "envelope": "NEW.envelope := '{}'",
    "embedding": "NEW.embedding := NEW.embedding * '[1, 1, 1.000001]'",
    "missing": "RETURN NULL",
}


@pytest.mark.parametrize("what", CHANGES)
async def test_what_is_stored_otherwise_than_it_was_read_is_found(connection, source, target, client, what):
    await source.upsert(records(30, document_id="d", chunk_index=1, envelope=ENVELOPE))
    await client.get_or_create_collection("target", dimensions=3)
    await connection.execute(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF NEW.id IN ('r0011', 'r0017') THEN {CHANGES[what]}; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER spoil BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION spoil()"
    )
    with pytest.raises(CopyMismatch, match=rf"2 of 10 records .* 'r0011' \({what}\), 'r0017' \({what}\)") as caught:
        await source.copy_to(target, batch_size=10)
    assert caught.value.ids == ("r0011", "r0017")
    assert "after='r0009'" in caught.value.__notes__[0]
    assert isinstance(caught.value, PGRecallError)
    await target.clear()
    assert (await source.copy_to(target, verify=False)).verified == 0


async def test_records_without_embedding_are_named(client, connection, target):
    await connection.execute(
        "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3));"
        "INSERT INTO theirs SELECT n::text, CASE WHEN n < 3 THEN '[1,2,3]'::vector END FROM generate_series(1, 30) n"
    )
    with pytest.raises(RecordError, match=r"'10', '11', .* and 18 more without embedding"):
        await (await client.get_collection("theirs")).copy_to(target)


async def test_ids_that_the_target_does_not_take_are_named(client, source):
    await source.upsert([*records(3), Record(id=str(uuid.UUID(int=1)), embedding=[1, 2, 3])])
    target = client.collection(CollectionConfig(name="target", id_type="uuid"))
    with pytest.raises(RecordError, match="'r0000' is not a UUID"):
        await source.copy_to(target)
    assert not await target.exists()


async def test_embeddings_of_another_length_are_named(client, connection, source, target):
    await source.upsert(records(3))
    await client.get_or_create_collection("target", dimensions=4)
    with pytest.raises(DimensionMismatch, match=r"id 'r0000'.*3 dimensions"):
        await source.copy_to(target)
    await connection.execute(
        "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector);"
        "INSERT INTO theirs VALUES ('a', '[1,2,3]'), ('b', '[1,2]')"
    )
    with pytest.raises((DimensionMismatch, RecordError), match="'b'"):
        await (await client.get_collection("theirs")).copy_to(client.collection("other"))


async def test_what_the_target_has_no_column_for_is_an_error(client, connection, source):
    await source.upsert(records(3, document_id="d"))
    await connection.execute(
        "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3), content text, metadata json)"
    )
    theirs = await client.get_collection("theirs")
    with pytest.raises(RecordError, match=r"id 'r0000'.*has document_id"):
        await source.copy_to(theirs)
    report = await source.copy_to(theirs, convert=lambda record: replace(record, document_id=None))
    assert (report.inserted, report.verified) == (3, 3)


async def test_a_source_without_a_key_cannot_be_read_in_order(client, connection, target):
    await connection.execute("CREATE TABLE theirs (id text, embedding vector(3))")
    with pytest.raises(SchemaError, match="no unique key"):
        await (await client.get_collection("theirs")).copy_to(target)


async def test_page_sizes_are_checked(source, target):
    for size in (0, 10_001, "7"):
        with pytest.raises(ConfigError, match="batch_size"):
            await source.copy_to(target, batch_size=size)


async def test_a_table_of_their_own_with_any_keys_is_copied(client, connection, target):
    await connection.execute(
        "CREATE TABLE theirs (tenant uuid NOT NULL, id bigint PRIMARY KEY, embedding vector(3), body text, year int, rest json);"
        "INSERT INTO theirs SELECT lpad((n % 3)::text, 32, '0')::uuid, n, ARRAY[n, 1, 2]::vector, 'b', "
        """NULLIF(n % 5, 0), '{"n": [1]}' FROM generate_series(1, 100) n"""
    )
    columns = Columns(domain_id="tenant", content="body", metadata="rest", metadata_columns=("year",))
    theirs = await client.get_collection(CollectionConfig(name="theirs", columns=columns), domain=str(uuid.UUID(int=1)))
    report = await theirs.copy_to(target, batch_size=9)
    assert (report.inserted, report.verified) == (34, 34)
    assert (await target.get(["4"]))[0].metadata == {"n": [1], "year": 4}
    report = await theirs.all_domains().copy_to(client.collection("all").all_domains(), batch_size=9)
    assert (report.inserted, report.verified, report.after) == (100, 100, "100")


async def test_a_copy_that_is_cancelled_leaves_nothing_behind(source, target):
    await source.upsert(records(200))
    copying = asyncio.create_task(source.copy_to(target, batch_size=1))
    while not await target.exists() or await target.count() < 3:  # noqa: ASYNC110 - another one writes
        await asyncio.sleep(0.01)
    copying.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await copying
    assert [task for task in asyncio.all_tasks() if task.get_name() == "pgrecall reads ahead"] == []
    assert (await source.copy_to(target)).read == 200


async def test_a_copy_is_part_of_the_callers_transaction(connection, source, target):
    await source.upsert(records(20))
    transaction = connection.transaction()
    await transaction.start()
    assert (await source.copy_to(target.using(connection), batch_size=6)).inserted == 20
    await transaction.rollback()
    assert not await target.exists()
