"""Promoted fields: columns that are right whoever writes the row."""

import json
from datetime import date

import numpy as np
import pytest

from integration_tests.field_cases import CASES, EMPTY, EXPECTED, FIELDS, FULL, by_codes, functions, records, stored
from pgrecall import AsyncClient, CollectionConfig, FieldType, Record, RecordBatch
from pgrecall.codes import bits_per_dimension, encode, thresholds
from pgrecall.errors import ConfigError, RecordError, SchemaError
from pgrecall.jsonb import dumps

pytestmark = pytest.mark.core
# From this pgvector on there are codes, distances on bits, and L1.
newer = pytest.mark.needs(pgvector="0.7")


@pytest.fixture
async def promoted(client):
    """An empty collection with fields of all types."""
    return await client.get_or_create_collection(CollectionConfig(name="docs", dimensions=3, fields=FIELDS))


# --- what is in the columns --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [len(CASES), 320], ids=["upsert", "copy"])
async def test_rows_that_are_new_have_their_columns_filled(promoted, connection, count):
    await promoted.upsert(records(count))
    assert await stored(connection) == [EXPECTED[n % len(CASES)] for n in range(count)]


async def test_rows_that_are_replaced_have_their_columns_filled(promoted, connection):
    await promoted.upsert([Record(id=r.id, embedding=[3, 2, 1], metadata=FULL) for r in records()])
    assert (await promoted.upsert(records())).updated == len(CASES)
    assert await stored(connection) == EXPECTED


async def test_metadata_that_is_replaced_replaces_the_columns(promoted, connection):
    await promoted.upsert([Record(id=r.id, embedding=[3, 2, 1], metadata=FULL) for r in records()])
    ids, metadatas = [r.id for r in records()], [r.metadata for r in records()]
    assert await promoted.update(ids, metadatas=metadatas, merge=False) == len(CASES)
    assert await stored(connection) == EXPECTED


async def test_metadata_that_is_merged_changes_the_columns_of_its_keys(promoted, connection):
    await promoted.upsert([Record(id="a", embedding=[1, 2, 3], metadata=FULL)])
    await promoted.update(["a"], metadatas={"year": "unknown", "lang": "de", "author": {"born": 1950}})
    changed = {"year": None, "lang": "de", "author.name": None}
    assert await stored(connection) == [{**EXPECTED[0], **changed}]
    assert await promoted.count({"lang": "de"}) == 1
    assert await promoted.count({"lang": "en"}) == 0


async def test_a_change_of_something_else_leaves_the_columns(promoted, connection):
    await promoted.upsert([Record(id="a", embedding=[1, 2, 3], metadata=FULL)])
    await promoted.update(["a"], contents=["new"], embeddings=[[3, 2, 1]])
    assert await stored(connection) == [EXPECTED[0]]


async def test_rows_that_another_client_writes_have_their_columns_filled(promoted, connection):
    given = [(f"{n:04}", "[1,2,3]", dumps(case).decode()) for n, (case, _) in enumerate(CASES)]
    await connection.executemany(
        "INSERT INTO docs (id, embedding, metadata) VALUES ($1, $2::text::vector, $3::text::jsonb)", given
    )
    found = await stored(connection)
    assert found == EXPECTED
    await connection.execute("UPDATE docs SET metadata = '{\"year\": 7}'")
    assert await stored(connection) == [{**EMPTY, "year": 7}] * len(CASES)
    # Whatever somebody writes into a column of ours, the metadata says what is in it.
    await connection.execute("UPDATE docs SET year = 8, lang = 'xx'")
    assert await stored(connection) == [{**EMPTY, "year": 7}] * len(CASES)


async def test_rows_that_a_role_without_rights_on_the_schema_writes_have_their_columns_filled(
    promoted, database, connection
):
    role = database.role(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO {role}", "ALTER ROLE {role} SET search_path = pg_temp"
    )
    async with AsyncClient(role) as client:
        await (await client.get_collection("docs")).upsert(records())
    assert await stored(connection) == EXPECTED


async def test_fields_are_noted_with_their_types(promoted):
    fields = await promoted.add_fields({})
    assert {str(field.key): field.type for field in fields} == {
        "year": FieldType.NUMBER,
        "price": FieldType.NUMBER,
        "lang": FieldType.TEXT,
        "at": FieldType.TIME,
        "done": FieldType.BOOLEAN,
        "tags": FieldType.LIST,
        "author.name": FieldType.TEXT,
        "a.b": FieldType.NUMBER,
    }


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"year": {"$gte": 2020}}, 2),
        ({"price": 1.5}, 1),
        ({"lang": {"$in": ["en", ""]}}, 2),
        ({"at": {"$between": [date(2024, 1, 1), date(2024, 12, 31)]}}, 1),
        ({"done": False}, 1),
        ({"tags": {"$contains": 1}}, 1),
        ({"author.name": "Ann"}, 1),
        ({r"a\.b": {"$gt": 2}}, 1),
        ({"lang": {"$ne": "en"}}, len(CASES) - 1),
        ({"done": {"$nin": [True, False]}}, len(CASES) - 2),
    ],
    ids=str,
)
async def test_filters_read_the_columns(promoted, connection, filter, expected):
    await promoted.upsert(records())
    assert await promoted.count(filter) == expected
    assert len(await promoted.search([1, 2, 3], 100, filter=filter)) == expected
    # Without the trigger the metadata can be taken away from under the columns.
    await connection.execute("ALTER TABLE docs DISABLE TRIGGER ALL; UPDATE docs SET metadata = '{}'")
    assert await promoted.count(filter) == expected


HOSTILE = [
    'say "hi"',
    "it's",
    "back\\slash",
    "end\\",
    "日本",
    "Größe",
    "Year",
    "a b",
    "line\nbreak",
    "a$b",
    "%s",
    "{c}",
    "--",
    "select",
    "user",
    "order",
    "null",
    "new",
    "old",
    "unit",
    "begin",
    "end",
    "declare",
    "0",
    "docs",
    "x" * 63,
    r"a\.b",
    r"a\.b.c\.d",
    "select.from",
    'deep."q"."r"',
    "a.0",
]


@pytest.mark.parametrize("key", HOSTILE, ids=lambda key: ascii(key)[:30])
async def test_any_key_can_be_promoted(server, client, connection, key):
    fields = {key: int, "other": str}
    docs = await client.get_or_create_collection(CollectionConfig(name="docs", dimensions=3, fields=fields))
    *path, last = (field := (await docs.add_fields(fields))[0]).key.path
    metadata = {last: 7}
    for name in reversed(path):
        metadata = {name: metadata}
    await docs.upsert([Record(id="a", embedding=[1, 2, 3], metadata=metadata), Record(id="b", embedding=[1, 2, 3])])
    assert await stored(connection, names=[field.column]) == [{field.column: 7}, {field.column: None}]
    assert await docs.count({key: 7}) == 1
    assert await docs.count({key: {"$ne": 7}}) == 1
    assert [match.id for match in await docs.search([1, 2, 3], filter={key: {"$gt": 6}})] == ["a"]
    searched = await docs.search([1, 2, 3], filter={key: 7}, options=by_codes(server))
    assert [match.id for match in searched] == ["a"]
    await docs.create_index()
    assert [match.id for match in await docs.search([1, 2, 3], filter={key: 7})] == ["a"]


@pytest.mark.parametrize("key", HOSTILE, ids=lambda key: ascii(key)[:30])
async def test_any_key_can_be_promoted_later(client, connection, docs, key):
    await docs.upsert([Record(id="a", embedding=[1, 2, 3], metadata={key: 7, "n": 1})])
    (field,) = await docs.add_fields({key: int})
    await docs.upsert([Record(id="b", embedding=[1, 2, 3], metadata={key: 7})])
    plain = len(field.key.path) == 1 and field.column == key
    assert await stored(connection, names=[field.column]) == [{field.column: 7 if plain else None}] * 2
    assert await docs.count({key: 7}) == (2 if plain else 0)


# --- codes -------------------------------------------------------------------------------------------------


@newer
@pytest.mark.parametrize("vector_type", ["vector", "halfvec"])
@pytest.mark.parametrize("dimensions", [1, 3, 384, 1_100, 1_536, 3_072])
async def test_the_code_in_sql_is_the_code_in_python(client, connection, vector_type, dimensions):
    config = CollectionConfig(name="docs", dimensions=dimensions, vector_type=vector_type, fields={"year": int})
    docs = await client.get_or_create_collection(config)
    drawn = np.random.default_rng(3).normal(size=(60, dimensions)).astype(np.float32)
    drawn[0] = 1
    drawn[1] = -1e-3
    await docs.upsert(RecordBatch(ids=[f"{n:02}" for n in range(60)], embeddings=drawn))
    rows = await connection.fetch("SELECT embedding_code::text AS code, embedding::text FROM docs ORDER BY id")
    assert len(rows) == 60
    limits = np.asarray(thresholds(dimensions), np.float32)[:, None]
    for row in rows:
        embedding = np.array(json.loads(row["embedding"]), np.float32)
        expected = encode(embedding)
        length = int.from_bytes(expected[:4], "big")
        assert length == len(row["code"]) == dimensions * bits_per_dimension(dimensions)
        bits = np.unpackbits(np.frombuffer(expected[4:], np.uint8))[:length]
        differ = bits != np.array([int(bit) for bit in row["code"]])
        unit = embedding / np.linalg.norm(embedding)
        # Only where rounding may go either way.
        assert (abs(unit[None] - limits).ravel()[differ] < 1e-6).all()
        assert differ.sum() <= 2


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        pytest.param({"distance": "cosine"}, True, marks=newer),
        ({"distance": "l2"}, False),
        ({"distance": "inner_product"}, False),
        pytest.param({"distance": "l1"}, False, marks=newer),
        pytest.param({"vector_type": "bit"}, False, marks=newer),
        pytest.param({"distance": "cosine", "dimensions": 4_096}, True, marks=newer),
        ({"distance": "cosine", "dimensions": 4_097}, False),
        ({"fields": {"tags": list}}, False),
        pytest.param({"fields": {"$content": str}}, False, marks=pytest.mark.needs(extension="pg_trgm")),
    ],
    ids=str,
)
async def test_codes_are_kept_where_they_help(client, connection, config, kept):
    facts = {"name": "docs", "dimensions": 3, "fields": {"year": int}, **config}
    docs = await client.get_or_create_collection(CollectionConfig(**facts))
    embedding = [1] * facts["dimensions"]
    await docs.upsert([Record(id="a", embedding=embedding, metadata={"year": 1, "tags": [1]}, content="hello")])
    assert [m.id for m in await docs.search(embedding, filter={"$not": {"year": 2}})] == ["a"]
    present = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'docs'::regclass AND attname = 'embedding_code'"
    assert await connection.fetchval(present) == kept


@newer
async def test_the_code_follows_the_embedding(promoted, connection):
    await promoted.upsert([Record(id="a", embedding=[1, 2, 3]), Record(id="b", embedding=[3, -2, 1])])
    await promoted.update(["a"], embeddings=[[3, -2, 1]])
    codes = await connection.fetch("SELECT DISTINCT embedding_code::text FROM docs")
    assert len(codes) == 1


@newer
async def test_a_code_that_another_client_takes_away_is_there_again(promoted, connection):
    await promoted.upsert(records())
    await connection.execute("UPDATE docs SET embedding_code = NULL")
    assert await connection.fetchval("SELECT count(*) FROM docs WHERE embedding_code IS NULL") == 0


@newer
async def test_an_embedding_of_zeros_from_another_client_has_a_code(promoted, connection):
    await connection.execute("INSERT INTO docs (id, embedding) VALUES ('zero', '[0,0,0]')")
    assert await connection.fetchval("SELECT embedding_code::text FROM docs") == "111111000000"


async def test_an_extension_in_a_schema_of_its_own_is_found(server, bare_database):
    bare_database.execute("CREATE SCHEMA ext; CREATE EXTENSION vector SCHEMA ext")
    async with AsyncClient(bare_database.url) as client:
        config = CollectionConfig(name="docs", schema="my app", dimensions=3, fields=FIELDS)
        docs = await client.get_or_create_collection(config)
        await docs.upsert(records())
        (match,) = await docs.search([1, 2, 3], filter={"year": 2020}, options=by_codes(server))
        assert match.id == "0000"
        await docs.create_index()
    if not server.lack(pgvector="0.7"):
        assert bare_database.ask('SELECT embedding_code IS NOT NULL FROM "my app".docs LIMIT 1')


# --- renamed, deleted --------------------------------------------------------------------------------------


async def test_deleting_the_collection_drops_the_function_of_its_trigger(client, promoted, database):
    other = await client.get_or_create_collection(CollectionConfig(name="other", dimensions=3, fields=FIELDS))
    assert functions(database) == 2
    await client.delete_collection("docs")
    assert functions(database) == 1
    await other.upsert(records())
    assert await other.count({"year": 2020}) == 1
    await client.delete_collection("other")
    assert functions(database) == 0


async def test_a_collection_that_is_renamed_keeps_its_fields(client, promoted, connection, database):
    await promoted.upsert(records(3))
    await client.rename_collection("docs", "papers")
    papers = await client.get_collection("papers")
    await papers.upsert(records())
    assert await stored(connection, "papers") == EXPECTED
    again = await client.create_collection(CollectionConfig(name="docs", dimensions=5, fields={"year": str}))
    await again.upsert([Record(id="a", embedding=[1, 2, 3, 4, 5], metadata={"year": "MMXX"})])
    assert await again.count({"year": "MMXX"}) == 1
    await client.delete_collection("docs")
    await papers.upsert(records(embedding=[3, 2, 1]))
    assert await stored(connection, "papers") == EXPECTED
    assert await papers.add_fields({"more": int})
    assert functions(database) == 1


# --- how long things are -----------------------------------------------------------------------------------

TEXTS = {f"f{n}": str for n in range(8)}


def incompressible(length, seed):
    """Return text of so many bytes that PostgreSQL cannot make shorter."""
    rng = np.random.default_rng(seed)
    return "".join(chr(code) for code in rng.integers(33, 127, length))


def long_record(id_bytes, texts_bytes=64):
    metadata = {name: incompressible(texts_bytes, n) for n, name in enumerate(TEXTS)}
    rng = np.random.default_rng(9)
    return Record(id=incompressible(id_bytes, 99), embedding=rng.normal(size=1_024), metadata=metadata)


@pytest.mark.parametrize(("id_bytes", "domain_bytes"), [(36, 36), (500, 500), (1_000, 100), (2_000, 500)])
@pytest.mark.parametrize("count", [1, 60])
async def test_what_is_too_long_for_the_index_of_a_field_is_stored_or_refused_by_name(
    client, id_bytes, domain_bytes, count
):
    config = CollectionConfig(name="docs", dimensions=1_024, fields=TEXTS)
    docs = await client.get_or_create_collection(config, domain=incompressible(domain_bytes, 98))
    record = long_record(id_bytes)
    more = [Record(id=str(n), embedding=record.embedding) for n in range(count - 1)]
    refusal = ""
    try:
        await docs.upsert([record, *more])
    except RecordError as error:
        refusal = str(error)
    if refusal:
        assert id_bytes + domain_bytes > 1_000
        assert "record 0" in refusal
        return
    assert await docs.count({"f0": record.metadata["f0"]}) == 1
    (found,) = await docs.search(record.embedding, 1, filter={"f0": record.metadata["f0"]})
    assert found.id == record.id


async def test_fields_are_added_where_ids_are_too_long_for_their_index_or_that_is_said_before_anything_is_changed(
    client, connection
):
    docs = await client.get_or_create_collection("docs", dimensions=1_024, domain=incompressible(500, 98))
    await docs.upsert([long_record(2_000)])
    try:
        await docs.add_fields(TEXTS)
    except (ConfigError, SchemaError):
        present = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'docs'::regclass AND attname = 'f0'"
        assert await connection.fetchval(present) == 0
    assert await docs.count({"f0": long_record(2_000).metadata["f0"]}) == 1
