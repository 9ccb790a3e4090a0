"""Tables that somebody else made: used as they are, and what does not fit is said, all of it."""

import uuid

import pytest

from pgrecall import AsyncClient, CollectionConfig, Columns, Record
from pgrecall.errors import DimensionMismatch, RecordError, SchemaError

pytestmark = pytest.mark.core
THEIRS = """
CREATE SCHEMA app;
CREATE TABLE app.passages (
  pk {id} NOT NULL, tenant text NOT NULL, body text, vec vector(3), extra jsonb, parent varchar(40), seq bigint,
  written timestamptz DEFAULT now(), score real NOT NULL DEFAULT 1, PRIMARY KEY (tenant, pk)
);
"""
COLUMNS = Columns(
    id="pk",
    domain_id="tenant",
    content="body",
    embedding="vec",
    metadata="extra",
    document_id="parent",
    chunk_index="seq",
    created_at="written",
)
CONFIG = CollectionConfig(name="passages", schema="app", columns=COLUMNS)
IDS = {
    "text": [f"t{n:03}" for n in range(120)],
    "varchar(50)": [f"v{n:03}" for n in range(120)],
    "uuid": [str(uuid.UUID(int=n)) for n in range(120)],
    "integer": [str(n) for n in range(120)],
    "bigint": [str(n) for n in range(10**10, 10**10 + 120)],
}


def record(row_id, **more):
    return Record(**{"id": row_id, "embedding": [1, 2, 3], "content": "x", "metadata": {"n": 1}, **more})


async def adopted(client, connection, statement, **config):
    """Make the table ``theirs`` and return a handle on it."""
    await connection.execute(statement)
    return await client.get_collection(CollectionConfig(name="theirs", **config))


@pytest.mark.parametrize("count", [3, 120])
@pytest.mark.parametrize("kind", IDS)
async def test_a_table_with_names_of_its_own_is_used(client, connection, kind, count):
    await connection.execute(THEIRS.format(id=kind))
    docs = await client.get_collection(CONFIG, domain="red")
    ids = IDS[kind][:count]
    given = [record(row_id, document_id="d", chunk_index=n) for n, row_id in enumerate(ids)]
    assert (await docs.upsert(given)).inserted == count
    assert (await docs.upsert(given)).updated == count
    assert await docs.update(ids[:1], metadatas={"m": 2}) == 1
    first, missing = await docs.get([ids[0], IDS[kind][119] if count < 120 else ids[1]], include=["embedding"])
    assert (first.id, first.content, first.metadata, first.chunk_index) == (ids[0], "x", {"n": 1, "m": 2}, 0)
    assert first.embedding.tolist() == [1, 2, 3]
    assert (missing is None) is (count < 120)
    assert len(await docs.search([1, 2, 3], k=200, filter={"n": 1})) == count
    assert await docs.domain("blue").count() == 0
    assert await docs.delete(ids[:2]) == 2
    assert await connection.fetchval("SELECT count(*) FROM app.passages WHERE tenant = 'red'") == count - 2


@pytest.mark.parametrize("kind", IDS)
async def test_pages_of_a_table_with_ids_of_any_type_are_complete_and_ordered(client, connection, kind):
    await connection.execute(THEIRS.format(id=kind))
    docs = await client.get_collection(CONFIG)
    await docs.upsert([record(row_id) for row_id in IDS[kind]])
    found, after = [], None
    for _ in range(20):
        page = await docs.list(limit=11, after=after)
        found += [one.id for one in page.records]
        after = page.next
        if after is None:
            break
    assert found == IDS[kind]


async def test_pages_of_a_table_whose_id_is_called_document_id_are_complete_and_ordered(client, connection):
    docs = await adopted(
        client,
        connection,
        "CREATE TABLE theirs (document_id text PRIMARY KEY, embedding vector(3))",
        columns=Columns(id="document_id", document_id=None),
    )
    ids = [f"{n:02}" for n in range(20)]
    await docs.upsert([Record(id=row_id, embedding=[1, 2, 3]) for row_id in reversed(ids)])
    page = await docs.list(limit=15)
    assert [one.id for one in page.records] == ids[:15]
    assert [one.id for one in (await docs.list(limit=15, after=page.next)).records] == ids[15:]


async def test_a_table_of_numbers_refuses_other_ids(client, connection):
    docs = await adopted(client, connection, "CREATE TABLE theirs (id integer PRIMARY KEY, embedding vector(3))")
    for bad in ("a", "1.5", "", "99999999999", "٣"):
        with pytest.raises(RecordError, match="record 0"):
            await docs.upsert([Record(id=bad, embedding=[1, 2, 3])])
    with pytest.raises(RecordError, match="id"):
        await docs.upsert([Record(embedding=[1, 2, 3])])
    assert await docs.count() == 0


async def test_equal_numbers_are_equal_ids_however_they_are_written(client, connection):
    docs = await adopted(client, connection, "CREATE TABLE theirs (id bigint PRIMARY KEY, embedding vector(3))")
    await docs.upsert([Record(id="7", embedding=[1, 2, 3]), Record(id="007", embedding=[3, 2, 1])])
    (found,) = await docs.get(["007"], include=["embedding"])
    assert (found.id, found.embedding.tolist()) == ("7", [3, 2, 1])


KEY_OF_ID = "CREATE TABLE theirs (id text PRIMARY KEY, domain_id text NOT NULL, embedding vector(3), content text)"


@pytest.mark.parametrize("count", [1, 60])
async def test_a_key_of_the_id_alone_refuses_ids_of_other_domains(client, connection, count):
    docs = await adopted(client, connection, KEY_OF_ID)
    red, blue = docs.domain("red"), docs.domain("blue")
    given = [Record(id=f"{n}", embedding=[1, 2, 3], content="of red") for n in range(count)]
    assert (await red.upsert(given)).inserted == count
    with pytest.raises(SchemaError, match="belongs to another domain"):
        await blue.upsert([Record(id="0", embedding=[3, 2, 1], content="of blue"), Record(id="x", embedding=[1, 2, 3])])
    assert (await blue.count(), await red.count()) == (0, count)
    assert (await red.get(["0"]))[0].content == "of red"
    assert (await red.upsert(given)).updated == count


async def test_a_table_without_a_key_takes_new_rows_only(client, connection):
    docs = await adopted(client, connection, "CREATE TABLE theirs (id text NOT NULL, embedding vector(3))")
    assert (await docs.upsert([Record(embedding=[1, 2, 3])])).inserted == 1
    with pytest.raises(SchemaError, match=r"no unique key.*CREATE UNIQUE INDEX"):
        await docs.upsert([Record(id="a", embedding=[1, 2, 3])])
    assert await docs.count() == 1


@pytest.mark.parametrize(
    "key", ["UNIQUE (id) DEFERRABLE", "UNIQUE (id, embedding)", "EXCLUDE (id WITH =)"], ids=["late", "wide", "exclude"]
)
async def test_a_key_that_upserts_cannot_use_is_none(client, connection, key):
    docs = await adopted(client, connection, f"CREATE TABLE theirs (id text NOT NULL, embedding vector(3), {key})")
    with pytest.raises(SchemaError, match="no unique key"):
        await docs.upsert([Record(id="a", embedding=[1, 2, 3])])


async def test_columns_of_their_own_keep_their_defaults_and_values(client, connection):
    docs = await adopted(
        client,
        connection,
        "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3), rank int NOT NULL DEFAULT 7, "
        "number bigint GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (14) STORED)",
    )
    await docs.upsert([Record(id="a", embedding=[1, 2, 3])])
    await connection.execute("UPDATE theirs SET rank = 9")
    await docs.upsert([Record(id="a", embedding=[3, 2, 1])])
    assert tuple(await connection.fetchrow("SELECT rank, number, twice FROM theirs")) == (9, 1, 14)


async def test_columns_that_must_be_filled_and_are_not_ours_are_named(client, connection):
    docs = await adopted(
        client,
        connection,
        "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3), owner text NOT NULL, rank int NOT NULL);"
        "INSERT INTO theirs VALUES ('a', '[1,2,3]', 'me', 1)",
    )
    with pytest.raises(SchemaError, match="owner, rank; give them defaults"):
        await docs.upsert([Record(id="b", embedding=[1, 2, 3])])
    assert [match.id for match in await docs.search([1, 2, 3])] == ["a"]


@pytest.mark.parametrize(
    "more", [{"content": "x"}, {"metadata": {"n": 1}}, {"document_id": "d"}, {"chunk_index": 0}, {"envelope": {"n": 1}}]
)
async def test_a_record_that_needs_a_column_which_is_missing_is_refused(client, connection, more):
    docs = await adopted(client, connection, "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3))")
    with pytest.raises(RecordError, match=f"has {next(iter(more))}, but public.theirs has no column for it"):
        await docs.upsert([Record(id="ok", embedding=[1, 2, 3]), Record(id="a", embedding=[1, 2, 3], **more)])
    assert await docs.count() == 0


async def test_a_filter_that_needs_a_column_which_is_missing_is_refused(client, connection):
    docs = await adopted(client, connection, "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3))")
    with pytest.raises(SchemaError, match="no metadata column"):
        await docs.count({"n": 1})
    with pytest.raises((SchemaError, ValueError), match="document"):
        await docs.delete(document_ids=["d"])
    with pytest.raises((SchemaError, ValueError), match=r"metadata|content"):
        await docs.update(["a"], contents=["x"], metadatas={"n": 1})


async def test_a_table_without_domains_serves_the_default_one_and_no_other(client, connection):
    docs = await adopted(client, connection, "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3))")
    await docs.upsert([Record(id="a", embedding=[1, 2, 3])])
    assert await docs.count() == await docs.all_domains().count() == 1
    tenant = docs.domain("acme")
    uses = [
        tenant.count,
        tenant.clear,
        lambda: tenant.search([1, 2, 3]),
        lambda: tenant.delete(["a"]),
        lambda: tenant.get(["a"]),
        tenant.list,
        tenant.stats,
        lambda: tenant.update(["a"], embeddings=[[3, 2, 1]]),
    ]
    for use in uses:
        with pytest.raises(SchemaError, match="domain"):
            await use()
    with pytest.raises((SchemaError, RecordError), match="domain"):
        await tenant.upsert([Record(id="b", embedding=[1, 2, 3])])
    assert await docs.count() == 1


async def test_all_that_does_not_fit_is_said_at_once(client, connection):
    await connection.execute(
        "CREATE TABLE theirs (id date, embedding text, content int, metadata text, chunk_index text)"
    )
    with pytest.raises(SchemaError) as caught:
        await client.get_collection("theirs")
    for name in ("'id'", "'embedding'", "'content'", "'metadata'", "'chunk_index'"):
        assert name in str(caught.value)


async def test_a_mapped_column_that_is_missing_is_an_error(client, connection):
    await connection.execute("CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3))")
    config = CollectionConfig(name="theirs", columns=Columns(content="body"))
    with pytest.raises(SchemaError, match="no column 'body' for content; its columns are"):
        await client.get_collection(config)


async def test_rows_without_an_embedding_are_read_but_not_found(client, connection):
    docs = await adopted(
        client,
        connection,
        "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3));"
        "INSERT INTO theirs VALUES ('empty', NULL), ('full', '[1,2,3]')",
    )
    assert [match.id for match in await docs.search([1, 2, 3], k=10)] == ["full"]
    assert await docs.count() == 2
    (empty,) = await docs.get(["empty"], include=["embedding"])
    assert (empty.id, empty.embedding) == ("empty", None)


async def test_rows_without_an_embedding_are_not_found_by_index_either(client, connection):
    docs = await adopted(
        client,
        connection,
        "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(2));"
        "INSERT INTO theirs SELECT n::text, CASE WHEN n % 2 = 0 THEN ARRAY[n, 1]::vector END FROM generate_series(1, 3000) n",
    )
    await docs.create_index()
    assert len(await docs.search([1, 1], k=20)) == 20
    assert len(await docs.search([1, 1], k=3_000)) == 1_500


async def test_a_column_of_any_dimensions_is_used(client, connection):
    docs = await adopted(client, connection, "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector)")
    await docs.upsert([Record(id="a", embedding=[1, 2, 3])])
    assert [match.id for match in await docs.search([1, 2, 3])] == ["a"]
    assert (await docs.stats()).dimensions is None
    with pytest.raises(DimensionMismatch):
        await docs.search([1, 2])
    with pytest.raises(ValueError, match="does not say how many dimensions"):
        await docs.create_index()


@pytest.mark.needs(pgvector="0.7")  # for halfvec, and for distances on bits
@pytest.mark.parametrize(
    ("kind", "embedding", "distance"), [("halfvec(3)", [1, 2, 3], "cosine"), ("bit(3)", [1, 0, 1], "hamming")]
)
async def test_a_column_of_another_vector_type_is_used(client, connection, kind, embedding, distance):
    docs = await adopted(client, connection, f"CREATE TABLE theirs (id text PRIMARY KEY, embedding {kind})")
    await docs.upsert([Record(id="a", embedding=embedding)])
    (match,) = await docs.search(embedding, include=["embedding"])
    assert match.embedding.tolist() == embedding
    assert (await docs.stats()).distance == distance


async def test_a_table_of_other_dimensions_is_refused(client, connection):
    await connection.execute("CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3))")
    with pytest.raises(DimensionMismatch, match=r"3 dimensions, not 5.*another model"):
        await client.get_or_create_collection("theirs", dimensions=5)


async def test_adoption_changes_nothing_about_the_table(client, connection, database):
    await adopted(client, connection, "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3))")
    docs = await client.get_or_create_collection("theirs", dimensions=3)
    await docs.upsert([Record(id="a", embedding=[1, 2, 3])])
    names = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'theirs'::regclass AND attnum > 0"
    )
    assert [row[0] for row in names] == ["id", "embedding"]
    assert await connection.fetchval("SELECT obj_description('theirs'::regclass)") is None


@pytest.mark.parametrize("count", [3, 60])
async def test_row_level_security_of_the_table_is_obeyed(client, connection, database, count):
    await connection.execute(
        "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3), content text); "
        "ALTER TABLE theirs ENABLE ROW LEVEL SECURITY; "
        "CREATE POLICY mine ON theirs USING (content = current_user) WITH CHECK (content = current_user)"
    )
    role = database.role("GRANT SELECT, INSERT, UPDATE, DELETE ON theirs TO {role}")
    await connection.execute("INSERT INTO theirs VALUES ('theirs', '[1,2,3]', 'somebody')")
    async with AsyncClient(role) as mine:
        docs = await mine.get_collection("theirs")
        user = (await mine.server()).user
        await docs.upsert([Record(id=f"{n}", embedding=[1, 2, 3], content=user) for n in range(count)])
        assert await docs.count() == count
        assert {match.content for match in await docs.search([1, 2, 3], k=100)} == {user}


async def test_a_partitioned_table_is_used(client, connection):
    docs = await adopted(
        client,
        connection,
        "CREATE TABLE theirs (domain_id text, id text, embedding vector(3), PRIMARY KEY (domain_id, id)) "
        "PARTITION BY LIST (domain_id); CREATE TABLE theirs_red PARTITION OF theirs FOR VALUES IN ('red'); "
        "CREATE TABLE theirs_rest PARTITION OF theirs DEFAULT",
    )
    for domain in ("red", "blue"):
        given = [Record(id=f"{n}", embedding=[1, 2, n]) for n in range(70)]
        assert (await docs.domain(domain).upsert(given)).inserted == 70
        assert (await docs.domain(domain).upsert(given)).updated == 70
    assert await connection.fetchval("SELECT count(*) FROM theirs_red") == 70
    assert len(await docs.all_domains().search([1, 2, 3], k=200)) == 140


async def test_a_table_without_a_key_is_counted_but_not_listed(client, connection):
    docs = await adopted(client, connection, "CREATE TABLE theirs (id text, embedding vector(3))")
    await connection.execute("INSERT INTO theirs VALUES ('a', '[1,2,3]'), ('a', '[1,2,3]')")
    assert await docs.count() == 2
    with pytest.raises(SchemaError, match="no unique key"):
        await docs.list()
