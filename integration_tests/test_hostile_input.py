"""Hostile strings in every place that takes one: they come back as they are, and nothing else happens."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgrecall import (
    HNSW,
    AsyncClient,
    Client,
    CollectionConfig,
    Columns,
    HashPartitions,
    KeywordOptions,
    Record,
    SearchOptions,
)
from pgrecall.build import BuildOptions
from pgrecall.errors import ConfigError, FilterError

HOSTILE = [
    "'; DROP TABLE canary; --",
    '"; DROP TABLE canary; --',
    "\\'; DROP TABLE canary; --",
    "$$; DROP TABLE canary; $$",
    "$1",
    "%s %(x)s {0} {name}",
    "a' OR '1'='1",
    'a" OR "1"="1',
    "/* */ -- \n\r\t",
    "\\",
    "''\"\"\\\\",
    "'||pg_sleep(9)||'",
    "E'\\x27'",
    "U&'\\0027'",
    "\u2019\uff07\u02bc\u0301\u202e\ufeff",
    "\U0001f600" * 12,
    " ",
    "NULL",
    "true",
    "0x27",
    "*",
    "a.b\\.c",
]
CANARY = "SELECT count(*) FROM canary"
# Of what there are pairs: characters that begin or end something, and any others.
TEXTS = st.one_of(
    st.sampled_from(HOSTILE),
    st.text("'\"\\$;-/*{}%.\n\u2019 a1", min_size=1, max_size=20),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=20),
)


@pytest.fixture
def canary(database):
    """A table that must outlive the test, with the one row that it had."""
    database.execute("CREATE TABLE canary AS SELECT 1 AS n")
    yield database
    assert database.ask(CANARY) == 1


@pytest.mark.needs(extension="pg_trgm")
@pytest.mark.parametrize("name", ["q", "asked", "wanted", "found"])
async def test_a_table_can_have_the_name_of_what_is_named_in_a_statement(client, connection, name):
    await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    layout = HashPartitions(count=2)
    docs = await client.create_collection(
        CollectionConfig(name=name, dimensions=2, text_search="english", layout=layout)
    )
    await docs.upsert([Record(id=str(n), embedding=[1, n], content="hello world") for n in range(3)])
    await docs.create_index(HNSW())
    assert len(await docs.search([1, 0], 3)) == len(await docs.search_keyword("hello", 3)) == 3
    assert len(await docs.search_keyword("hello wrld", 3, options=KeywordOptions(fuzzy=True))) == 3
    assert await docs.all_domains().list_domains() == ["default"]


@pytest.mark.parametrize("hostile", HOSTILE[:16], ids=range(16))
async def test_names_of_all_kinds_are_names(canary, hostile):
    name = hostile.encode()[:40].decode(errors="ignore")
    columns = Columns(id=f"i{name}", content=f"c{name}", metadata=f"m{name}", domain_id=f"d{name}")
    field = "f" + name.replace("\\", "/").replace(".", "_")
    config = CollectionConfig(name=name, schema=f"s{name}", dimensions=3, columns=columns, fields={field: str})
    async with AsyncClient(canary.url) as client:
        docs = (await client.create_collection(config)).domain(hostile)
        given = [
            Record(
                id=f"{hostile}{n}",
                embedding=[1, 2, n],
                content=hostile,
                document_id=hostile,
                metadata={field: hostile, "n": n},
            )
            for n in range(60)
        ]
        assert (await docs.upsert(given)).inserted == 60
        assert (await docs.upsert(given)).unchanged == 60
        assert await docs.count({field: hostile}) == 60
        assert await docs.count({field: {"$contains": hostile}, "$id": f"{hostile}5"}) == 1
        assert await docs.count({field: f"{hostile}x"}) == 0
        built = await docs.create_index(HNSW(m=4, ef_construction=16))
        assert built.name
        for options in (None, SearchOptions(exact=True)):
            (found,) = await docs.search([1, 2, 9], k=1, filter={"n": 9}, options=options)
            assert (found.id, found.content, found.metadata[field]) == (f"{hostile}9", hostile, hostile)
        assert len((await docs.list(prefix=hostile, limit=7)).records) == 7
        assert await docs.update([f"{hostile}1"], metadatas={"new": hostile}) == 1
        assert await docs.domain(f"{hostile}x").count() == 0
        ledger, values = docs.ledger(hostile), client.key_values(hostile[:30])
        await ledger.mark([hostile])
        await values.set({hostile: hostile.encode()})
        assert (await ledger.keys(), await values.get([hostile])) == ([hostile], [hostile.encode()])
        await docs.maintain()
        assert (await docs.stats()).rows == 60
        assert await docs.delete(document_ids=[hostile], filter={"n": {"$lt": 5}}) == 5
        await client.rename_collection(name, f"r{name}", schema=f"s{name}")
        assert await client.list_collections(schema=f"s{name}") == [f"r{name}"]
        await client.delete_collection(f"r{name}", schema=f"s{name}")


@pytest.fixture(scope="module")
def kept(module_database):
    """A collection that many hostile rows go through, one after the other."""
    module_database.execute("CREATE TABLE canary AS SELECT 1 AS n")
    with Client(module_database.url) as client:
        yield client.get_or_create_collection("docs", dimensions=3), module_database


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_whatever_is_written_comes_back_and_is_found_by_what_it_is(kept, row_id, key, value, domain):
    docs, database = kept
    docs = docs.domain(domain)
    metadata = {key: value, "list": [value, key], "deep": {key: {"x": value}}}
    docs.upsert([Record(id=row_id, embedding=[1, 2, 3], content=value, document_id=key, metadata=metadata)])
    (found,) = docs.get([row_id])
    assert (found.id, found.content, found.document_id, found.metadata) == (row_id, value, key, metadata)
    assert docs.count({"$id": row_id, "list": {"$contains": value}}) == 1
    assert docs.count({"list": [value, key], "$content": {"$contains": value}}) == 1
    name = key.replace(".", "\\.")
    if not key.startswith("$") and "\\" not in key:
        # Names that begin with $ are columns and operators, and a backslash before a dot belongs to the dot.
        assert docs.count({name: value}) == 1
        assert docs.count({f"deep.{name}.x": {"$in": [value, "other"]}}) == 1
        assert docs.count({name: {"$ne": value}}) == docs.count() - 1
    try:
        docs.count({"list": {"$regex": value}, "deep": {"$like": value.rstrip("\\")}})
    except FilterError as error:
        assert "regular expression" in str(error)  # noqa: PT017 - it may also be a pattern
    assert [match.id for match in docs.search([1, 2, 3], k=1, filter={"$id": row_id})] == [row_id]
    assert docs.delete([row_id]) == 1
    assert database.ask(CANARY) == 1


CLOSED = "postgresql://me@127.0.0.1:1/db"
BAD_NUMBERS = ["1; DROP TABLE canary", "10", 1.5, True, -1, 10**6, [1], b"1"]


@pytest.mark.parametrize("bad", BAD_NUMBERS, ids=repr)
async def test_what_is_no_number_in_range_is_refused_before_anything_is_sent(bad):
    # Nobody answers there: whatever was sent would be another error.
    client = AsyncClient(CLOSED)
    docs = client.collection("docs")
    calls = [
        lambda: docs.search([1, 2, 3], k=bad),
        lambda: docs.search_mmr([1, 2, 3], k=bad),
        lambda: docs.list(limit=bad),
        lambda: docs.list_documents(limit=bad),
        lambda: docs.upsert([Record(id="a", embedding=[1, 2, 3])], batch_size=bad),
        lambda: docs.neighbours(["a"], window=bad),
        lambda: docs.copy_to(client.collection("other"), batch_size=bad),
        lambda: docs.recall(bad),
        lambda: docs.recall(sample=bad),
        lambda: docs.ledger("l").keys(limit=-1 if bad == 10**6 else bad),
        lambda: client.create_collection("docs", dimensions=bad),
        lambda: docs.create_index(HNSW(m=bad)),
        lambda: docs.create_index(options=BuildOptions(workers=bad)),
        lambda: docs.create_index(options=BuildOptions(memory=bad if isinstance(bad, str) and ";" in bad else -1)),
    ]
    for call in calls:
        with pytest.raises((ConfigError, TypeError)):
            await call()
