"""Bytes by key: any key, any number of them, one transaction, tenants apart."""

import asyncio
import random

import pytest

from pgrecall import AsyncClient, Client
from pgrecall.errors import ConfigError, PermissionDenied, RecordError, SchemaError

STRANGE = [
    "",
    " ",
    "%",
    "_",
    "a%b",
    "a_b",
    "\\",
    "\\%",
    "ä",
    "é",
    "𝄞",
    "\u007f",
    "\uffff",
    "\U0010ffff",
    "a\nb",
    "'; --",
]


@pytest.fixture
def values(client):
    return client.key_values("things")


async def keys_of(values, prefix=None):
    return [key async for key in values.keys(prefix)]


async def test_before_the_first_write_there_is_nothing_and_no_table(values, database):
    assert await values.get(["a", "b"]) == [None, None]
    assert await keys_of(values) == []
    assert await values.delete(["a"]) == 0
    await values.set({})
    await values.set([])
    assert await values.get([]) == []
    assert database.ask("SELECT to_regclass('pgrecall_values')") is None


async def test_get_answers_in_order(values):
    await values.set({"a": b"1", "b": b"", "c": bytes(range(256))})
    assert await values.get(["c", "x", "a", "b", "a"]) == [bytes(range(256)), None, b"1", b"", b"1"]


async def test_set_replaces_and_of_equal_keys_the_last_counts(values):
    await values.set([("a", b"1"), ("b", b"1"), ("a", b"2")])
    await values.set([("b", bytearray(b"3")), ("c", memoryview(b"4"))])
    assert await values.get(["a", "b", "c"]) == [b"2", b"3", b"4"]


async def test_delete_counts_what_there_was(values):
    await values.set({"a": b"1", "b": b"2"})
    assert await values.delete(["a", "a", "x"]) == 1
    assert await keys_of(values) == ["b"]


async def test_any_text_is_a_key(values):
    await values.set({key: key.encode() for key in STRANGE})
    assert await values.get(STRANGE) == [key.encode() for key in STRANGE]
    assert await keys_of(values) == sorted(STRANGE)
    for key in STRANGE:
        assert await keys_of(values, key) == sorted(k for k in STRANGE if k.startswith(key))
    assert await values.delete(STRANGE) == len(STRANGE)


async def test_no_character_of_a_prefix_is_a_wildcard(values):
    await values.set(dict.fromkeys(["a%1", "a%2", "ab1", "a_1", "a", "A%1"], b""))
    assert await keys_of(values, "a%") == ["a%1", "a%2"]
    assert await keys_of(values, "a_") == ["a_1"]
    assert await keys_of(values, "b") == []


async def test_ten_thousand_keys_are_read_page_by_page(values):
    keys = [f"{group}/{n:05}" for group in "abcd" for n in range(2_500)]
    await values.set([(key, key.encode()) for key in random.sample(keys, len(keys))])
    assert await keys_of(values) == keys
    assert await keys_of(values, "b/") == keys[2_500:5_000]
    assert len(await values.page()) == 1_000
    assert await values.page("b/", "b/02499") == []
    assert await values.get(keys[::-7]) == [key.encode() for key in keys[::-7]]
    first = [key async for _, key in _taken(values.keys("c/"), 3)]
    assert first == ["c/00000", "c/00001", "c/00002"]
    assert await values.delete(keys) == 10_000
    assert await keys_of(values) == []


async def _taken(items, count):
    async for item in items:
        yield count, item
        count -= 1
        if not count:
            break
    await items.aclose()


async def test_keys_that_are_deleted_while_they_are_read(values):
    await values.set([(f"{n:04}", b"") for n in range(2_500)])
    seen = []
    async for key in values.keys():
        seen.append(key)
        if len(seen) == 500:
            await values.delete([f"{n:04}" for n in range(900, 1_200)])
    assert seen == [f"{n:04}" for n in range(2_500) if not 1_000 <= n < 1_200]


async def test_large_values(values):
    large = random.randbytes(9_000_000)
    await values.set({"a": large, "b": large[::-1], "c": b"small"})
    assert await values.get(["a", "b", "c"]) == [large, large[::-1], b"small"]


@pytest.mark.parametrize(
    ("key", "reason"),
    [("a\x00b", "NUL"), ("\ud800", "surrogate"), (7, "text"), (None, "text"), (b"a", "text"), ("k" * 3_000, "longer")],
)
async def test_what_is_no_key_is_named_and_nothing_is_stored(values, key, reason):
    with pytest.raises(RecordError, match=rf"keys\[1\].*{reason}"):
        await values.set([("a", b"1"), (key, b"2")])
    for verb in (values.get, values.delete):
        with pytest.raises(RecordError, match=rf"keys\[1\].*{reason}"):
            await verb(["a", key])
    if key is not None:
        with pytest.raises(RecordError, match=rf"prefix\[0\].*{reason}"):
            await keys_of(values, key)
    assert await keys_of(values) == []


@pytest.mark.parametrize("value", ["text", None, 7, [1], {"a": 1}])
async def test_what_is_no_value_is_named_and_nothing_is_stored(values, value):
    with pytest.raises(RecordError, match="value of 'b' must be bytes"):
        await values.set({"a": b"1", "b": value})
    assert await keys_of(values) == []


async def test_wrong_arguments_are_errors_of_ours(client, values):
    with pytest.raises(ConfigError, match="pairs"):
        await values.set(["abc"])
    with pytest.raises(ConfigError, match="pairs"):
        await values.set(7)
    with pytest.raises(ConfigError, match="sequence"):
        await values.get("abc")
    for name in ("", None, "\x00", "n" * 501):
        with pytest.raises(ConfigError, match="namespace"):
            client.key_values(name)
    with pytest.raises(ConfigError, match="domain"):
        client.key_values("things", domain="")
    with pytest.raises(ConfigError, match="schema"):
        client.key_values("things", schema="s" * 64)


async def test_namespaces_domains_and_schemas_do_not_meet(client):
    several = [
        client.key_values("one"),
        client.key_values("two"),
        client.key_values("one", domain="acme"),
        client.key_values("one", schema="new"),
    ]
    for number, values in enumerate(several):
        await values.set({"shared": bytes([number]), str(number): b""})
    for number, values in enumerate(several):
        assert await values.get(["shared"]) == [bytes([number])]
        assert await keys_of(values) == [str(number), "shared"]
    assert await several[0].delete(["shared", "1", "2", "3"]) == 1
    assert await several[2].get(["shared"]) == [bytes([2])]


async def test_a_write_is_one_transaction(values, database):
    await values.set({"a": b"1"})
    database.execute("ALTER TABLE pgrecall_values ADD CONSTRAINT no CHECK (key <> 'z')")
    many = {f"{n:05}": b"x" for n in range(3_000)}
    with pytest.raises(Exception, match='"no"'):
        await values.set({**many, "z": b""})
    assert await keys_of(values) == ["a"]


async def test_concurrent_writers_of_the_same_keys_do_not_deadlock(url):
    async with AsyncClient(url) as client:
        values = client.key_values("things")
        keys = [str(n) for n in range(200)]

        async def write(number):
            for _ in range(5):
                await values.set([(key, str(number).encode()) for key in random.sample(keys, 200)])
                await values.delete(random.sample(keys, 50))

        await asyncio.gather(*map(write, range(6)))


async def test_many_make_the_table_at_once(url):
    clients = [AsyncClient(url) for _ in range(6)]
    await asyncio.gather(*(c.key_values("t", schema="new").set({str(n): b""}) for n, c in enumerate(clients)))
    assert await keys_of(clients[0].key_values("t", schema="new")) == list("012345")
    await asyncio.gather(*(client.close() for client in clients))


async def test_in_a_transaction_of_the_callers(connection, values):
    lent = AsyncClient(connection=connection).key_values("things")
    transaction = connection.transaction()
    await transaction.start()
    await lent.set({"a": b"1"})
    assert await lent.get(["a"]) == [b"1"]
    await transaction.rollback()
    assert await values.get(["a"]) == [None]
    await lent.set({"a": b"2"})
    assert await values.get(["a"]) == [b"2"]


async def test_rights_and_foreign_tables_are_told(database, values):
    nobody = database.role("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {role}")
    async with AsyncClient(nobody) as client:
        with pytest.raises(PermissionDenied, match=r"may not create table public\.pgrecall_values"):
            await client.key_values("things").set({"a": b""})
        await values.set({"a": b"1"})
        with pytest.raises(PermissionDenied, match=r"GRANT SELECT ON public\.pgrecall_values"):
            await client.key_values("things").get(["a"])
    database.execute("CREATE SCHEMA theirs; CREATE TABLE theirs.pgrecall_values (key text)")
    async with AsyncClient(database.url) as client:
        with pytest.raises(SchemaError, match="not pgrecall's"):
            await client.key_values("things", schema="theirs").prepare()


def test_blocking_callers(url):
    with Client(url) as client:
        values = client.key_values("things")
        values.prepare()
        values.set((f"{n:04}", b"v") for n in range(2_100))
        values.set({"0000": b"w"})
        assert values.get(["0000", "x"]) == [b"w", None]
        assert list(values.keys()) == [f"{n:04}" for n in range(2_100)]
        assert list(values.keys("20")) == [f"{n:04}" for n in range(2_000, 2_100)]
        assert values.delete(["0001"]) == 1
        assert values.namespace == "things"
        assert repr(values) == "<KeyValues 'things' in public.pgrecall_values, domain 'default'>"
