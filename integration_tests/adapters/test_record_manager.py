"""LangChain's contract for record managers, and what ours adds to it."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest
from langchain_classic.indexes import SQLRecordManager
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from pgrecall import AsyncClient, Client, CollectionConfig
from pgrecall.errors import ConfigError, PermissionDenied, RecordError
from pgrecall.langchain import PGRecallVectorStore, PGRecordManager
from pgrecall.langchain.announcing import ledger_for

EMBEDDING = DeterministicFakeEmbedding(size=8)


def day(number):
    return datetime(2021, 1, number, tzinfo=UTC).timestamp()


class Asynchronous:
    """A manager whose methods are the asynchronous ones, so that each test here asks both."""

    def __init__(self, manager):
        self._manager = manager

    def __getattr__(self, name):
        return getattr(self._manager, f"a{name}")


class Blocking:
    def __init__(self, manager):
        self._manager = manager

    def __getattr__(self, name):
        async def call(*args, **kwargs):
            return getattr(self._manager, name)(*args, **kwargs)

        return call


class Dated:
    """A manager that takes the time from a calendar, as LangChain's own tests have it: what it says is noted."""

    today = None
    asked = 0

    def get_time(self):
        self.asked += 1
        return super().get_time() if self.today is None else day(self.today)

    async def aget_time(self):
        self.asked += 1
        return await super().aget_time() if self.today is None else day(self.today)


class DatedManager(Dated, PGRecordManager):
    pass


class DatedClassic(Dated, SQLRecordManager):
    pass


class Calendar:
    """A manager, and the day on which it is asked."""

    def __init__(self, manager, verbs):
        self.manager = manager
        self.verbs = verbs

    def on(self, number):
        self.manager.today = number
        return self.verbs


@pytest.fixture(params=[Asynchronous, Blocking], ids=["async", "blocking"])
async def calendar(request, url):
    manager = DatedManager("docs", url=url)
    await manager.acreate_schema()
    yield Calendar(manager, request.param(manager))
    await manager.aclose()


async def test_update_inserts_and_refreshes(calendar):
    await calendar.on(2).update(["a", "b"])
    assert await calendar.verbs.list_keys() == ["a", "b"]
    await calendar.on(3).update(["b", "c"])
    assert await calendar.verbs.list_keys() == ["a", "b", "c"]
    assert await calendar.verbs.list_keys(after=day(2)) == ["b", "c"]


async def test_update_asks_the_clock_once_and_notes_what_it_said(calendar):
    await calendar.on(2).update([str(n) for n in range(500)])
    assert calendar.manager.asked == 1
    assert len(await calendar.verbs.list_keys(after=day(2) - 1e-3, before=day(2) + 1e-3)) == 500


async def test_update_refuses_groups_of_another_number(calendar):
    for groups in (["x"], [], ["x", "y", "z"]):
        with pytest.raises(ValueError, match="2 keys, but"):
            await calendar.verbs.update(["a", "b"], group_ids=groups)
    assert await calendar.verbs.list_keys() == []


async def test_update_refuses_a_beginning_in_the_future(calendar):
    await calendar.on(2).update(["a"], time_at_least=day(2))
    with pytest.raises(ValueError, match="clock that was set back"):
        await calendar.on(2).update(["b"], time_at_least=day(3))
    assert await calendar.verbs.list_keys() == ["a"]


async def test_the_real_clock_moves_on(url):
    async with AsyncClient(url) as client:
        manager = PGRecordManager("docs", client=client)
        times = [manager.get_time(), await manager.aget_time(), manager.get_time()]
        assert times == sorted(times)
        with pytest.raises(ConfigError, match="time_at_least"):
            manager.update(["a"], time_at_least=manager.get_time() + 100)


async def test_update_without_groups_keeps_those_that_are_known(calendar):
    await calendar.on(2).update(["a", "b"], group_ids=["x", None])
    await calendar.on(3).update(["a", "b"])
    assert await calendar.verbs.list_keys(group_ids=["x"]) == ["a"]
    await calendar.on(4).update(["a", "b"], group_ids=["y", "x"])
    assert await calendar.verbs.list_keys(group_ids=["x"]) == ["b"]


async def test_groups_may_be_numbers(calendar):
    await calendar.verbs.update(["a", "b", "c"], group_ids=[1, 2.5, "1"])
    assert await calendar.verbs.list_keys(group_ids=[1]) == ["a", "c"]
    assert await calendar.verbs.list_keys(group_ids=["2.5"]) == ["b"]


async def test_exists_answers_in_order(calendar):
    await calendar.verbs.update(["a", "b"])
    assert await calendar.verbs.exists(["b", "x", "a", "b"]) == [True, False, True, True]
    assert await calendar.verbs.exists([]) == []


async def test_list_keys_by_time_is_strict(calendar):
    for number, key in ((2, "a"), (3, "b"), (4, "c")):
        await calendar.on(number).update([key])
    assert await calendar.verbs.list_keys(before=day(3)) == ["a"]
    assert await calendar.verbs.list_keys(after=day(3)) == ["c"]
    assert await calendar.verbs.list_keys(after=day(2), before=day(4)) == ["b"]


async def test_list_keys_by_group_and_limit(calendar):
    await calendar.on(2).update(list("abcd"), group_ids=["x", "y", "x", None])
    assert await calendar.verbs.list_keys(group_ids=["x"]) == ["a", "c"]
    assert await calendar.verbs.list_keys(group_ids=["x", "y"], limit=2) == ["a", "b"]
    assert await calendar.verbs.list_keys(limit=3) == ["a", "b", "c"]
    assert await calendar.verbs.list_keys(group_ids=[], limit=0) == ["a", "b", "c", "d"]
    assert await calendar.verbs.list_keys(group_ids=["x"], before=day(2)) == []


async def test_delete_keys_forgets_them(calendar):
    await calendar.verbs.update(["a", "b", "c"])
    await calendar.verbs.delete_keys(["a", "x", "c"])
    assert await calendar.verbs.list_keys() == ["b"]
    await calendar.verbs.delete_keys([])
    assert await calendar.verbs.list_keys() == ["b"]


async def test_nothing_is_updated_with_no_keys(calendar):
    await calendar.on(2).update([])
    await calendar.verbs.update([], group_ids=[])
    assert await calendar.verbs.list_keys() == []


def test_it_answers_as_the_manager_of_langchain_classic_does(url, tmp_path):
    ours = DatedManager("docs", url=url)
    classic = DatedClassic("docs", db_url=f"sqlite:///{tmp_path}/records.db")
    answers = []
    for manager in (ours, classic):
        manager.create_schema()
        manager.create_schema()
        said = []
        for number, keys, groups in (
            (2, ["a", "b", "c"], ["x", "y", None]),
            (3, ["c", "d"], ["x", "x"]),
            (4, ["e"], ["y"]),
            (4, ["f"], None),
        ):
            manager.today = number
            manager.update(keys, group_ids=groups, time_at_least=day(number))
            said.append(manager.exists(list("abcdefg")))
            for before in (None, day(3), day(4)):
                wanted = (None, ["x"], ["x", "y"], ["z"])
                said.extend(sorted(manager.list_keys(before=before, group_ids=group)) for group in wanted)
        manager.delete_keys(["a", "e"])
        said.append(sorted(manager.list_keys(after=day(2))))
        answers.append(said)
    assert answers[0] == answers[1]
    ours.close()
    classic.engine.dispose()


def test_a_key_that_cannot_be_stored_is_named(url):
    with Client(url) as client:
        manager = PGRecordManager("docs", client=client)
        with pytest.raises(RecordError, match=r"keys\[1\].*NUL"):
            manager.exists(["a", "b\x00"])


def test_without_rights_it_says_what_to_do(database):
    role = database.role("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {role}")
    with Client(role) as client, pytest.raises(PermissionDenied, match="CREATE on the schema"):
        PGRecordManager("docs", client=client).create_schema()


async def test_namespaces_and_domains_do_not_meet(client):
    managers = [
        PGRecordManager("one", client=client),
        PGRecordManager("two", client=client),
        PGRecordManager("one", client=client, domain="acme"),
    ]
    for number, manager in enumerate(managers):
        await manager.aupdate([str(number), "shared"], group_ids=["g", "g"])
    for number, manager in enumerate(managers):
        assert await manager.alist_keys(group_ids=["g"]) == [str(number), "shared"]


async def test_many_threads_and_loops_share_a_manager(url):
    manager = PGRecordManager("docs", url=url)

    def blocking(number):
        manager.update([f"b{number}"])

    def own_loop(number):
        asyncio.run(manager.aupdate([f"l{number}"]))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4) for work in (blocking, own_loop)]
    for thread in threads:
        thread.start()
    await asyncio.gather(*(manager.aupdate([f"t{n}"]) for n in range(4)))
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert len(await manager.alist_keys()) == 12
    await manager.aclose()


def test_the_constructor_takes_a_store_a_collection_a_client_or_a_url(url):
    with Client(url) as client:
        config = CollectionConfig(name="docs", schema="rag")
        store = PGRecallVectorStore(EMBEDDING, config, client=client, domain="acme")
        of_store = PGRecordManager("n", store=store)
        of_store.update(["a"])
        assert repr(of_store) == "<PGRecordManager over <Ledger 'n' in rag.pgrecall_ledger, domain 'acme'>>"
        assert PGRecordManager("n", collection=store.collection).list_keys() == ["a"]
        assert PGRecordManager("n", client=client, collection=config, domain="acme").list_keys() == ["a"]
        of_store.close()
        assert of_store.list_keys() == ["a"]
        for words in ({"url": url}, {"client": client}, {"domain": "x"}, {"collection": "docs"}):
            with pytest.raises(ConfigError, match="pass it alone"):
                PGRecordManager("n", store=store, **words)
    with pytest.raises(ConfigError, match="namespace"):
        PGRecordManager("", url=url)
    manager = PGRecordManager("n", url=url)
    assert manager.list_keys() == []
    assert manager.namespace == "n"
    manager.close()


# -- what the store is told -------------------------------------------------------------------------


@pytest.fixture
def store(blocking_client):
    return PGRecallVectorStore(EMBEDDING, client=blocking_client)


@pytest.fixture
def manager(store):
    return PGRecordManager("docs", store=store)


def documents(*ids):
    return [Document(id=row_id, page_content=row_id, metadata={"source": "s"}) for row_id in ids]


def test_documents_added_without_being_asked_about_are_not_recorded(store, manager, database):
    store.add_documents(documents("a", "b"))
    assert database.ask("SELECT to_regclass('pgrecall_ledger')") is None
    assert manager.list_keys() == []


def test_documents_that_were_asked_about_are_recorded_with_them(store, manager):
    manager.exists(["a", "b", "c"])
    store.add_documents(documents("a", "b"))
    assert manager.list_keys() == ["a", "b"]


def test_documents_of_which_some_were_not_asked_about_are_not_recorded(store, manager):
    manager.exists(["a", "b"])
    store.add_documents(documents("a", "x"))
    store.add_texts(["text without id"])
    assert manager.list_keys() == []


def test_the_end_of_a_batch_is_the_end_of_it(store, manager):
    manager.exists(["a"])
    manager.update(["a"])
    assert ledger_for(store.collection, ["a"]) is not None
    manager.update(["a"], group_ids=["s"])
    assert ledger_for(store.collection, ["a"]) is None
    manager.list_keys()
    assert ledger_for(store.collection, ["a"]) is not None
    manager.delete_keys(["a"])
    assert ledger_for(store.collection, ["a"]) is None
    manager.list_keys()
    assert ledger_for(store.collection, ["a"]) is None


def test_documents_that_were_listed_are_deleted_with_their_records(store, manager):
    manager.exists(["a", "b"])
    store.add_documents(documents("a", "b"))
    manager.list_keys(limit=1)
    store.delete(["a"])
    assert [manager.list_keys(), store.collection.count()] == [["b"], 1]


def test_other_threads_do_not_hear_of_it(store, manager):
    manager.exists(["a"])
    thread = threading.Thread(target=store.add_documents, args=(documents("a"),))
    thread.start()
    thread.join()
    assert manager.list_keys() == []


async def test_other_tasks_do_not_hear_of_it(client):
    store = PGRecallVectorStore(EMBEDDING, client=client)
    manager = PGRecordManager("docs", store=store)
    asked = asyncio.Event()

    async def one():
        await manager.aexists(["a"])
        asked.set()

    async def other():
        await asked.wait()
        await store.aadd_documents(documents("a"))

    await asyncio.gather(one(), other())
    assert await manager.alist_keys() == []


def test_a_store_of_another_domain_is_not_told(store, manager):
    manager.exists(["a"])
    acme = store.collection.domain("acme")
    assert ledger_for(acme, ["a"]) is None
    assert ledger_for(store.collection.all_domains(), ["a"]) is None


def test_a_store_in_another_database_is_not_told(bare_database, store, manager):
    manager.exists(["a"])
    with PGRecallVectorStore(EMBEDDING, url=bare_database.url) as theirs:
        theirs.add_documents(documents("a"))
    assert manager.list_keys() == []


def test_two_stores_of_one_client_may_share_a_namespace(store, manager, blocking_client):
    second = PGRecallVectorStore(EMBEDDING, "second", client=blocking_client)
    manager.exists(["a"])
    store.add_documents(documents("a"))
    second.add_documents(documents("a"))
    assert manager.list_keys() == ["a"]
