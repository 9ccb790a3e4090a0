"""LangChain's ``index()`` and ``aindex()`` over our store and record manager, also where they are killed."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

import pytest
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import aindex, index

from pgrecall import Client, CollectionConfig
from pgrecall.errors import RecordError
from pgrecall.langchain import PGRecallVectorStore, PGRecordManager

EMBEDDING = DeterministicFakeEmbedding(size=8)
ENCODERS = ["sha1", "sha256", "sha512", "blake2b", "callable"]
CLEANUPS = [None, "incremental", "full", "scoped_full"]
# The warning that core gives of sha1, once a process, would be an error here.
pytestmark = pytest.mark.filterwarnings("ignore:Using SHA-1:UserWarning")


def document(source, text, **metadata):
    return Document(page_content=text, metadata={"source": source, **metadata})


def by_content(doc):
    return f"{doc.metadata['source']}/{doc.page_content}"


def encoder(name):
    return by_content if name == "callable" else name


@pytest.fixture
def store(blocking_client):
    return PGRecallVectorStore(EMBEDDING, client=blocking_client)


@pytest.fixture
def manager(store):
    return PGRecordManager("docs", store=store)


@pytest.fixture(params=["blocking", "async"])
def run_index(request, store, manager):
    def blocking(docs, **options):
        return index(docs, manager, store, **{"key_encoder": "sha256", **options})

    def asynchronous(docs, **options):
        return asyncio.run(aindex(docs, manager, store, **{"key_encoder": "sha256", **options}))

    return blocking if request.param == "blocking" else asynchronous


def contents(store, manager):
    """Return the texts that are stored, whose ids must be those that are recorded."""
    records = store.collection.list(limit=10_000).records
    assert [record.id for record in records] == manager.list_keys()
    return sorted(record.content for record in records)


def counts(result):
    return tuple(result[f"num_{name}"] for name in ("added", "updated", "skipped", "deleted"))


# -- runs to their end ------------------------------------------------------------------------------


@pytest.mark.parametrize("key_encoder", ENCODERS)
@pytest.mark.parametrize("cleanup", CLEANUPS)
def test_changed_and_deleted_documents(run_index, store, manager, cleanup, key_encoder):
    options = {"cleanup": cleanup, "source_id_key": "source", "key_encoder": encoder(key_encoder)}
    first = [document("a", "a1"), document("a", "a2"), document("b", "b1"), document("c", "c1")]
    assert counts(run_index(first, **options)) == (4, 0, 0, 0)
    assert counts(run_index(first, **options)) == (0, 0, 4, 0)
    assert contents(store, manager) == ["a1", "a2", "b1", "c1"]
    # a2 has changed, b is as it was, c is not there any more.
    second = [document("a", "a1"), document("a", "a2 new"), document("b", "b1")]
    result = run_index(second, **options)
    left = {None: ["a2", "c1"], "incremental": ["c1"], "scoped_full": ["c1"], "full": []}[cleanup]
    assert counts(result) == (1, 0, 2, 2 - len(left))
    assert contents(store, manager) == sorted(["a1", "a2 new", "b1", *left])


@pytest.mark.parametrize("cleanup", CLEANUPS)
@pytest.mark.parametrize("batch_size", [1, 2, 7, 100])
def test_batches_of_any_size(run_index, store, manager, cleanup, batch_size):
    options = {"cleanup": cleanup, "source_id_key": "source", "batch_size": batch_size, "cleanup_batch_size": 2}
    run_index([document(f"s{n % 3}", f"old {n}") for n in range(12)], **options)
    run_index([document(f"s{n % 3}", f"new {n}") for n in range(12)], **options)
    wanted = [f"new {n}" for n in range(12)] + ([f"old {n}" for n in range(12)] if cleanup is None else [])
    assert contents(store, manager) == sorted(wanted)


def test_generators_loaders_and_asynchronous_iterators(run_index, store, manager):
    class Loader(BaseLoader):
        def lazy_load(self):
            yield from (document("l", f"l{n}") for n in range(5))

    assert counts(run_index(Loader())) == (5, 0, 0, 0)
    assert counts(run_index((document("g", f"g{n}") for n in range(5)), batch_size=2)) == (5, 0, 0, 0)
    assert len(contents(store, manager)) == 10


async def test_an_asynchronous_iterator(client):
    store = PGRecallVectorStore(EMBEDDING, client=client)
    manager = PGRecordManager("docs", store=store)

    async def documents():
        for n in range(5):
            yield document("a", str(n))

    result = await aindex(documents(), manager, store, batch_size=2, key_encoder="sha256")
    assert counts(result) == (5, 0, 0, 0)
    assert await store.collection.asynchronous.count() == len(await manager.alist_keys()) == 5


def test_force_update_embeds_again(run_index, store, manager):
    docs = [document("a", "1"), document("a", "2")]
    run_index(docs, cleanup="full")
    store.collection.update([r.id for r in store.collection.list().records], embeddings=[[1] * 8, [1] * 8])
    assert counts(run_index(docs, cleanup="full", force_update=True)) == (0, 2, 0, 0)
    first, second = store.collection.list(include=["embedding"]).records
    assert first.embedding.tolist() != second.embedding.tolist()
    assert contents(store, manager) == ["1", "2"]
    assert counts(run_index(docs, cleanup="full")) == (0, 0, 2, 0)


def test_duplicates_within_and_across_batches(run_index, store, manager):
    docs = [document("a", "1"), document("a", "1"), document("a", "2"), document("a", "1")]
    assert counts(run_index(docs, batch_size=2, cleanup="full")) == (2, 0, 2, 0)
    assert contents(store, manager) == ["1", "2"]


def test_full_cleanup_with_no_documents_deletes_all(run_index, store, manager):
    run_index([document("a", str(n)) for n in range(25)])
    assert counts(run_index([], cleanup="full", cleanup_batch_size=10)) == (0, 0, 0, 25)
    assert contents(store, manager) == []


def test_sources_may_be_numbers_or_told_by_a_function(run_index, store, manager):
    run_index([document(1, "old"), document(2, "other")], cleanup="incremental", source_id_key="source")
    run_index([document(1, "new")], cleanup="incremental", source_id_key="source")
    assert contents(store, manager) == ["new", "other"]
    run_index([document(1, "newer")], cleanup="scoped_full", source_id_key=lambda doc: str(doc.metadata["source"]))
    assert contents(store, manager) == ["newer", "other"]


def test_documents_indexed_without_a_source_are_of_none(run_index, store, manager):
    run_index([document("a", "1")])
    run_index([document("a", "2")], cleanup="incremental", source_id_key="source")
    assert contents(store, manager) == ["1", "2"]
    run_index([document("a", "3")], cleanup="full")
    assert contents(store, manager) == ["3"]


def test_two_tenants_of_one_namespace_do_not_meet(run_index, store, manager, blocking_client):
    acme = PGRecallVectorStore(EMBEDDING, client=blocking_client, domain="acme")
    theirs = PGRecordManager("docs", store=acme)
    shared = document("a", "shared")
    run_index([shared, document("a", "ours")], cleanup="full")
    index([shared, document("a", "theirs")], theirs, acme, cleanup="full", key_encoder="sha256")
    assert contents(store, manager) == ["ours", "shared"]
    assert contents(acme, theirs) == ["shared", "theirs"]
    run_index([], cleanup="full")
    assert contents(store, manager) == []
    assert contents(acme, theirs) == ["shared", "theirs"]


def test_a_manager_with_connections_of_its_own_works_as_others_do(url, store):
    manager = PGRecordManager("docs", url=url)
    index([document("a", "1"), document("a", "2")], manager, store, cleanup="full", key_encoder="sha256")
    index([document("a", "2")], manager, store, cleanup="full", key_encoder="sha256")
    assert contents(store, manager) == ["2"]
    manager.close()


def test_a_manager_with_connections_of_its_own_writes_with_the_documents(url, store, blocking_client):
    manager = PGRecordManager("docs", url=url)
    manager.exists(["k1", "k2"])
    store.add_documents([document("a", "1"), document("a", "2")], ids=["k1", "k2"])
    assert manager.list_keys() == ["k1", "k2"]
    manager.list_keys()
    store.delete(["k1"])
    assert manager.list_keys() == ["k2"]
    manager.close()


def test_a_manager_of_another_domain_is_left_alone(url, store):
    manager = PGRecordManager("docs", url=url, domain="other")
    manager.exists(["k1"])
    store.add_documents([document("a", "1")], ids=["k1"])
    assert manager.list_keys() == []
    manager.close()


def test_a_store_with_uuids_for_ids(blocking_client):
    store = PGRecallVectorStore(EMBEDDING, CollectionConfig(name="docs", id_type="uuid"), client=blocking_client)
    manager = PGRecordManager("docs", store=store)

    def undashed(doc):
        return f"{int(doc.page_content):032X}"

    for texts, wanted in ((["10", "11", "12"], (3, 0, 0, 0)), (["10", "11"], (0, 0, 2, 1)), (["11"], (0, 0, 1, 1))):
        result = index([document("a", t) for t in texts], manager, store, cleanup="full", key_encoder=undashed)
        assert counts(result) == wanted
        assert manager.list_keys() == [f"{int(t):032X}" for t in texts]
        assert sorted(r.content for r in store.collection.list().records) == texts


def test_a_run_that_fails_is_finished_by_the_next(run_index, store, manager):
    good = [document("a", str(n)) for n in range(4)]
    bad = document("a", "bad\x00")
    with pytest.raises(RecordError, match="NUL"):
        run_index([*good, bad], batch_size=2, cleanup="full")
    assert contents(store, manager) == ["0", "1", "2", "3"]
    run_index(good[:3], batch_size=2, cleanup="full")
    assert contents(store, manager) == ["0", "1", "2"]


def test_two_runs_at_once_end_in_agreement(url, store, manager):
    docs = [document(f"s{n % 5}", f"text {n}") for n in range(60)]
    failures = []

    def work(order):
        try:
            with Client(url) as client:
                mine = PGRecallVectorStore(EMBEDDING, client=client)
                records = PGRecordManager("docs", store=mine)
                for _ in range(3):
                    index(docs[::order], records, mine, batch_size=7, cleanup="full", key_encoder="sha256")
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(order,)) for order in (1, -1, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert contents(store, manager) == sorted(doc.page_content for doc in docs)


# -- runs that are killed ---------------------------------------------------------------------------

# A process that indexes until it ends itself, at a place that its arguments name.
KILLED = """
import asyncio, os, signal, sys
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import aindex, index
from pgrecall.langchain import PGRecallVectorStore, PGRecordManager

url, place, cleanup, asynchronous, texts = sys.argv[1:]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class Manager(PGRecordManager):
    batches = 0

    def counts(self, group_ids):
        self.batches += group_ids is not None
        return place == "records" and group_ids is not None and self.batches == 2

    def update(self, keys, *, group_ids=None, time_at_least=None):
        if self.counts(group_ids):
            die()
        super().update(keys, group_ids=group_ids, time_at_least=time_at_least)

    async def aupdate(self, keys, *, group_ids=None, time_at_least=None):
        if self.counts(group_ids):
            die()
        await super().aupdate(keys, group_ids=group_ids, time_at_least=time_at_least)

if place == "cleanup":
    Manager.delete_keys = Manager.adelete_keys = die

store = PGRecallVectorStore(DeterministicFakeEmbedding(size=8), url=url)
documents = [Document(page_content=text, metadata={"source": text[0], "page": 1}) for text in texts.split(",")]
options = dict(batch_size=3, cleanup_batch_size=2, key_encoder="sha256", cleanup=cleanup, source_id_key="source")
manager = Manager("docs", store=store)
if asynchronous == "async":
    asyncio.run(aindex(documents, manager, store, **options))
else:
    index(documents, manager, store, **options)
"""


@pytest.fixture
def killed(interpreter, url):
    """Index texts in a process that kills itself at a place."""

    def run(place, cleanup, texts, kind="blocking"):
        process = interpreter(KILLED, url, place, cleanup, kind, ",".join(texts), flags=())
        _, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (-signal.SIGKILL, "")

    return run


def finish(store, manager, cleanup, texts):
    options = {"batch_size": 3, "cleanup": cleanup, "source_id_key": "source", "key_encoder": "sha256"}
    return index([document(text[0], text, page=1) for text in texts], manager, store, **options)


OLD = [f"{source}{n} old" for source in "ab" for n in range(4)]
NEW = [f"{source}{n} new" for source in "ab" for n in range(4)]


@pytest.mark.parametrize("kind", ["blocking", "async"])
@pytest.mark.parametrize("cleanup", CLEANUPS[1:])
@pytest.mark.parametrize("place", ["records", "cleanup"])
def test_a_killed_run_leaves_agreement_and_the_next_one_finishes_it(killed, store, manager, place, cleanup, kind):
    finish(store, manager, cleanup, OLD)
    killed(place, cleanup, NEW, kind)
    halfway = contents(store, manager)
    assert set(NEW) & set(halfway)
    assert set(OLD) & set(halfway)
    finish(store, manager, cleanup, NEW)
    assert contents(store, manager) == NEW


@pytest.mark.parametrize("cleanup", CLEANUPS[1:])
def test_what_a_killed_run_left_is_cleaned_up_although_its_source_has_changed_since(killed, store, manager, cleanup):
    killed("records", cleanup, NEW)
    # The documents of its last batch are there, and nobody has said what their source is.
    assert contents(store, manager) == NEW[:6]
    latest = [f"{source}{n} latest" for source in "ab" for n in range(2)]
    finish(store, manager, cleanup, latest)
    assert contents(store, manager) == sorted(latest)


@pytest.mark.parametrize("cleanup", ["incremental", "scoped_full"])
def test_what_a_killed_run_left_of_other_sources_is_kept(killed, store, manager, cleanup):
    killed("records", cleanup, NEW)
    finish(store, manager, cleanup, ["b9"])
    assert contents(store, manager) == sorted([text for text in NEW[:6] if text[0] == "a"] + ["b9"])


def test_killed_again_and_again_it_still_ends_well(killed, store, manager):
    for place, texts in (("records", OLD), ("records", NEW), ("cleanup", NEW[:5]), ("records", OLD)):
        killed(place, "full", texts)
        contents(store, manager)
    finish(store, manager, "full", NEW)
    assert contents(store, manager) == NEW


@pytest.mark.parametrize("verb", ["INSERT", "DELETE"])
def test_a_run_killed_within_a_transaction_leaves_none_of_it(interpreter, database, store, manager, verb):
    texts = OLD[:2]
    finish(store, manager, "full", texts)
    # The first change of a record waits for a lock that we hold, with the rows written and nothing committed.
    database.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END $$;"
        f"CREATE TRIGGER wait AFTER {verb} ON pgrecall_ledger EXECUTE FUNCTION wait()"
    )
    with Client(database.url) as client:
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted"
        holder = Holder(client)
        process = interpreter(KILLED, database.url, "nowhere", "full", "blocking", ",".join(NEW[:2]), flags=())
        deadline = time.monotonic() + 30
        while not database.ask(waits):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
        process.communicate()
        holder.release()
    # This waits until the server has noticed that nobody is there to commit.
    database.execute("DROP FUNCTION wait CASCADE")
    # What was new is committed before what is old is deleted.
    wanted = texts if verb == "INSERT" else sorted([*texts, *NEW[:2]])
    assert contents(store, manager) == wanted
    finish(store, manager, "full", NEW)
    assert contents(store, manager) == NEW


class Holder:
    """Holds the advisory lock on a connection of its own."""

    def __init__(self, client):
        self._held = threading.Event()
        self._enough = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._hold(client.asynchronous)))
        self._thread.start()
        assert self._held.wait(30)

    async def _hold(self, client):
        from pgrecall.sql.compose import Statement

        async def work(session):
            await session.execute(Statement("SELECT pg_advisory_xact_lock(7)"))
            self._held.set()
            await asyncio.to_thread(self._enough.wait, 60)

        await client._database.transaction(work)

    def release(self):
        self._enough.set()
        self._thread.join()
