"""Having a collection searched by words that was not made for it, beside its readers and writers."""

import asyncio

import pytest

from pgrecall import AsyncClient, CollectionConfig, Columns, RecordBatch, TextColumn, TextSearch
from pgrecall.collection.indexes import deriving
from pgrecall.collection.schema import new_table
from pgrecall.errors import ConfigError, ExtensionMissing, PermissionDenied, SchemaError
from pgrecall.keyword_plan import Candidates
from pgrecall.postgres.lexemes import text_column
from pgrecall.scope import Scope
from pgrecall.sql.dialect import Dialect
from pgrecall.sql.selection import Selection
from pgrecall.sql.text_search import Ranking, Returned, best


def batch(first, count, text="about locks"):
    return RecordBatch(
        embeddings=[[1.0, n] for n in range(count)],
        ids=[f"r{first + n}" for n in range(count)],
        contents=[f"{text} number{first + n}" for n in range(count)],
        metadatas=[{"n": first + n} for n in range(count)],
    )


async def found(docs, query, k=10_000):
    return {match.id for match in await docs.search_keyword(query, k)}


async def test_what_is_there_is_filled_in_and_what_comes_is_kept(client, connection):
    docs = await client.get_or_create_collection("docs", dimensions=2)
    await docs.upsert(batch(0, 500))
    made = await docs.add_text_search("english")
    assert (made.column, made.language, made.indexed, made.kept) == ("content_tsv", "pg_catalog.english", True, True)
    await docs.upsert(batch(500, 10))
    await docs.update(["r3"], contents=["something else"])
    assert len(await found(docs, "lock")) == 509
    assert await found(docs, "else") == {"r3"}
    assert await docs.add_text_search("english") == made
    # What others write is kept too.
    await connection.execute("INSERT INTO docs (id, embedding, content) VALUES ('theirs', '[1,1]', 'more locks')")
    assert "theirs" in await found(docs, "locks")


async def test_writers_and_readers_carry_on(client):
    docs = await client.get_or_create_collection("docs", dimensions=2)
    await docs.upsert(batch(0, 2_000))
    done = asyncio.Event()

    async def write():
        written = 2_000
        while not done.is_set():
            await docs.upsert(batch(written, 20))
            written += 20
        return written

    async def read():
        reads = 0
        while not done.is_set():
            assert len(await docs.search([1.0, 0.0], 5)) == 5
            reads += 1
        return reads

    writing, reading = asyncio.ensure_future(write()), asyncio.ensure_future(read())
    await docs.add_text_search("simple")
    done.set()
    written, reads = await writing, await reading
    assert reads
    assert len(await found(docs, "locks")) == min(written, 10_000)


async def test_a_killed_call_is_finished_by_the_next(client, connection, monkeypatch):
    docs = await client.get_or_create_collection("docs", dimensions=2)
    await docs.upsert(batch(0, 50))

    async def die(*arguments, **options):
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr("pgrecall.collection.indexes.text_columns.fill", die)
        with pytest.raises(asyncio.CancelledError):
            await docs.add_text_search("english")
    with pytest.raises(SchemaError, match="add_text_search"):
        await docs.search_keyword("lock")
    # Meanwhile somebody adds a field, which makes the trigger anew, and a row changes.
    await docs.add_fields({"n": int})
    await docs.update(["r1"], contents=["changed meanwhile"])
    await docs.add_text_search("english")
    assert await found(docs, "changed") == {"r1"}
    assert len(await found(docs, "lock")) == 49
    assert len(await docs.search([1.0, 0.0], 50, filter={"n": {"$lt": 10}})) == 10


async def test_fields_and_words_are_kept_by_one_trigger(client):
    docs = await client.get_or_create_collection(
        CollectionConfig(name="docs", dimensions=2, fields={"n": int}, text_search="english")
    )
    await docs.upsert(batch(0, 20))
    await docs.add_fields({"tag": str})
    await docs.upsert(batch(20, 5, text="more keys"))
    assert len(await found(docs, "keys")) == 5
    assert len(await docs.search_keyword("keys", filter={"n": 21})) == 1


async def test_the_configuration_adds_it_to_a_collection_that_is_there(client):
    await client.get_or_create_collection("docs", dimensions=2)
    docs = await client.get_or_create_collection(CollectionConfig(name="docs", text_search="english"))
    await docs.upsert(batch(0, 3))
    assert len(await found(docs, "locks")) == 3


async def test_two_at_once_make_one(client, url):
    docs = await client.get_or_create_collection("docs", dimensions=2)
    await docs.upsert(batch(0, 300))
    async with AsyncClient(url) as other:
        made = await asyncio.gather(
            docs.add_text_search("english"), other.collection("docs").add_text_search("english")
        )
    assert made[0] == made[1]


async def test_another_language_is_refused(client):
    docs = await client.get_or_create_collection(CollectionConfig(name="docs", dimensions=2, text_search="english"))
    with pytest.raises(SchemaError, match="is searched in 'english'"):
        await docs.add_text_search("german")
    with pytest.raises(SchemaError, match="language_key='lang'"):
        await docs.add_text_search(TextSearch(language_key="lang"))


async def test_a_column_of_somebody_else_is_left_alone(client, connection):
    docs = await client.get_or_create_collection("docs", dimensions=2)
    await connection.execute("ALTER TABLE docs ADD COLUMN content_tsv integer")
    with pytest.raises(SchemaError, match="of its own"):
        await docs.add_text_search("english")
    assert (await docs.add_text_search(TextSearch(column="lexemes"))).column == "lexemes"


async def test_a_table_without_content_has_no_words(client, connection):
    await connection.execute("CREATE TABLE bare (id text PRIMARY KEY, embedding vector(2))")
    docs = await client.get_collection("bare")
    with pytest.raises(SchemaError, match="no column for content"):
        await docs.add_text_search("english")


@pytest.mark.parametrize(
    "settings",
    [
        {"column": "x" * 64},
        {"engine": "pg_textsearch", "language_key": "l"},
        {"engine": "pg_textsearch", "column": "lexemes"},
    ],
)
def test_text_search_refuses_what_cannot_be_where_it_is_made(settings):
    with pytest.raises(ConfigError):
        TextSearch(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"text_search": 3},
        {"text_search": TextSearch(column="content")},
        {"text_search": "english", "columns": Columns(content=None)},
        {"text_search": TextSearch(language_key="l"), "columns": Columns(metadata=None)},
        {"text_search": TextSearch(column="year"), "fields": {"year": int}},
        {"text_search": TextSearch(column="text"), "columns": Columns(content="text")},
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings):
    with pytest.raises(ConfigError):
        CollectionConfig(name="docs", **settings)


RANKED = TextSearch(engine="pg_textsearch")


async def has_extension(connection):
    """Whether the server has pg_textsearch, which ours has not: it is tried by hand on one that has."""
    available = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_textsearch')"
    return await connection.fetchval(available)


async def test_an_extension_that_is_not_there_is_named(client, connection):
    if await has_extension(connection):
        pytest.skip("this server has pg_textsearch")
    with pytest.raises(ExtensionMissing, match="CREATE EXTENSION pg_textsearch"):
        await client.get_or_create_collection(CollectionConfig(name="docs", dimensions=2, text_search=RANKED))
    docs = await client.get_or_create_collection("docs", dimensions=2)
    with pytest.raises(ExtensionMissing, match="CREATE EXTENSION pg_textsearch"):
        await docs.add_text_search(RANKED)


async def test_an_extension_that_is_there_ranks(client, connection):
    if not await has_extension(connection):
        pytest.skip("needs a server with pg_textsearch")
    await connection.execute("CREATE EXTENSION pg_textsearch")
    docs = await client.get_or_create_collection(CollectionConfig(name="docs", dimensions=2, text_search=RANKED))
    await docs.upsert(batch(0, 50))
    assert await found(docs, "number7 nothing") == {"r7"}
    assert len(await docs.search_keyword("locks", 50, filter={"n": {"$lt": 10}})) == 10
    assert len(await docs.search_hybrid("number7", [1.0, 0.0], 50)) == 50
    for query in ('"about locks"', "locks -number7", "lock*"):
        with pytest.raises(ConfigError, match="knows words only"):
            await docs.search_keyword(query)


def test_an_index_of_the_extension_is_recognised_and_used():
    index = {"valid": True, "condition": None, "expressions": False, "columns": ["content"], "name": "ix"}
    index |= {"class": "text_bm25_ops", "class_schema": "bm25", "options": ["text_config=german", "k1=1.2"]}
    text = text_column(CollectionConfig(name="docs"), {"columns": [], "indexes": [index]}, "content")
    assert text == TextColumn(
        column="content", language="german", indexed=True, index=("public", "ix"), index_schema="bm25"
    )
    ranking = Ranking(text=text, lexemes=(), asked="'; DROP", k1=0.0, b=0.0, mean_length=1.0)
    table = new_table(CollectionConfig(name="docs"), 2, "public")
    selection = Selection(table, Scope.of("default"), Dialect("public"))
    statement = best(selection, ranking, Candidates((), (), 3, ""), Returned(k=3))
    ordering = """ORDER BY "content" OPERATOR("bm25".<@>) "bm25"."to_bm25query"($1::text, $2::text) LIMIT 3"""
    assert statement.text.endswith(ordering)
    assert statement.args[:2] == ("'; DROP", '"public"."ix"')
    assert "DROP" not in statement.text
    words = TextSearch(engine="builtin")
    assert (
        text_column(CollectionConfig(name="d", text_search=words), {"columns": [], "indexes": [index]}, "content")
        is None
    )


async def test_only_the_owner_may_add_it(client, server, database, connection):
    await client.get_or_create_collection("docs", dimensions=2)
    await connection.execute("CREATE ROLE reader_only LOGIN PASSWORD 'secret'; GRANT SELECT ON docs TO reader_only")
    try:
        async with AsyncClient(server.address(database.name, "reader_only")) as reader:
            with pytest.raises(PermissionDenied, match="only its owner may"):
                await reader.collection("docs").add_text_search("english")
    finally:
        await connection.execute("DROP OWNED BY reader_only; DROP ROLE reader_only")


async def test_a_lock_that_is_held_is_waited_for_in_short(client, connection, monkeypatch):
    """While somebody reads in a long transaction, others are not held up behind a lock that is waited for."""
    docs = await client.get_or_create_collection("docs", dimensions=2)
    await docs.upsert(batch(0, 3))
    monkeypatch.setattr(deriving, "_SHORT_LOCK", "SET LOCAL lock_timeout = '20ms'")
    async with connection.transaction():
        await connection.execute("SELECT FROM docs")
        adding = asyncio.ensure_future(docs.add_text_search("english"))
        await asyncio.sleep(0.2)
        assert not adding.done()
        assert len(await docs.search([1.0, 0.0], 3)) == 3
    await adding
    assert len(await found(docs, "locks")) == 3
