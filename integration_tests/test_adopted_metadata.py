"""Tables whose metadata is of type json, or in columns of its own: read, filtered and written as any other."""

import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration_tests.field_cases import quoted
from integration_tests.test_filter_language import FILTERS, LEAVES, METADATA, VALUES
from pgrecall import Client, CollectionConfig, Columns, Record
from pgrecall.errors import ConfigError, RecordError, SchemaError
from pgrecall.filters import Compare, Contains, Equals, Exists, In, IsEmpty, Key, Matches, Not, Order
from pgrecall.jsonb import dumps
from tests.evaluation import passes

EVERY = {
    "year": "integer",
    "rank": "smallint",
    "big": "bigint",
    "title": "varchar(20)",
    "body of it": "text",
    "ok": "boolean",
    "score": "double precision",
    "weight": "real",
    "price": "numeric(12, 4)",
    "uid": "uuid",
    "day": "date",
    "at": "timestamp",
    "seen": "timestamptz",
    "extra": "json",
    "more": "jsonb",
    "tags": "text[]",
}
FULL = {
    "year": 2020,
    "rank": -3,
    "big": 2**60,
    "title": "a title",
    "body of it": 'x\' "y" 日本',
    "ok": False,
    "score": 0.1,
    "weight": 0.5,
    "price": Decimal("12.5000"),
    "uid": uuid.UUID(int=7),
    "day": date(2024, 1, 2),
    "at": datetime(2024, 1, 2, 3, 4, 5, 600000),  # noqa: DTZ001 - a column without time zones
    "seen": datetime(2024, 1, 2, 3, 4, 5, 1, tzinfo=UTC),
    "extra": {"a": None, "b": [1, "x"]},
    "more": [1, None, {"c": {}}],
    "tags": ["x", "y z", '"'],
    "of the rest": {"n": 1},
}
COLUMNS = Columns(domain_id=None, metadata="rest", metadata_columns=tuple(EVERY))
MANY = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def ddl(columns, rest="rest json", name="theirs"):
    listed = [f"{quoted(column)} {kind}" for column, kind in columns.items()]
    listed = ["id text PRIMARY KEY, embedding vector(3), content text", *listed, rest]
    return f"CREATE TABLE {name} ({', '.join(listed)})"


def record(row_id, metadata):
    return Record(id=row_id, embedding=[1, 2, 3], content="x", metadata=metadata)


async def adopted(client, connection, statement, columns):
    await connection.execute(statement)
    return await client.get_collection(CollectionConfig(name="theirs", columns=columns))


@pytest.fixture
async def docs(client, connection):
    return await adopted(client, connection, ddl(EVERY), COLUMNS)


# -- json ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 120])
async def test_metadata_of_type_json_is_read_and_written(client, connection, count):
    docs = await adopted(client, connection, ddl({}, "metadata json"), Columns(domain_id=None))
    records = [record(f"{n:03}", {"n": n, "in": {"a": [None, "é"]}}) for n in range(count)]
    assert (await docs.upsert(records)).inserted == count
    assert (await docs.upsert(records)).updated == count
    assert (await docs.get(["002"]))[0].metadata == {"n": 2, "in": {"a": [None, "é"]}}
    assert await docs.update(["001"], metadatas={"m": 1}) == 1
    assert (await docs.get(["001"]))[0].metadata == {"n": 1, "in": {"a": [None, "é"]}, "m": 1}
    assert await docs.update(["001"], metadatas={"m": 1}, merge=False) == 1
    assert [match.id for match in await docs.search([1, 2, 3], k=count, filter={"m": 1})] == ["001"]
    assert await docs.delete(filter={"n": {"$gte": 0}}) == count - 1


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        *product(["json", "jsonb", "jsonb NOT NULL"], ["'null'", "'[1, 2]'", "'\"text\"'", "'7'"]),
        ("json", "NULL"),
        ("jsonb", "NULL"),
    ],
)
async def test_metadata_that_is_no_object_is_none_and_can_be_changed(client, connection, kind, stored):
    docs = await adopted(client, connection, ddl({}, f"metadata {kind}"), Columns(domain_id=None))
    await connection.execute(f"INSERT INTO theirs VALUES ('a', '[1,2,3]', 'x', {stored})")
    assert [found.metadata for found in await docs.get(["a"])] == [{}]
    assert [match.metadata for match in await docs.search([1, 2, 3])] == [{}]
    assert await docs.count({"n": {"$exists": True}}) == 0
    assert await docs.update(["a"], metadatas={"n": 1}) == 1
    assert [found.metadata for found in await docs.get(["a"])] == [{"n": 1}]


async def test_what_json_holds_and_jsonb_does_not_fails_no_query(client, connection):
    docs = await adopted(client, connection, ddl({}, "metadata json"), Columns(domain_id=None))
    await connection.execute(
        r"""INSERT INTO theirs VALUES ('a', '[1,2,3]', 'x', '{"s": "a\u0000b", "n": 1, "n": 2}')"""
    )
    assert await docs.count({"s": "a"}) == 0
    assert [match.metadata for match in await docs.search([1, 2, 3], filter={"n": 2})] == [{"s": "a\ufffdb", "n": 2}]
    await connection.execute(
        r"""INSERT INTO theirs VALUES ('b', '[1,2,3]', 'x', '{"s": "\ud83d \ude00\ude00 \uD83D\uDE00\uDE00 \ud83d\ud83d\ude00",
        "no escapes": "\\ud83d \\u0000", "\\\ud83d": "\\\\\u0000"}')"""
    )
    (found,) = await docs.get(["b"])
    assert found.metadata == {
        "s": "\ufffd \ufffd\ufffd \U0001f600\ufffd \ufffd\U0001f600",
        "no escapes": r"\ud83d \u0000",
        "\\\ufffd": "\\\\\ufffd",
    }
    assert await docs.count({"no escapes": r"\ud83d \u0000"}) == 1


async def test_metadata_of_type_json_goes_through_a_lent_connection(client, connection):
    docs = await adopted(client, connection, ddl({"year": "int"}, "metadata json"), Columns(domain_id=None))
    typed = CollectionConfig(name="theirs", columns=Columns(domain_id=None, metadata_columns=("year",)))
    for lent in (docs.using(connection), client.collection(typed).using(connection)):
        await lent.upsert([record(f"{n}", {"n": n}) for n in range(70)])
        await lent.update(["3"], metadatas={"m": "é"})
        assert (await lent.get(["3"]))[0].metadata == {"n": 3, "m": "é"}
        assert [match.id for match in await lent.search([1, 2, 3], filter={"m": "é"})] == ["3"]


async def test_fields_are_not_promoted_from_metadata_that_is_no_jsonb(client, connection, docs):
    with pytest.raises(SchemaError, match="jsonb"):
        await docs.add_fields({"of the rest": int})


@MANY
@given(metadatas=st.lists(METADATA, min_size=1, max_size=12), filters=st.lists(FILTERS, min_size=1, max_size=4))
def test_a_filter_means_the_same_on_json(shared, metadatas, filters):
    check(shared("json", {}), metadatas, filters)


# -- columns of its own ----------------------------------------------------------------------------


async def test_each_key_goes_to_its_column_and_comes_back_as_it_was(connection, docs):
    assert (await docs.upsert([record("full", FULL), record("empty", {})])).inserted == 2
    full, empty = await docs.get(["full", "empty"])
    assert full.metadata == FULL
    assert {name: type(value) for name, value in full.metadata.items()} == {n: type(v) for n, v in FULL.items()}
    assert empty.metadata == {}
    row = await connection.fetchrow("SELECT * FROM theirs WHERE id = 'full'")
    assert (row["year"], row["title"], row["tags"], row["day"]) == (
        2020,
        "a title",
        ["x", "y z", '"'],
        date(2024, 1, 2),
    )
    assert row["rest"] == '{"of the rest": {"n": 1}}'


@pytest.mark.parametrize("count", [1, 120])
async def test_records_with_metadata_columns_are_replaced(docs, count):
    await docs.upsert([record(f"{n}", FULL) for n in range(count)])
    assert (await docs.upsert([record(f"{n}", {"year": n, "new": n}) for n in range(count)])).updated == count
    assert (await docs.get([f"{count - 1}"]))[0].metadata == {"year": count - 1, "new": count - 1}
    assert await docs.count({"year": {"$gte": 0}}) == count


async def test_merged_metadata_changes_the_keys_that_are_given_and_no_others(docs):
    await docs.upsert([record("a", FULL), record("b", FULL)])
    changes = [{"year": 1, "of the rest": 2}, {"title": None, "x": "y", "extra": {"z": 1}}]
    assert await docs.update(["a", "b"], metadatas=changes) == 2
    one, other = await docs.get(["a", "b"])
    assert one.metadata == {**FULL, "year": 1, "of the rest": 2}
    assert other.metadata == {name: value for name, value in FULL.items() if name != "title"} | {
        "x": "y",
        "extra": {"z": 1},
    }
    assert await docs.update(["a"], metadatas={"year": 2}, merge=False) == 1
    assert (await docs.get(["a"]))[0].metadata == {"year": 2}
    assert await docs.update(["a"], contents=["new"]) == 1
    assert [(found.content, found.metadata) for found in await docs.get(["a"])] == [("new", {"year": 2})]


async def test_a_column_counts_for_more_than_the_same_key_in_the_json(connection, docs):
    await connection.execute(
        """INSERT INTO theirs (id, embedding, year, rest) VALUES
           ('both', '[1,2,3]', 1, '{"year": 2, "n": 1}'), ('none', '[1,2,3]', NULL, '{"year": 2}')"""
    )
    assert [found.metadata for found in await docs.get(["both", "none"])] == [{"year": 1, "n": 1}, {}]
    assert (await docs.count({"year": 1}), await docs.count({"year": 2}), await docs.count({"year": None})) == (1, 0, 1)
    await docs.update(["none"], metadatas={"n": 2})
    assert await connection.fetchval("SELECT rest::text FROM theirs WHERE id = 'none'") == '{"n": 2}'


@pytest.mark.parametrize(
    "bad",
    [
        {"year": "7"},
        {"year": 1.5},
        {"year": True},
        {"year": 2**31},
        {"rank": 2**15},
        {"big": 2**63},
        {"title": 5},
        {"title": "x" * 21},
        {"ok": "true"},
        {"ok": 1},
        {"score": "1"},
        {"price": True},
        {"uid": "no uuid"},
        {"day": "yesterday"},
        {"day": datetime(2024, 1, 1, tzinfo=UTC)},
        {"at": datetime(2024, 1, 1, tzinfo=UTC)},
        {"seen": datetime(2024, 1, 1)},  # noqa: DTZ001 - that is what is wrong
        {"seen": "2024-01-01T00:00:00"},
    ],
    ids=str,
)
async def test_a_value_that_does_not_fit_its_column_is_refused_and_named(docs, bad):
    name = next(iter(bad))
    with pytest.raises(RecordError, match=rf"record 1 \(id 'bad'\): metadata has .* for the key '{name}'"):
        await docs.upsert([record("good", {}), record("bad", bad)])
    with pytest.raises(RecordError, match=rf"id 'bad'.*'{name}'"):
        await docs.update(["bad"], metadatas=bad)
    assert await docs.count() == 0


@pytest.mark.parametrize("count", [2, 120])
@pytest.mark.parametrize("bad", [{"price": 10**12}, {"tags": [["x"], "y"]}])
async def test_a_value_that_postgresql_cannot_convert_leaves_nothing_written(docs, count, bad):
    with pytest.raises(RecordError, match="'0000' to 'bad' does not fit its column"):
        await docs.upsert([*(record(f"{n:04}", {}) for n in range(count)), record("bad", bad)])
    assert await docs.count() == 0


@pytest.mark.parametrize("present", ["year int", "year int NOT NULL"])
async def test_a_table_without_json_takes_the_keys_that_it_has_columns_for(client, connection, present):
    columns = Columns(domain_id=None, metadata_columns=("year",))
    await connection.execute(f"CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3), content text, {present})")
    docs = await client.get_collection(CollectionConfig(name="theirs", columns=columns))
    await docs.upsert([record("a", {"year": 1}), record("b", {"year": 2})])
    await docs.update(["b"], metadatas={"year": 3})
    assert [match.metadata for match in await docs.search([1, 2, 3], filter={"year": 3})] == [{"year": 3}]
    assert await docs.count({"other": {"$exists": True}}) == 0
    assert await docs.count({"other": {"$ne": 1}}) == 2
    with pytest.raises(RecordError, match=r"record 0 \(id 'c'\): metadata has the keys \['other'\]"):
        await docs.upsert([record("c", {"year": 1, "other": 2})])
    with pytest.raises(RecordError, match="has the keys"):
        await docs.update(["a"], metadatas={"other": 2})
    if "NOT NULL" in present:
        with pytest.raises(RecordError, match=r"id 'c'.*lacks the key 'year'"):
            await docs.upsert([record("c", {})])
    else:
        assert (await docs.upsert([record("c", {})])).inserted == 1


async def test_metadata_columns_that_cannot_be_are_named(client, connection):
    await connection.execute(
        "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3), twice int GENERATED ALWAYS AS (2) STORED)"
    )
    config = CollectionConfig(name="theirs", columns=Columns(metadata_columns=("nope", "twice")))
    with pytest.raises(SchemaError, match=r"no metadata column 'nope'.*'twice' is generated"):
        await client.get_collection(config)
    for names in ("year", ("a", "a"), ("content",), ("",)):
        with pytest.raises(ConfigError):
            Columns(metadata_columns=names)
    with pytest.raises(ConfigError, match="fields cannot be called"):
        CollectionConfig(name="x", columns=Columns(metadata_columns=("year",)), fields={"year": int})


async def test_many_metadata_columns_are_read(client, connection):
    names = [f"k{n}" for n in range(130)]
    docs = await adopted(
        client,
        connection,
        ddl(dict.fromkeys(names, "int")),
        Columns(domain_id=None, metadata="rest", metadata_columns=names),
    )
    full = {name: n for n, name in enumerate(names)} | {"other": 1}
    await docs.upsert([record("a", full), record("b", {"k7": 1})])
    assert [found.metadata for found in await docs.get(["a", "b"])] == [full, {"k7": 1}]


# -- filters on them -------------------------------------------------------------------------------

TYPED = {
    "a": ("integer", st.integers(-3, 3)),
    "b": ("text", st.sampled_from(["", "a", "ab", "B", "10", "%", "日本"])),
    "0": ("double precision", st.sampled_from([0.5, -1.5, 1e10, 0.1, 3.0])),
    "a.b": ("boolean", st.booleans()),
    "x'y": ("jsonb", VALUES.filter(lambda value: value is not None)),
    '"': ("numeric", st.integers(-3, 3) | st.sampled_from([0.5, 2**70])),
    "$c": ("date", st.sampled_from(["2024-01-01", "2023-12-31"])),
}
SPECIAL = st.sampled_from([0.1, 3, 3.0, 0.5, 2**70, 10**25, "2024-01-01", "2024", "ab", True, None])
TYPED_ROWS = st.fixed_dictionaries({"é": VALUES}, optional={name: values for name, (_, values) in TYPED.items()})
TYPED_FIELDS = st.sampled_from([Key((name,)) for name in TYPED])
TYPED_LEAVES = (
    st.builds(Equals, TYPED_FIELDS, SPECIAL.map(dumps))
    | st.builds(In, TYPED_FIELDS, st.lists(SPECIAL.map(dumps), max_size=3).map(tuple))
    | st.builds(
        Compare, TYPED_FIELDS, st.sampled_from(Order), SPECIAL.filter(lambda v: type(v) in (int, float, str)).map(dumps)
    )
    | st.builds(Exists, TYPED_FIELDS)
    | st.builds(IsEmpty, TYPED_FIELDS)
    | st.builds(Contains, TYPED_FIELDS, SPECIAL.map(dumps))
    | st.builds(Matches, TYPED_FIELDS, st.just("like"), st.sampled_from(["a%", "%", "_", ""]), st.booleans())
)


@pytest.fixture
def shared(url, database):
    """Return what makes, or finds, a table with these typed columns, and a collection over it."""
    with Client(url) as client:
        made = {}

        def collection(rest, columns):
            if rest not in made:
                database.execute(ddl(columns, f"rest {rest}", f"t{len(made)}"))
                mapped = Columns(domain_id=None, metadata="rest", metadata_columns=tuple(columns))
                made[rest] = client.get_collection(CollectionConfig(name=f"t{len(made)}", columns=mapped))
            return made[rest]

        yield collection


def check(docs, metadatas, filters):
    docs.clear()
    docs.upsert([record(str(n), metadata) for n, metadata in enumerate(metadatas)])
    for filter in filters:
        expected = {str(n) for n, metadata in enumerate(metadatas) if passes(filter, metadata)}
        assert {found.id for found in docs.list(limit=1_000, filter=filter).records} == expected
        assert {match.id for match in docs.search([1, 2, 3], 100, filter=filter)} == expected


@MANY
@given(
    metadatas=st.lists(TYPED_ROWS, min_size=1, max_size=10),
    filters=st.lists(TYPED_LEAVES | LEAVES | FILTERS, min_size=1, max_size=6),
)
@pytest.mark.parametrize("rest", ["json", "jsonb"])
def test_a_filter_means_the_same_on_metadata_columns(shared, rest, metadatas, filters):
    docs = shared(rest, {name: kind for name, (kind, _) in TYPED.items()})
    check(docs, metadatas, [*filters, *(Not(filter) for filter in filters)])


UTC_PLUS_2 = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("filter", "passing"),
    [
        ({"at": "2024-01-02T03:04:05.600000"}, True),
        ({"at": "2024-01-02 03:04:05.6"}, True),
        ({"at": {"$gt": date(2024, 1, 2)}}, True),
        ({"at": {"$lt": datetime(2024, 1, 2, 3, 4, 6)}}, True),  # noqa: DTZ001 - a column without time zones
        ({"at": {"$in": ["2024-01-02T03:04:05.6", "2025-01-01"]}}, True),
        ({"at": datetime(2024, 1, 2, 3, 4, 5, 600000, tzinfo=UTC)}, False),
        ({"seen": datetime(2024, 1, 2, 5, 4, 5, 1, tzinfo=UTC_PLUS_2)}, True),
        ({"seen": {"$lt": datetime(2024, 1, 2, 4, tzinfo=UTC_PLUS_2)}}, False),
        ({"seen": {"$gte": "2024"}}, True),
        ({"day": {"$lt": "2024-01-03T00:00:00"}}, True),
        ({"day": "2024-01-02"}, True),
        ({"day": {"$lt": "9999-99-99"}}, True),
        ({"uid": uuid.UUID(int=7)}, True),
        ({"uid": str(uuid.UUID(int=0xA)).upper()}, False),
        ({"uid": {"$in": [str(uuid.UUID(int=7)), "no uuid"]}}, True),
        ({"weight": 0.5}, True),
        ({"tags": ["x", "y z", '"']}, True),
        ({"tags": {"$contains": "y z"}}, True),
        ({"extra.b": {"$contains": 1}}, True),
        ({"extra": {"b": [1, "x"], "a": None}}, True),
        ({"extra": {"b": [1]}}, False),
        ({"more": {"$contains": 1}}, True),
    ],
    ids=str,
)
async def test_filters_compare_times_as_times_and_all_else_as_json(docs, filter, passing):
    await docs.upsert([record("full", FULL), record("empty", {})])
    assert [found.id for found in (await docs.list(filter=filter)).records] == ["full"] * passing


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("column", ["score", "price"])
async def test_numbers_that_json_does_not_know_are_no_numbers(client, connection, column, value):
    docs = await adopted(
        client,
        connection,
        ddl({"score": "float8", "price": "numeric"}),
        Columns(domain_id=None, metadata_columns=["score", "price"]),
    )
    await connection.execute(f"INSERT INTO theirs (id, embedding, {column}) VALUES ('a', '[1,2,3]', '{value}')")
    assert await docs.count({column: {"$gt": 0}}) == await docs.count({column: {"$lt": 0}}) == 0
    assert await docs.count({column: {"$exists": True}}) == 1
    assert len((await docs.list()).records) == 1


async def test_an_index_on_a_metadata_column_is_used(client, connection):
    kinds = {"year": "int", "title": "varchar(20)", "seen": "timestamptz", "uid": "uuid", "price": "numeric"}
    docs = await adopted(client, connection, ddl(kinds), Columns(domain_id=None, metadata_columns=tuple(kinds)))
    await connection.execute(
        "INSERT INTO theirs SELECT n::text, '[1,2,3]', 'x', n, n::text, now() + n * interval '1 hour', "
        "lpad(n::text, 32, '0')::uuid, n FROM generate_series(1, 3000) n;"
        + "".join(f"CREATE INDEX ON theirs ({name});" for name in kinds)
        + "ANALYZE theirs"
    )
    filters = [{"year": 7}, {"year": {"$lt": 3}}, {"title": "7"}, {"seen": {"$lt": "2001-01-01"}}, {"price": 7}]
    filters += [{"uid": str(uuid.UUID(int=7))}, {"year": {"$in": [1, 2]}}]
    for filter in filters:
        plan = await docs.explain([1, 2, 3], filter=filter, postgres=True)
        assert "Index" in str(plan.postgres), filter
