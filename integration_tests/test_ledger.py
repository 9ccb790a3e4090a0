"""The ledger by itself, and in step with a collection's rows."""

import asyncio
import time
import uuid

import pytest

from pgrecall import AsyncClient, CollectionConfig, Record
from pgrecall.errors import CollectionNotFound, ConfigError, DatabaseError, PermissionDenied, RecordError, SchemaError


def record(row_id, **metadata):
    return Record(id=row_id, embedding=[1, 2, 3], content=str(row_id), metadata=metadata)


@pytest.fixture
def ledger(docs):
    return docs.ledger("runs")


async def agree(docs, ledger):
    """Return the ids, which must be the same on both sides."""
    ids = [r.id for r in (await docs.list(limit=10_000)).records]
    assert await ledger.keys() == ids
    return ids


# -- marks ------------------------------------------------------------------------------------------


async def test_a_ledger_that_nobody_wrote_to_is_empty_and_makes_no_table(client, database):
    ledger = client.collection("docs").ledger("runs")
    assert await ledger.marked(["a", "b"]) == [False, False]
    assert await ledger.keys() == []
    assert await ledger.unmark(["a"]) == 0
    assert database.ask("SELECT to_regclass('pgrecall_ledger')") is None


async def test_empty_lists_do_nothing(ledger, database):
    await ledger.mark([])
    assert await ledger.marked([]) == []
    assert await ledger.unmark([]) == 0
    assert database.ask("SELECT to_regclass('pgrecall_ledger')") is None


async def test_marked_answers_in_order(ledger):
    await ledger.mark(["b", "a"])
    assert await ledger.marked(["a", "x", "b", "a"]) == [True, False, True, True]
    assert await ledger.keys() == ["a", "b"]


async def test_unmark_forgets_and_counts(ledger):
    await ledger.mark(["a", "b", "c"])
    assert await ledger.unmark(["a", "x", "c", "c"]) == 2
    assert await ledger.keys() == ["b"]


async def test_time_is_the_servers_and_marks_are_not_before_it(ledger):
    before = await ledger.time()
    assert abs(before - time.time()) < 60
    await ledger.mark(["a"])
    assert await ledger.keys(before=before) == []
    assert await ledger.keys(before=await ledger.time()) == ["a"]


async def test_all_keys_of_a_call_get_the_same_time(ledger, database):
    await ledger.mark([str(n) for n in range(3_000)])
    assert database.ask("SELECT count(DISTINCT updated_at) FROM pgrecall_ledger") == 1


async def test_before_and_after_are_strict(ledger):
    for at, key in enumerate("abc"):
        await ledger.mark([key], at=float(at))
    assert await ledger.keys(before=1.0) == ["a"]
    assert await ledger.keys(after=1.0) == ["c"]
    assert await ledger.keys(after=0.0, before=2.0) == ["b"]
    assert await ledger.keys(before=0.0) == []


async def test_groups_are_found_and_an_empty_list_of_them_finds_nothing(ledger):
    await ledger.mark(["a", "b", "c"], group_ids=["x", "y", None])
    assert await ledger.keys(group_ids=["x"]) == ["a"]
    assert await ledger.keys(group_ids=["x", "y", "z"]) == ["a", "b"]
    assert await ledger.keys(group_ids=[]) == []


async def test_limit_takes_the_first(ledger):
    await ledger.mark(["c", "a", "b"], group_ids=["x", "x", "x"])
    assert await ledger.keys(limit=2) == ["a", "b"]
    assert await ledger.keys(limit=2, group_ids=["x"]) == ["a", "b"]


async def test_marking_again_without_groups_keeps_them(ledger):
    await ledger.mark(["a"], group_ids=["x"], at=1.0)
    await ledger.mark(["a"], at=2.0)
    await ledger.mark(["a"], group_ids=[None], at=3.0)
    assert await ledger.keys(group_ids=["x"], after=2.5) == ["a"]


async def test_marking_again_with_another_group_moves_the_key(ledger):
    await ledger.mark(["a"], group_ids=["x"])
    await ledger.mark(["a"], group_ids=["y"])
    assert await ledger.keys(group_ids=["x"]) == []
    assert await ledger.keys(group_ids=["y"]) == ["a"]


async def test_of_equal_keys_the_last_group_counts(ledger):
    await ledger.mark(["a", "a", "a"], group_ids=["x", "y", None])
    assert await ledger.keys(group_ids=["y"]) == ["a"]


async def test_any_number_of_keys(ledger):
    keys = [f"{n:06}" for n in range(50_000)]
    await ledger.mark(keys, group_ids=["g"] * len(keys))
    assert all(await ledger.marked(keys))
    assert await ledger.keys(group_ids=["g"]) == keys
    assert await ledger.unmark(keys) == len(keys)


@pytest.mark.parametrize("key", ["", " ", "ä", "𝄞", "a\nb", "%_\\", "'; DROP TABLE x", "k" * 2_000])
async def test_any_text_is_a_key(ledger, key):
    await ledger.mark([key], group_ids=[key])
    assert await ledger.marked([key]) == [True]
    assert await ledger.keys(group_ids=[key]) == [key]
    assert await ledger.unmark([key]) == 1


@pytest.mark.parametrize(
    ("key", "reason"),
    [("a\x00b", "NUL"), ("\ud800", "surrogate"), (7, "text"), (None, "text"), (b"a", "text"), ("k" * 3_000, "longer")],
)
async def test_what_is_no_key_is_named(ledger, key, reason):
    for verb in (ledger.mark, ledger.marked, ledger.unmark):
        with pytest.raises(RecordError, match=rf"keys\[1\].*{reason}"):
            await verb(["a", key])
    assert await ledger.keys() == []


async def test_wrong_arguments_are_errors_of_ours(docs, ledger):
    with pytest.raises(ConfigError, match="sequence"):
        await ledger.mark("abc")
    with pytest.raises(ConfigError, match="2 keys, but 1 group_ids"):
        await ledger.mark(["a", "b"], group_ids=["x"])
    with pytest.raises(ConfigError, match="one string"):
        await ledger.mark(["a", "b"], group_ids="xy")
    with pytest.raises(RecordError, match=r"group_ids\[0\].*NUL"):
        await ledger.mark(["a"], group_ids=["\x00"])
    for value in (float("nan"), "now", True):
        with pytest.raises(ConfigError, match="time in seconds"):
            await ledger.keys(before=value)
        with pytest.raises(ConfigError, match="time in seconds"):
            await ledger.mark(["a"], at=value)
    with pytest.raises(ConfigError, match="limit"):
        await ledger.keys(limit=0)
    for name in ("", "\x00", None, "n" * 501):
        with pytest.raises(ConfigError, match="namespace"):
            docs.ledger(name)
    with pytest.raises(ConfigError, match="one domain"):
        docs.all_domains().ledger("runs")


async def test_namespaces_and_domains_do_not_meet(docs):
    ledgers = [docs.ledger("one"), docs.ledger("two"), docs.domain("acme").ledger("one")]
    for number, ledger in enumerate(ledgers):
        await ledger.mark(["shared", str(number)], group_ids=["g", "g"])
    for number, ledger in enumerate(ledgers):
        assert await ledger.keys(group_ids=["g"]) == [str(number), "shared"]
    assert await ledgers[0].unmark(["shared", "1", "2"]) == 1
    assert await ledgers[1].marked(["shared"]) == await ledgers[2].marked(["shared"]) == [True]


def test_ledgers_of_one_name_are_equal(blocking_client):
    docs = blocking_client.collection("docs")
    assert docs.ledger("a") == docs.ledger("a") != docs.ledger("b")
    assert docs.asynchronous.ledger("a") == docs.ledger("a").asynchronous
    assert docs.ledger("a") != docs.domain("acme").ledger("a")
    assert len({docs.ledger("a"), docs.ledger("a"), docs.ledger("b")}) == 2
    assert repr(docs.ledger("a")) == "<Ledger 'a' in public.pgrecall_ledger, domain 'default'>"


# -- setup ------------------------------------------------------------------------------------------


async def test_many_make_the_table_at_once_in_a_schema_that_is_made_too(url):
    clients = [AsyncClient(url) for _ in range(6)]
    config = CollectionConfig(name="docs", schema="new")
    ledgers = [client.collection(config).ledger("runs") for client in clients]
    await asyncio.gather(*(ledger.mark([str(n)]) for n, ledger in enumerate(ledgers)))
    assert await ledgers[0].keys() == [str(n) for n in range(6)]
    await asyncio.gather(*(client.close() for client in clients))


async def test_the_ledger_is_no_collection(client, docs, ledger):
    await ledger.prepare()
    assert await client.list_collections() == ["docs"]


async def test_validate_makes_no_table_and_uses_the_one_there_is(client, docs):
    strict = client.collection(CollectionConfig(name="docs", setup="validate")).ledger("runs")
    for verb in (strict.prepare(), strict.mark(["a"]), strict.marked(["a"]), strict.keys()):
        with pytest.raises(CollectionNotFound, match=r"public\.pgrecall_ledger, and setup='validate'"):
            await verb
    await docs.ledger("runs").mark(["a"])
    assert await strict.marked(["a"]) == [True]


async def test_without_the_right_to_create_it_says_what_to_do(database, docs):
    role = database.role("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {role}")
    async with AsyncClient(role) as client:
        theirs = client.collection("docs").ledger("runs")
        assert await theirs.keys() == []
        with pytest.raises(PermissionDenied, match=r"may not create table public\.pgrecall_ledger.*CREATE"):
            await theirs.mark(["a"])


async def test_rights_decide_what_can_be_done(database, docs, ledger):
    await ledger.mark(["a"])
    nothing = database.role()
    reader = database.role("GRANT SELECT ON pgrecall_ledger TO {role}")
    writer = database.role("GRANT SELECT, INSERT, UPDATE, DELETE ON pgrecall_ledger TO {role}")
    async with AsyncClient(nothing) as client:
        with pytest.raises(PermissionDenied, match="GRANT SELECT ON"):
            await client.collection("docs").ledger("runs").keys()
    async with AsyncClient(reader) as client:
        theirs = client.collection("docs").ledger("runs")
        assert await theirs.keys() == ["a"]
        with pytest.raises(PermissionDenied, match="GRANT SELECT, INSERT, UPDATE, DELETE ON"):
            await theirs.mark(["b"])
        with pytest.raises(PermissionDenied):
            await theirs.unmark(["a"])
    async with AsyncClient(writer) as client:
        await client.collection("docs").ledger("runs").mark(["b"])
    assert await ledger.keys() == ["a", "b"]


async def test_a_foreign_table_of_that_name_is_not_touched(client, database):
    database.execute("CREATE TABLE pgrecall_ledger (key text, namespace text)")
    ledger = client.collection("docs").ledger("runs")
    with pytest.raises(SchemaError, match=r"not pgrecall's: it lacks candidates, domain_id"):
        await ledger.mark(["a"])
    with pytest.raises(SchemaError, match="not pgrecall's"):
        await ledger.keys()


async def test_a_table_that_was_dropped_is_made_again_at_the_call_after_next(docs, ledger, database):
    await docs.upsert([record("a")], ledger=ledger)
    database.execute("DROP TABLE pgrecall_ledger")
    with pytest.raises(CollectionNotFound):
        await docs.upsert([record("b")], ledger=ledger)
    await docs.upsert([record("a"), record("b")], ledger=ledger)
    assert await agree(docs, ledger) == ["a", "b"]


# -- in step with rows ------------------------------------------------------------------------------


async def test_upsert_marks_what_is_new_changed_and_unchanged(docs, ledger):
    await docs.upsert([record("a", n=1), record("b", n=1)])
    start = await ledger.time()
    result = await docs.upsert([record("a", n=1), record("b", n=2), record("c", n=1)], ledger=ledger)
    assert (result.inserted, result.updated, result.unchanged) == (1, 1, 1)
    assert await ledger.keys(after=start) == ["a", "b", "c"]


async def test_upsert_marks_ids_that_were_made(docs, ledger):
    result = await docs.upsert([Record(embedding=[1, 2, 3]) for _ in range(3)], ledger=ledger)
    assert await agree(docs, ledger) == sorted(result.ids)


async def test_upsert_without_a_ledger_marks_nothing(docs, ledger, database):
    await docs.upsert([record("a")])
    assert database.ask("SELECT to_regclass('pgrecall_ledger')") is None


async def test_upsert_of_nothing_marks_nothing(docs, ledger, database):
    await docs.upsert([], ledger=ledger)
    assert database.ask("SELECT to_regclass('pgrecall_ledger')") is None


async def test_many_batches_of_a_generator_are_marked(docs, ledger):
    async def records():
        for n in range(250):
            yield record(f"{n:03}")

    await docs.upsert(records(), batch_size=40, ledger=ledger)
    assert len(await agree(docs, ledger)) == 250
    await docs.upsert((record(f"{n:03}") for n in range(300)), batch_size=70, ledger=ledger)
    assert len(await agree(docs, ledger)) == 300


def test_blocking_callers_keep_a_ledger_too(blocking_client):
    docs = blocking_client.collection("docs")
    ledger = docs.ledger("runs")
    docs.upsert((record(f"{n:02}", source="s") for n in range(50)), batch_size=20, ledger=ledger)
    ledger.prepare()
    assert ledger.keys(group_ids=["s"], before=ledger.time()) == [f"{n:02}" for n in range(50)]
    assert docs.delete(["00", "01"], ledger=ledger.asynchronous) == 2
    ledger.mark(["02"], group_ids=["t"])
    assert ledger.unmark(["03"]) == 1
    assert ledger.marked(["01", "02", "03", "04"]) == [False, True, False, True]
    assert ledger.namespace == "runs"


async def test_a_write_that_fails_leaves_neither_rows_nor_marks(docs, ledger, database):
    await ledger.mark(["a"], at=1.0)
    database.execute("ALTER TABLE pgrecall_ledger ADD CONSTRAINT no CHECK (key <> 'c')")
    with pytest.raises(DatabaseError, match='"no"'):
        await docs.upsert([record("a"), record("b"), record("c")], ledger=ledger)
    assert await docs.count() == 0
    assert await ledger.keys(before=2.0) == await ledger.keys() == ["a"]


async def test_batches_before_the_one_that_fails_stay_with_their_marks(docs, ledger, database):
    await ledger.prepare()
    database.execute("ALTER TABLE pgrecall_ledger ADD CONSTRAINT no CHECK (key <> 'c')")
    with pytest.raises(DatabaseError):
        await docs.upsert([record(c) for c in "abcd"], batch_size=2, ledger=ledger)
    assert await agree(docs, ledger) == ["a", "b"]


async def test_keys_too_long_for_the_ledger_are_refused_before_anything_is_sent(client, docs):
    long = docs.domain("d" * 500).ledger("n" * 500)
    with pytest.raises(RecordError, match="longer than 1600 bytes"):
        await docs.domain("d" * 500).upsert([record("x"), record("k" * 1_700)], ledger=long)
    assert await docs.all_domains().count() == 0


async def test_provisional_keys_are_found_by_what_their_group_may_be_called(docs, ledger):
    await docs.upsert([record("a", source="s", page=3), record("b", source="t", page=3)], ledger=ledger)
    assert await ledger.keys(group_ids=["s"]) == ["a"]
    assert await ledger.keys(group_ids=["3"]) == ["a", "b"]
    await ledger.mark(["a"], group_ids=["s"])
    assert await ledger.keys(group_ids=["3"]) == ["b"]
    assert await ledger.keys(group_ids=["s", "t"]) == ["a", "b"]


async def test_nested_values_and_long_texts_name_no_group(docs, ledger):
    many = {f"k{n:03}": f"v{n}" for n in range(100)}
    await docs.upsert([record("a", tags=["s"], deep={"x": "s"}, none=None, text="s" * 2_001)], ledger=ledger)
    await docs.upsert([record("b", **many)], ledger=ledger)
    assert await ledger.keys(group_ids=["s", "None", "['s']"]) == []
    assert await ledger.keys(group_ids=["v0"]) == ["b"]


async def test_marking_without_groups_leaves_a_key_provisional(docs, ledger):
    await docs.upsert([record("a", source="s")], ledger=ledger)
    await ledger.mark(["a"])
    assert await ledger.keys(group_ids=["s"]) == ["a"]
    # A key that was said to have no group is in none, whatever its metadata says.
    await ledger.mark(["a"], group_ids=[None])
    assert await ledger.keys(group_ids=["s"]) == []


async def test_writing_again_keeps_the_group_that_is_known(docs, ledger):
    await ledger.mark(["a"], group_ids=["old"])
    await docs.upsert([record("a", source="new")], ledger=ledger)
    assert await ledger.keys(group_ids=["old"]) == await ledger.keys(group_ids=["new"]) == ["a"]


@pytest.mark.parametrize("at", [1.0, 5e9])
async def test_provisional_keys_are_found_by_time_whatever_time_was_noted_since(docs, ledger, at):
    await docs.upsert([record("a", source="s")], ledger=ledger)
    await ledger.mark(["a"], at=at)
    assert await ledger.keys(group_ids=["s"], before=at + 1, after=at - 1) == ["a"]
    assert await ledger.keys(group_ids=["s"], before=at) == []


async def test_delete_by_ids_unmarks_also_those_that_did_not_exist(docs, ledger):
    await docs.upsert([record("a"), record("b")], ledger=ledger)
    await ledger.mark(["ghost"])
    assert await docs.delete(["a", "ghost"], ledger=ledger) == 1
    assert await agree(docs, ledger) == ["b"]


async def test_delete_by_filter_and_documents_unmarks_what_was_deleted(docs, ledger):
    rows = [Record(id=f"{d}{n}", embedding=[1, 2, 3], document_id=d, metadata={"n": n}) for d in "ab" for n in (1, 2)]
    await docs.upsert(rows, ledger=ledger)
    assert await docs.delete(filter={"n": 1}, document_ids=["a"], ledger=ledger) == 1
    assert await agree(docs, ledger) == ["a2", "b1", "b2"]
    assert await docs.delete(["a2", "b1"], filter={"n": 2}, ledger=ledger) == 1
    assert await agree(docs, ledger) == ["b1", "b2"]
    assert await docs.delete(document_ids=["b"], ledger=ledger) == 2
    assert await agree(docs, ledger) == []


async def test_delete_that_fails_leaves_rows_and_marks(docs, ledger, database):
    await docs.upsert([record("a"), record("b")], ledger=ledger)
    database.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;"
        "CREATE TRIGGER refuse BEFORE DELETE ON pgrecall_ledger EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(DatabaseError, match="refused"):
        await docs.delete(["a"], ledger=ledger)
    assert await agree(docs, ledger) == ["a", "b"]


async def test_delete_in_a_collection_that_does_not_exist_is_no_error(client):
    docs = client.collection("docs")
    assert await docs.delete(["a"], ledger=docs.ledger("runs")) == 0


async def test_ids_are_marked_as_the_caller_spells_them(client):
    docs = client.collection(CollectionConfig(name="docs", id_type="uuid"))
    ledger = docs.ledger("runs")
    spelled = [uuid.uuid4().hex, str(uuid.uuid4()).upper(), str(uuid.uuid4())]
    await docs.upsert([record(one, n=n) for n, one in enumerate(spelled)], ledger=ledger)
    assert await ledger.keys() == sorted(spelled)
    assert await docs.delete(spelled[:1], ledger=ledger) == 1
    assert await docs.delete(spelled[1:], filter={"n": 1}, ledger=ledger) == 1
    assert await ledger.keys() == spelled[2:]


async def test_a_ledger_of_elsewhere_is_refused(url, client, docs):
    async with AsyncClient(url) as other:
        foreign = [
            other.collection("docs").ledger("runs"),
            docs.domain("acme").ledger("runs"),
            client.collection(CollectionConfig(name="docs", schema="s")).ledger("runs"),
        ]
        for ledger in foreign:
            with pytest.raises(ConfigError, match=r"collection\.ledger\('runs'\)"):
                await docs.upsert([record("a")], ledger=ledger)
            with pytest.raises(ConfigError, match="one transaction"):
                await docs.delete(["a"], ledger=ledger)
    with pytest.raises(ConfigError, match="not str"):
        await docs.upsert([record("a")], ledger="runs")
    assert await docs.count() == 0


async def test_on_a_lent_connection_marks_are_part_of_the_callers_transaction(docs, ledger, connection):
    lent = docs.using(connection)
    transaction = connection.transaction()
    await transaction.start()
    await lent.upsert([record("a", source="s")], ledger=lent.ledger("runs"))
    await lent.ledger("runs").mark(["b"])
    assert await lent.ledger("runs").keys() == ["a", "b"]
    await transaction.rollback()
    assert await ledger.keys() == []
    assert await lent.ledger("runs").keys() == []
    await lent.upsert([record("a", source="s")], ledger=lent.ledger("runs"))
    assert await agree(docs, ledger) == ["a"]
    assert await ledger.keys(group_ids=["s"]) == ["a"]


async def test_concurrent_writers_and_deleters_of_the_same_keys_end_in_agreement(docs, ledger):
    keys = [f"{n:03}" for n in range(120)]

    async def write(number):
        for turn in range(4):
            await docs.upsert([record(key, by=number, turn=turn) for key in reversed(keys)], ledger=ledger)

    async def delete(step):
        for _ in range(4):
            await docs.delete(keys[::step], ledger=ledger)

    await asyncio.gather(*map(write, range(3)), *map(delete, (2, 3)))
    await agree(docs, ledger)


async def test_old_provisional_marks_are_found_by_an_index(docs, ledger, database):
    await ledger.mark([f"{n:05}" for n in range(20_000)], group_ids=[f"g{n % 500}" for n in range(20_000)])
    await docs.upsert([record("left", source="g1")], ledger=ledger)
    database.execute("ANALYZE pgrecall_ledger")
    from pgrecall.sql import ledger as sql
    from pgrecall.sql.dml import explain

    wanted = sql.Marks(before=await ledger.time(), groups=["g1"], limit=1_000)
    plan = await ledger._space.database.run(lambda s: s.fetch(explain(sql.keys(ledger._space.rows, wanted))))
    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan" not in text
    assert text.count("Index Cond") >= 2
