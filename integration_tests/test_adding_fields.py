"""Fields that are added to tables with rows, beside those who write them, and where that is refused."""

import asyncio
from contextlib import suppress

import asyncpg
import numpy as np
import pytest

from integration_tests.field_cases import (
    CASES,
    EMPTY,
    EXPECTED,
    FIELDS,
    NAMES,
    by_codes,
    functions,
    quoted,
    records,
    stored,
)
from pgrecall import AsyncClient, CollectionConfig, Columns, FieldType, PoolConfig, Record, RecordBatch
from pgrecall.errors import ConfigError, PerformanceWarning, PermissionDenied, SchemaError

pytestmark = pytest.mark.core


@pytest.fixture
async def promoted(client):
    """An empty collection with fields of all types."""
    return await client.get_or_create_collection(CollectionConfig(name="docs", dimensions=3, fields=FIELDS))


async def waiting(database, adding):
    """Wait until *adding* waits for a lock."""
    ours = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgrecall' AND wait_event_type = 'Lock' "
        "AND datname = current_database() AND state = 'active'"
    )
    while not await asyncio.to_thread(database.ask, ours):
        assert not adding.done(), "it did not wait"
        await asyncio.sleep(0.01)


async def stuck(docs, fields, database, connection):
    """Return the task that adds *fields*, and waits in the middle of filling the rows that are there.

    It waits at row 0153, whose metadata must have something for the fields: without codes, no other row is written.
    """
    await connection.execute("""
        CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF new.id = '0153' THEN PERFORM pg_advisory_xact_lock(1); END IF; RETURN new; END $$;
        CREATE TRIGGER wait BEFORE UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION wait();
        SELECT pg_advisory_lock(1)
    """)
    adding = asyncio.create_task(docs.add_fields(fields))
    await waiting(database, adding)
    return adding


async def go_on(connection):
    await connection.execute("SELECT pg_advisory_unlock(1)")


async def cancelled_half_way(docs, fields, database, connection):
    """Add *fields*, and cancel that in the middle of filling the rows that are there."""
    await cancelled(await stuck(docs, fields, database, connection))
    await go_on(connection)
    await connection.execute("DROP TRIGGER wait ON docs")


async def cancelled(task):
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_fields_are_added_to_a_table_with_rows_of_all_domains(client, docs, connection):
    for domain in ("red", "blue"):
        await docs.domain(domain).upsert(records())
    fields = await docs.add_fields(FIELDS)
    assert sorted(field.column for field in fields) == sorted(NAMES)
    for domain in ("red", "blue"):
        found = await stored(connection, f"(SELECT * FROM docs WHERE domain_id = '{domain}') AS docs")
        assert found == EXPECTED
        assert await docs.domain(domain).count({"year": 2020}) == 1
    await docs.upsert(records())
    assert await docs.count({"year": 2020}) == 1


async def test_fields_that_are_there_are_left_as_they_are(docs, connection):
    await docs.upsert(records())
    first = await docs.add_fields(FIELDS)
    facts = "SELECT count(*), max(xmin::text), max(ctid::text) FROM docs"
    indexes = "SELECT array_agg(indexname ORDER BY indexname) FROM pg_indexes WHERE tablename = 'docs'"
    before = await connection.fetchrow(facts), await connection.fetchval(indexes)
    assert await docs.add_fields(FIELDS) == first
    assert await docs.add_fields({"year": int}) == first
    assert (await connection.fetchrow(facts), await connection.fetchval(indexes)) == before


async def test_fields_are_added_one_after_the_other(docs, connection, database):
    await docs.upsert(records())
    for name, kind in FIELDS.items():
        await docs.add_fields({name: kind})
    await docs.upsert(records(embedding=[3, 2, 1]))
    assert await stored(connection) == EXPECTED
    assert functions(database) == 1


async def test_fields_are_added_to_a_collection_that_was_not_written_yet(client, connection):
    docs = client.collection(CollectionConfig(name="docs", dimensions=3))
    await docs.add_fields(FIELDS)
    await docs.upsert(records())
    assert await stored(connection) == EXPECTED


async def test_a_handle_makes_its_table_with_its_fields_at_the_first_write(client, connection):
    docs = client.collection(CollectionConfig(name="docs", fields=FIELDS))
    assert await docs.count({"year": 2020}) == 0
    await docs.upsert(records())
    assert await stored(connection) == EXPECTED


async def test_a_handle_adds_no_fields_to_a_table_that_there_is_and_says_so(client, docs):
    await docs.upsert(records())
    other = client.collection(CollectionConfig(name="docs", fields={"year": int, "lang": str}))
    with pytest.warns(PerformanceWarning, match=r"add_fields\(\)"):
        assert await other.count({"year": 2020}) == 1


def test_a_blocking_collection_adds_fields_too(blocking_client):
    docs = blocking_client.get_or_create_collection("docs", dimensions=3)
    docs.upsert(records())
    assert [field.column for field in docs.add_fields({"year": int})] == ["year"]
    assert docs.count({"year": 2020}) == 1


async def test_a_collection_that_is_opened_with_fields_that_it_lacks_gets_them(client, docs, connection):
    await docs.upsert(records())
    opened = await client.get_or_create_collection(CollectionConfig(name="docs", fields=FIELDS))
    assert await stored(connection) == EXPECTED
    assert await opened.count({"year": 2020}) == 1


async def test_eight_that_open_a_collection_with_fields_that_it_lacks_do_not_disturb_each_other(
    url, docs, connection, database
):
    await docs.upsert(records(200))
    async with AsyncClient(url, pool=PoolConfig(max_size=10)) as client:
        config = CollectionConfig(name="docs", fields=FIELDS)
        await asyncio.gather(*(client.get_or_create_collection(config) for _ in range(8)))
    await docs.upsert(records(210, embedding=[3, 2, 1]))
    assert await stored(connection) == [EXPECTED[n % len(CASES)] for n in range(210)]
    assert functions(database) == 1


async def test_eight_that_make_a_collection_with_fields_make_one(bare_database):
    async with AsyncClient(bare_database.url) as client:
        config = CollectionConfig(name="docs", dimensions=3, fields=FIELDS)
        made = await asyncio.gather(*(client.get_or_create_collection(config) for _ in range(8)))
        await made[0].upsert(records())
        assert await made[7].count({"year": 2020}) == 1
    assert functions(bare_database) == 1


async def test_validate_adds_nothing_and_says_so(client, docs, connection):
    await docs.upsert(records())
    config = CollectionConfig(name="docs", fields={"year": int}, setup="validate")
    opened = await client.get_or_create_collection(config)
    with pytest.warns(PerformanceWarning, match=r"public\.docs does not have the configured fields \['year'\]"):
        assert await opened.count({"year": 2020}) == 1
    assert await opened.count({"year": 2020}) == 1  # once is enough
    present = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'docs'::regclass AND attname = 'year'"
    assert await connection.fetchval(present) == 0


async def test_validate_uses_fields_that_there_are(client, promoted):
    await promoted.upsert(records())
    opened = await client.get_collection(CollectionConfig(name="docs", fields=FIELDS, setup="validate"))
    assert await opened.count({"year": 2020}) == 1


async def test_nothing_is_lost_and_nobody_fails_while_fields_are_added(server, url, connection):
    rng = np.random.default_rng(4)
    ids = [f"{n:04}" for n in rng.permutation(3_000)]  # in the table in another order than that of the key

    def batch(chosen, number):
        metadatas = [{"year": number, "author": {"name": f"{row_id} {number}"}} for row_id in chosen]
        return RecordBatch(ids=chosen, embeddings=rng.normal(size=(len(chosen), 64)), metadatas=metadatas)

    async with AsyncClient(url, pool=PoolConfig(max_size=10)) as client:
        docs = await client.get_or_create_collection("docs", dimensions=64)
        await docs.upsert(batch(ids, 0))
        finished = asyncio.Event()
        written = []

        async def write(writer):
            number = 0
            while not finished.is_set():
                number += 1
                chosen = [str(row_id) for row_id in rng.choice(ids, 400, replace=False)]
                await docs.upsert(batch(chosen, 10 * number + writer))
                fresh = [f"new {writer} {number} {n}" for n in range(60)]
                assert (await docs.upsert(batch(fresh, number))).inserted == 60
                written.extend(fresh)
                await docs.update(fresh[:5], metadatas={"year": -1})

        async def search():
            while not finished.is_set():
                query = rng.normal(size=64)
                found = await docs.search(query, 10, filter={"year": {"$gte": 0}})
                assert len(found) == 10
                assert all(match.metadata["year"] >= 0 for match in found)
                assert await docs.count({"author.name": {"$exists": True}}) >= 3_000

        tasks = [asyncio.create_task(task) for task in (write(1), write(2), write(3), search(), search())]
        async with AsyncClient(url) as other:
            beside = await other.get_collection("docs")
            await beside.add_fields({"year": int, "author.name": str})
            await beside.add_fields({"more": int})
        finished.set()
        await asyncio.gather(*tasks)
        assert await docs.count() == 3_000 + len(written)
    wrong = (
        "SELECT count(*) FROM docs WHERE year IS DISTINCT FROM (metadata ->> 'year')::numeric "
        "OR \"author.name\" IS DISTINCT FROM metadata #>> '{author,name}'"
    )
    if not server.lack(pgvector="0.7"):
        wrong += " OR embedding_code IS NULL"
    assert await connection.fetchval(wrong) == 0


async def test_adding_fields_waits_for_a_long_transaction_without_making_others_wait(docs, connection, database):
    await docs.upsert(records())
    async with connection.transaction():
        await connection.execute("SELECT count(*) FROM docs")
        adding = asyncio.create_task(docs.add_fields({"year": int}))
        await waiting(database, adding)
        # Whoever comes now waits for half a second at most, behind the one who waits.
        await docs.upsert([Record(id="new", embedding=[1, 2, 3], metadata={"year": 2020})])
        assert not adding.done()
    await adding
    assert await docs.count({"year": 2020}) == 2


async def test_fields_are_added_while_the_vector_index_is_built(client, docs, database, connection):
    await docs.upsert(records(200))
    await connection.execute(f"ALTER DATABASE {database.name} SET deadlock_timeout = '50ms'")
    adding = await stuck(docs, {"year": int}, database, connection)
    async with connection.transaction():
        # What the build waits for, so that it takes as long as one of many rows.
        await connection.execute("INSERT INTO docs (id, embedding) VALUES ('new', '[1,2,3]')")
        async with AsyncClient(database.url) as other:
            beside = await other.get_collection("docs")
            building = asyncio.create_task(beside.create_index())
            await asyncio.sleep(0.5)
            await go_on(connection)
            await asyncio.sleep(0.5)
            await connection.execute("COMMIT; BEGIN")
            await asyncio.gather(adding, building)
    assert await docs.count({"year": 2020}) == 1 + 199 // len(CASES)


async def columns_that_are_ready(client):
    return {field.column for field in await (await client.get_collection("docs")).add_fields({})}


async def test_adding_fields_that_was_cancelled_before_all_rows_were_filled_is_finished_by_the_next_call(
    client, docs, connection, database
):
    await docs.upsert(records(200))
    await cancelled_half_way(docs, FIELDS, database, connection)
    # Until then the metadata is what answers, and writers are not disturbed.
    half = await client.get_collection("docs")
    assert await half.count({"year": 2020}) == 1 + 199 // len(CASES)
    await half.upsert(records(210))
    assert await half.count({"year": 2020}) == 1 + 209 // len(CASES)
    await half.add_fields(FIELDS)
    assert await stored(connection) == [EXPECTED[n % len(CASES)] for n in range(210)]
    assert await columns_that_are_ready(client) == set(NAMES)


async def test_adding_fields_that_was_cancelled_while_it_indexed_is_finished_by_the_next_call(
    client, docs, connection, database
):
    await docs.upsert(records(200))
    # CREATE INDEX CONCURRENTLY waits for those who may still see the table as it was.
    reader = await asyncpg.connect(database.url)
    held = reader.transaction(isolation="repeatable_read")
    await held.start()
    await reader.execute("SELECT pg_current_xact_id()")
    adding = asyncio.create_task(docs.add_fields(FIELDS))
    await waiting(database, adding)
    await cancelled(adding)
    await held.rollback()
    await reader.close()
    again = await client.get_collection("docs")
    await again.add_fields(FIELDS)
    states = await connection.fetch("SELECT indisvalid FROM pg_index WHERE indrelid = 'docs'::regclass")
    assert [row[0] for row in states] == [True] * (3 + len(FIELDS))
    assert await stored(connection) == [EXPECTED[n % len(CASES)] for n in range(200)]


async def test_fields_that_others_add_are_kept_by_who_adds_some_more(client, docs, connection):
    await docs.upsert(records())
    early = await client.get_collection("docs")
    assert await early.count() == len(CASES)  # it has looked at the table, which has no fields yet
    await docs.add_fields({"year": int})
    await early.add_fields({"lang": str})
    await docs.upsert([Record(id="new", embedding=[1, 2, 3], metadata={"year": 2020, "lang": "en"})])
    late = await client.get_collection("docs")
    assert await late.count({"lang": "en"}) == 2
    assert await late.count({"year": 2020}) == 2


async def test_fields_that_two_add_at_once_are_both_kept(client, docs, connection):
    await docs.upsert(records(200))
    one, other = await client.get_collection("docs"), await client.get_collection("docs")
    await asyncio.gather(one.add_fields({"year": int}), other.add_fields({"lang": str}))
    await docs.upsert([Record(id="new", embedding=[1, 2, 3], metadata={"year": 2020, "lang": "en"})])
    assert await stored(connection, "(SELECT * FROM docs WHERE id = 'new') AS docs", ["year", "lang"]) == [
        {"year": 2020, "lang": "en"}
    ]


async def test_a_field_that_others_have_added_with_another_type_is_refused_by_who_has_not_seen_it(client, docs):
    early = await client.get_collection("docs")
    assert await early.count() == 0
    await docs.add_fields({"year": int})
    with pytest.raises(SchemaError, match="year"):
        await early.add_fields({"year": str})
    await docs.upsert([Record(id="a", embedding=[1, 2, 3], metadata={"year": "MMXX"})])


async def test_a_field_whose_addition_was_cancelled_can_be_added_with_another_type_or_is_refused(
    client, docs, connection, database
):
    await docs.upsert([Record(id=f"{n:04}", embedding=[1, 2, 3], metadata={"year": "MMXX"}) for n in range(200)])
    await docs.update(["0153"], metadatas={"year": 2020})
    await cancelled_half_way(docs, {"year": int}, database, connection)
    again = await client.get_collection("docs")
    with suppress(SchemaError, ConfigError):
        await again.add_fields({"year": str})
    await again.upsert([Record(id="new", embedding=[1, 2, 3], metadata={"year": "MMXX"})])
    assert await again.count({"year": "MMXX"}) == 200


async def test_other_fields_can_be_added_after_an_addition_was_cancelled(client, docs, connection, database):
    await docs.upsert(records(200))
    await cancelled_half_way(docs, {"year": int, "lang": str}, database, connection)
    again = await client.get_collection("docs")
    assert [field.column for field in await again.add_fields({"price": float})] == ["price"]
    await again.upsert(records(210, embedding=[3, 2, 1]))
    fields = await again.add_fields(FIELDS)
    assert sorted(field.column for field in fields) == sorted(NAMES)
    assert await stored(connection) == [EXPECTED[n % len(CASES)] for n in range(210)]


# --- what is refused ---------------------------------------------------------------------------------------


async def test_a_field_of_another_type_than_it_has_is_refused(client, promoted):
    with pytest.raises(SchemaError, match=r"'year' of public\.docs holds number, not text"):
        await promoted.add_fields({"year": str})
    for open_it in (client.get_collection, client.get_or_create_collection):
        with pytest.raises(SchemaError, match=r"'tags' of public\.docs holds list, not text"):
            await open_it(CollectionConfig(name="docs", fields={"tags": str}))
    assert (await promoted.add_fields({"price": int}))[1].type is FieldType.NUMBER  # int and float are both numbers


async def test_more_fields_than_an_index_holds_are_refused(client, promoted):
    with pytest.raises(ConfigError, match=r"at most 8.*9"):
        await promoted.add_fields({"eighth": int, "ninth": int})
    with pytest.raises(ConfigError, match=r"at most 8.*9"):
        await client.get_or_create_collection(CollectionConfig(name="docs", fields={"eighth": int, "ninth": int}))
    assert len(await promoted.add_fields({"eighth": int, "tenth": list})) == 10


@pytest.mark.parametrize("name", ["id", "content", "metadata", "embedding", "embedding_code", "domain_id"])
async def test_a_field_that_is_called_like_a_column_of_ours_is_refused(docs, name):
    with pytest.raises(ConfigError, match=name):
        await docs.add_fields({name: str})


@pytest.mark.parametrize("name", ["ctid", "xmin", "tableoid"])
async def test_a_field_that_is_called_like_a_column_of_every_table_is_refused(client, docs, name):
    with pytest.raises(ConfigError, match=name):
        await docs.add_fields({name: str})


async def test_a_field_that_is_called_like_a_column_of_somebody_elses_is_refused(docs, connection):
    await connection.execute("ALTER TABLE docs ADD COLUMN rating numeric DEFAULT 5")
    await docs.upsert(records(3))
    with pytest.raises(SchemaError, match="rating"):
        await docs.add_fields({"rating": int, "year": int})
    assert await connection.fetchval("SELECT array_agg(rating) FROM docs") == [5, 5, 5]


async def test_a_field_that_is_called_like_a_column_of_somebody_elses_is_refused_beside_other_fields(docs, connection):
    await docs.upsert(records(3))
    await docs.add_fields({"year": int})
    await connection.execute("ALTER TABLE docs ADD COLUMN rating numeric DEFAULT 5")
    with pytest.raises(SchemaError, match="rating"):
        await docs.add_fields({"rating": int})
    assert await connection.fetchval("SELECT array_agg(rating) FROM docs") == [5, 5, 5]


async def test_two_keys_that_would_have_one_column_are_refused(docs):
    await docs.upsert([Record(id="a", embedding=[1, 2, 3], metadata={"a.b": 1, "a": {"b": 2}})])
    await docs.add_fields({"a.b": int})
    with pytest.raises((SchemaError, ConfigError), match=r"a\.b"):
        await docs.add_fields({r"a\.b": int})


async def test_a_table_without_metadata_has_nothing_to_promote(client, connection):
    await connection.execute("CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3))")
    docs = await client.get_collection("theirs")
    with pytest.raises(SchemaError, match="no metadata column"):
        await docs.add_fields({"year": int})
    with pytest.raises((SchemaError, ConfigError), match="metadata"):
        await client.get_or_create_collection(
            CollectionConfig(name="docs", dimensions=3, columns=Columns(metadata=None), fields={"year": int})
        )


async def test_a_role_that_does_not_own_the_table_may_not_add_fields(database, docs, connection):
    await docs.upsert(records())
    role = database.role("GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO {role}")
    async with AsyncClient(role) as client:
        theirs = await client.get_collection("docs")
        with pytest.raises(PermissionDenied, match="only its owner may"):
            await theirs.add_fields({"year": int})
        with pytest.raises(PermissionDenied, match="only its owner may"):
            await client.get_or_create_collection(CollectionConfig(name="docs", fields={"year": int}))
        assert await theirs.count({"year": 2020}) == 1
    assert functions(database) == 0


async def test_a_role_that_does_not_own_the_table_uses_fields_that_there_are(database, promoted):
    await promoted.upsert(records())
    role = database.role("GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO {role}")
    async with AsyncClient(role) as client:
        theirs = await client.get_or_create_collection(CollectionConfig(name="docs", fields=FIELDS))
        assert await theirs.count({"year": 2020}) == 1


async def test_a_server_that_is_read_only_refuses_to_add_fields(database, docs):
    owner = database.role(
        "GRANT ALL ON SCHEMA public TO {role}",
        "ALTER TABLE docs OWNER TO {role}",
        "ALTER ROLE {role} SET default_transaction_read_only = on",
    )
    async with AsyncClient(owner) as client:
        with pytest.raises(PermissionDenied, match="read-only"):
            await (await client.get_collection("docs")).add_fields({"year": int})


async def test_on_a_connection_that_was_lent_fields_are_made_with_the_table(server, connection):
    client = AsyncClient(connection=connection)
    docs = await client.get_or_create_collection(CollectionConfig(name="docs", dimensions=3, fields=FIELDS))
    await docs.upsert(records(100))
    assert await stored(connection) == [EXPECTED[n % len(CASES)] for n in range(100)]
    assert await docs.count({"year": 2020, "tags": {"$contains": 1}}) == 1 + 99 // len(CASES)
    (match, *_) = await docs.search([1, 2, 3], filter={"year": 2020}, options=by_codes(server))
    assert match.metadata["year"] == 2020


async def test_on_a_connection_that_was_lent_fields_are_added_whole_or_not_at_all(docs, connection):
    await docs.upsert(records())
    with pytest.raises(ConfigError, match="lent"):
        await docs.using(connection).add_fields({"year": int})
    present = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'docs'::regclass AND attname = 'year'"
    assert await connection.fetchval(present) == 0


# --- tables of others --------------------------------------------------------------------------------------


async def test_a_table_without_domains_gets_fields(server, client, connection):
    await connection.execute(
        "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3), metadata jsonb, rating int DEFAULT 5)"
    )
    docs = await client.get_collection("theirs")
    await docs.upsert(records())
    await connection.execute("INSERT INTO theirs VALUES ('zz', NULL, NULL), ('zzz', NULL, '[1]')")
    await docs.add_fields(FIELDS)
    assert await stored(connection, "theirs") == [*EXPECTED, EMPTY, EMPTY]
    searched = await docs.search([1, 2, 3], filter={"year": 2020}, options=by_codes(server))
    assert [match.id for match in searched] == ["0000"]
    assert await docs.count({"year": {"$ne": 2020}}) == len(CASES) + 1
    assert await connection.fetchval("SELECT sum(rating) FROM theirs") == 5 * (len(CASES) + 2)


@pytest.mark.needs(pgvector="0.7")  # for halfvec
async def test_a_table_with_names_of_its_own_gets_fields(server, client, connection):
    await connection.execute(
        'CREATE TABLE theirs ("Key" bigint PRIMARY KEY, "my vec" halfvec(3), "meta ""data" jsonb, "select" text)'
    )
    columns = Columns(id="Key", embedding="my vec", metadata='meta "data', content="select")
    docs = await client.get_collection(CollectionConfig(name="theirs", columns=columns))
    await docs.upsert([Record(id=str(n), embedding=[1, 2, 3], metadata=case) for n, (case, _) in enumerate(CASES)])
    await docs.add_fields(FIELDS)
    names = ", ".join(map(quoted, NAMES))
    found = [dict(row) for row in await connection.fetch(f'SELECT {names} FROM theirs ORDER BY "Key"')]
    assert [row["author.name"] for row in found] == [row["author.name"] for row in EXPECTED]
    (match,) = await docs.search([1, 2, 3], filter={"year": 2020}, options=by_codes(server))
    assert match.id == "0"


@pytest.mark.parametrize(
    ("columns", "embedding"),
    [
        ("id uuid, embedding vector(3), metadata jsonb", [1, 2, 3]),
        ("id uuid PRIMARY KEY, embedding vector(3), metadata jsonb", [1, 2, 3]),
        ("id uuid PRIMARY KEY, embedding vector, metadata jsonb", [1, 2, 3]),
        pytest.param(
            "id uuid PRIMARY KEY, embedding bit(3), metadata jsonb",
            [1, 0, 1],
            marks=pytest.mark.needs(pgvector="0.7"),  # for distances on bits
        ),
    ],
    ids=["without a key", "usual", "of any dimensions", "of bits"],
)
async def test_a_table_gets_fields_be_there_codes_or_not(client, connection, columns, embedding):
    await connection.execute(f"CREATE TABLE theirs ({columns})")
    docs = await client.get_collection("theirs")
    await docs.upsert([Record(embedding=embedding, metadata={"year": 2020})])
    await docs.add_fields({"year": int, "tags": list})
    await docs.upsert([Record(embedding=embedding, metadata={"year": 2020, "tags": [1]})])
    assert await docs.count({"year": 2020}) == 2
    assert len(await docs.search(embedding, filter={"year": 2020, "tags": {"$contains": 1}})) == 1


async def test_a_table_whose_ids_postgresql_makes_gets_fields(client, connection):
    await connection.execute(
        "CREATE TABLE theirs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, embedding vector(3), metadata jsonb);"
        "INSERT INTO theirs (embedding, metadata) VALUES ('[1,2,3]', '{\"year\": 2020}')"
    )
    docs = await client.get_collection("theirs")
    await docs.add_fields({"year": int})
    assert await docs.count({"year": 2020}) == 1


async def test_a_partitioned_table_gets_fields_or_is_refused_as_it_was(client, connection):
    await connection.execute(
        "CREATE TABLE theirs (domain_id text, id text, embedding vector(3), metadata jsonb, PRIMARY KEY (domain_id, id)) "
        "PARTITION BY LIST (domain_id); CREATE TABLE theirs_red PARTITION OF theirs FOR VALUES IN ('red'); "
        "CREATE TABLE theirs_rest PARTITION OF theirs DEFAULT"
    )
    docs = (await client.get_collection("theirs")).domain("red")
    await docs.upsert(records())
    try:
        await docs.add_fields({"year": int})
    except (SchemaError, ConfigError):
        present = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'theirs'::regclass AND attname = 'year'"
        assert await connection.fetchval(present) == 0
    assert await docs.count({"year": 2020}) == 1
