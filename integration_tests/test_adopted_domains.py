"""Tables whose domains are UUIDs of another table's rows, and whose embeddings are of any length."""

import uuid

import pytest

from pgrecall import CollectionConfig, Columns, Record
from pgrecall.errors import ConfigError, DimensionMismatch, RecordError, SchemaError

RED, BLUE = (str(uuid.UUID(int=0xABC0 + n)) for n in range(2))
THEIRS = f"""
CREATE TABLE tenants (uuid uuid PRIMARY KEY, name text);
INSERT INTO tenants VALUES ('{RED}', 'red'), ('{BLUE}', 'blue');
CREATE TABLE theirs (
  id varchar NOT NULL, tenant uuid REFERENCES tenants, embedding vector, content varchar, metadata jsonb, {{key}}
);
"""
CONFIG = CollectionConfig(name="theirs", columns=Columns(domain_id="tenant"))
KEYS = {"id": "PRIMARY KEY (id)", "both": "PRIMARY KEY (tenant, id)"}


def records(count, prefix="r", **more):
    return [
        Record(id=f"{prefix}{n:03}", embedding=[1, 2, 3], content="x", metadata={"n": n}, **more) for n in range(count)
    ]


@pytest.fixture(params=KEYS)
async def docs(client, connection, request):
    await connection.execute(THEIRS.format(key=KEYS[request.param]))
    return await client.get_collection(CONFIG, domain=RED)


@pytest.mark.parametrize("count", [3, 120])
async def test_a_domain_that_is_a_uuid_is_used_as_its_text(connection, docs, count):
    assert (await docs.upsert(records(count))).inserted == count
    assert (await docs.upsert(records(count))).updated == count
    assert await docs.update(["r001"], metadatas={"m": 1}) == 1
    assert [found.metadata for found in await docs.get(["r001"])] == [{"n": 1, "m": 1}]
    assert (await docs.get(["r001"]))[0].domain_id == RED
    blue = docs.domain(BLUE)
    assert (await blue.count(), await blue.get(["r001"]), await blue.update(["r001"], metadatas={"m": 2})) == (
        0,
        [None],
        0,
    )
    assert (await blue.delete(["r001"]), await blue.search([1, 2, 3])) == (0, [])
    assert len(await docs.search([1, 2, 3], k=200, filter={"n": {"$gte": 0}})) == count
    assert (await docs.stats()).domains == {RED: count}
    assert await docs.delete(["r000"]) == 1
    assert await connection.fetchval("SELECT count(*) FROM theirs WHERE tenant = $1", uuid.UUID(RED)) == count - 1
    assert await docs.clear() == count - 1


async def test_records_of_all_domains_carry_theirs(docs):
    everything = docs.all_domains()
    given = [*records(60, "r", domain_id=RED.upper()), *records(60, "b", domain_id=BLUE)]
    assert (await everything.upsert(given)).inserted == 120
    assert (await everything.upsert(given)).updated == 120
    assert await everything.count() == 120
    found, after = [], None
    for _ in range(20):
        page = await everything.list(limit=17, after=after)
        found += [(one.domain_id, one.id) for one in page.records]
        after = page.next
        if after is None:
            break
    assert sorted(found) == sorted((one.domain_id.lower(), one.id) for one in given)
    assert {match.domain_id for match in await everything.search([1, 2, 3], k=120)} == {RED, BLUE}
    with pytest.raises(RecordError, match="are UUIDs"):
        await everything.upsert(records(1, domain_id="green"))


async def test_a_uuid_is_the_same_domain_however_it_is_written(docs):
    await docs.domain(RED.upper()).upsert(records(2))
    assert await docs.count() == 2
    assert (await docs.domain(RED.replace("-", "")).upsert(records(2))).updated == 2


async def test_a_domain_that_is_no_uuid_is_an_error_and_nothing_is_touched(docs):
    await docs.upsert(records(2))
    other = docs.domain("default")
    uses = [
        other.count,
        other.clear,
        other.list,
        other.stats,
        lambda: other.get(["r001"]),
        lambda: other.search([1, 2, 3]),
        lambda: other.delete(["r001"]),
        lambda: other.update(["r001"], metadatas={"n": 1}),
        lambda: other.upsert(records(1)),
    ]
    for use in uses:
        with pytest.raises(SchemaError, match=r"domains of public.theirs are UUIDs, so it has no domain 'default'"):
            await use()
    assert await docs.count() == 2


async def test_a_domain_that_the_other_table_does_not_have_is_refused(docs):
    with pytest.raises(Exception, match="foreign key"):
        await docs.domain(str(uuid.UUID(int=9))).upsert(records(1))


@pytest.mark.parametrize("count", [1, 60])
async def test_a_key_of_the_id_alone_refuses_ids_of_other_domains(client, connection, count):
    await connection.execute(THEIRS.format(key=KEYS["id"]))
    red = await client.get_collection(CONFIG, domain=RED)
    await red.upsert(records(count))
    with pytest.raises(SchemaError, match="belongs to another domain"):
        await red.domain(BLUE).upsert([*records(count), Record(id="new", embedding=[1, 2, 3])])
    assert (await red.count(), await red.domain(BLUE).count()) == (count, 0)


async def test_an_index_on_the_domain_is_used(client, connection):
    await connection.execute(THEIRS.format(key=KEYS["id"]))
    await connection.execute(
        "INSERT INTO tenants SELECT lpad(n::text, 32, '0')::uuid FROM generate_series(1, 300) n;"
        "INSERT INTO theirs SELECT n::text, lpad((n % 300 + 1)::text, 32, '0')::uuid, '[1,2,3]' FROM generate_series(1, 6000) n;"
        "CREATE INDEX of_tenant ON theirs (tenant); ANALYZE theirs"
    )
    docs = await client.get_collection(CONFIG, domain=f"{7:032}")
    assert "of_tenant" in str((await docs.explain([1, 2, 3], postgres=True)).postgres)
    assert await docs.count() == 20


# -- embeddings of any length ----------------------------------------------------------------------


async def test_searching_one_domain_never_meets_embeddings_of_another(docs):
    blue = docs.domain(BLUE)
    await docs.upsert(records(300))
    await blue.upsert([Record(id=f"b{n}", embedding=[1, n], metadata={"n": n}) for n in range(300)])
    for filter in (None, {"n": 7}, {"n": {"$lt": 100}}, {"$not": {"n": 7}}):
        for threshold in (None, 0.1, 0.9):
            for handle, query in ((docs, [1, 2, 3]), (blue, [1, 2])):
                found = await handle.search(query, k=500, filter=filter, score_threshold=threshold)
                assert {match.id[0] for match in found} <= {"r" if handle is docs else "b"}
                assert found
    assert [match.id for match in await blue.search([0, 1], 1, include=["embedding"])] == ["b299"]
    with pytest.raises(DimensionMismatch):
        await docs.search([1, 2])
    with pytest.raises(DimensionMismatch):
        await docs.search([1, 2], score_threshold=0.5)
    assert (await blue.recall(k=3, sample=5, options=None)).recall == 1.0


async def test_a_threshold_is_held_against_the_rows_in_scope_alone_whatever_the_planner_thinks(client, connection):
    await connection.execute(THEIRS.format(key=KEYS["id"]))
    config = CollectionConfig(name="theirs", dimensions=2, columns=Columns(domain_id="tenant"))
    blue = await client.get_collection(config, domain=BLUE)
    await connection.execute(
        f"INSERT INTO theirs SELECT 'r' || n, '{RED}', '[1,2,3]', 'x', '{{\"n\": 1}}' FROM generate_series(1, 500) n;"
        f"INSERT INTO theirs SELECT 'b' || n, '{BLUE}', '[1,2]', 'x', '{{\"n\": 1}}' FROM generate_series(1, 5) n;"
        f"INSERT INTO theirs VALUES ('none', '{BLUE}', NULL, 'x', NULL)"
    )
    # PostgreSQL begins with what costs least, which should not be the domain.
    await connection.execute("ALTER FUNCTION pg_catalog.uuid_eq (uuid, uuid) COST 10000")
    filter = {"$and": [{"n": {"$lt": 5}}, {"n": {"$gt": -5}}, {"n": {"$ne": 3}}]}
    assert len(await blue.search([1, 2], k=100, filter=filter, score_threshold=0.5)) == 5


async def test_a_domain_is_filled_with_embeddings_of_one_length(docs):
    with pytest.raises((DimensionMismatch, RecordError), match="record 1"):
        await docs.upsert([Record(id="a", embedding=[1, 2, 3]), Record(id="b", embedding=[1, 2])])


# -- looking at tables -----------------------------------------------------------------------------


async def test_tables_are_described(client, connection):
    await connection.execute(
        "CREATE SCHEMA app; CREATE TABLE app.one (id int GENERATED ALWAYS AS IDENTITY, name varchar(20) NOT NULL, "
        "v vector(3), j json, PRIMARY KEY (id, name))"
    )
    found = await client.describe_table("one", schema="app")
    assert [(c.name, c.type, c.nullable, c.generated, c.primary_key) for c in found] == [
        ("id", "integer", False, True, True),
        ("name", "character varying", False, False, True),
        ("v", "vector", True, False, False),
        ("j", "json", True, False, False),
    ]
    assert await client.describe_table("one") == []


async def test_names_of_domains_are_read(client, blocking_client, connection):
    await connection.execute(THEIRS.format(key=KEYS["id"]))
    assert await client.domain_names("tenants", domain="uuid") == [("blue", BLUE), ("red", RED)]
    assert blocking_client.domain_names("tenants", domain="uuid", name="name") == [("blue", BLUE), ("red", RED)]
    with pytest.raises((SchemaError, ConfigError)):
        await client.domain_names("nobody")
