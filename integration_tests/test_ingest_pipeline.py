"""Sources of any length to rows: embedded, checkpointed, and gone on with wherever a run was killed."""

import asyncio
import contextvars
import random
import subprocess
import sys
import threading
import time
import tracemalloc
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest

from integration_tests.conftest import PYTHONPATH
from pgrecall import (
    HNSW,
    AsyncClient,
    Client,
    CollectionConfig,
    EmbeddingRetry,
    IngestOptions,
    ListPartitions,
    Record,
    RecordBatch,
)
from pgrecall.errors import ConfigError, DimensionMismatch, RunTakenOver, TooManyFailures

QUICK = EmbeddingRetry(attempts=4, first_delay=0.01, max_delay=0.5)


class Model:
    """Embeds a text by its length, and remembers what it was asked."""

    def __init__(self, dimensions=2):
        self.dimensions = dimensions
        self.asked = []

    def __call__(self, texts):
        self.asked.append(list(texts))
        return [[float(len(text)), *range(1, self.dimensions)] for text in texts]


class RateLimited(Exception):
    def __init__(self, after):
        super().__init__("slow down")
        self.status_code = 429
        self.response = type("Response", (), {"headers": {"Retry-After": after}})()


@pytest.fixture
async def client(url):
    async with AsyncClient(url) as client:
        yield client


async def stored(docs):
    page = await docs.list(limit=10_000)
    return {record.id: record for record in page.records}


async def test_ingest_takes_texts_documents_mappings_and_records_from_an_async_source(client):
    class Document:
        page_content, metadata, id = "a document", {"kind": "document"}, "d"

    async def source():
        yield "a text"
        yield Document()
        yield {"id": "m", "content": "a mapping", "metadata": {"kind": "mapping"}}
        yield Record(id="r", content="a record", embedding=[9.0, 9.0])

    model, docs = Model(), client.collection("docs")
    report = await docs.ingest(source(), embed=model, options=IngestOptions(hash_ids=True))
    found = await stored(docs)
    assert (report.read, report.written, report.inserted, report.failed) == (4, 4, 4, ())
    assert model.asked == [["a text", "a document", "a mapping"]]
    assert sorted(key[:4] for key in found) == ["d", "doc_", "m", "r"]
    assert found["m"].metadata == {"kind": "mapping"}
    assert [record.content for record in await docs.get(["d", "r"])] == ["a document", "a record"]


async def test_ingest_of_what_is_unchanged_neither_embeds_nor_writes(client, database):
    docs, model = client.collection("docs"), Model()
    when = datetime(2025, 1, 2, tzinfo=UTC)
    records = [Record(id=str(n), content=f"text {n}", metadata={"n": n, "when": when}) for n in range(300)]
    await docs.ingest(records, embed=model)
    before = database.rows("SELECT id, xmin::text FROM docs ORDER BY id")
    model.asked.clear()
    changed = [*records]
    changed[7] = Record(id="7", content="text 7", metadata={"n": -7, "when": when})
    changed[8] = Record(id="8", content="another text", metadata={"n": 8, "when": when})
    report = await docs.ingest(changed, embed=model)
    after = database.rows("SELECT id, xmin::text FROM docs ORDER BY id")
    assert model.asked == [["text 7", "another text"]]
    assert (report.written, report.inserted, report.unchanged) == (2, 0, 298)
    assert {row[0] for row in set(after) - set(before)} == {"7", "8"}


async def test_ingest_makes_the_same_ids_of_the_same_texts(client):
    docs, options = client.collection("docs"), IngestOptions(hash_ids=True, skip_unchanged=False)
    await docs.ingest(["one", "two"], embed=Model(), options=options)
    again = await docs.ingest(["two", "one", "one"], embed=Model(), options=options)
    assert (await docs.count(), again.inserted, again.unchanged) == (2, 0, 3)


async def test_ingest_calls_several_at_a_time_and_no_more_and_keeps_the_order(client):
    flying = most = 0

    async def embed(texts):
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        # Later ones come back earlier.
        await asyncio.sleep(0.02 / (1 + int(texts[0].split()[1]) % 4))
        flying -= 1
        return np.array([[float(text.split()[1]) + 1, 1.0] for text in texts])

    taken = 0

    def source():
        nonlocal taken
        for number in range(400):
            taken += 1
            yield f"text {number}"

    processed = []

    def tell(progress):
        # No more is taken than is being embedded, gathered and written.
        assert taken - progress["processed"] <= 3 * 60 + 3 * 20
        processed.append((progress["phase"], progress["processed"], progress["percent"]))

    options = IngestOptions(embed_batch=20, embed_calls=3, write_batch=60, hash_ids=True, total=400)
    await client.collection("docs").ingest(source(), embed=embed, options=options, on_progress=tell)
    assert most == 3
    assert [entry[1] for entry in processed] == [60, 120, 180, 240, 300, 360, 400, 400]
    assert processed[0] == ("loading", 60, 15.0)
    assert processed[-1] == ("done", 400, 100.0)
    records = (await stored(client.collection("docs"))).values()
    assert {record.content for record in records} == {f"text {number}" for number in range(400)}


@pytest.mark.parametrize("header", ["0.3", "date"])
async def test_ingest_waits_as_long_as_the_error_says(client, header):
    calls = []

    def embed(texts):
        calls.append(time.time())
        if len(calls) == 1:
            raise RateLimited(
                format_datetime(datetime.fromtimestamp(time.time() + 2, UTC)) if header == "date" else header
            )
        return [[1.0, 2.0] for _ in texts]

    options = IngestOptions(retry=EmbeddingRetry(attempts=2, first_delay=0.0, max_delay=5))
    report = await client.collection("docs").ingest(["a"], embed=embed, options=options)
    # A date has whole seconds.
    assert calls[1] - calls[0] >= (0.9 if header == "date" else 0.3)
    assert (report.written, report.embedding_calls) == (1, 2)


async def test_ingest_tries_again_only_what_passes(client):
    model = Model()
    docs, calls = client.collection("docs"), []

    def lost(texts):
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionResetError
        return model(texts)

    def refused(texts):
        calls.append(1)
        error = PermissionError("no key")
        error.status_code = 401
        raise error

    assert (await docs.ingest(["a"], embed=lost, options=IngestOptions(retry=QUICK))).written == 1
    assert len(calls) == 3
    with pytest.raises(PermissionError, match="no key"):
        await docs.ingest(["b"], embed=refused, options=IngestOptions(retry=QUICK))
    assert len(calls) == 4
    with pytest.raises(PermissionError):
        await docs.ingest(
            ["b"],
            embed=refused,
            options=IngestOptions(retry=EmbeddingRetry(attempts=3, first_delay=0, retryable=(OSError,))),
        )
    assert len(calls) == 7
    with pytest.raises(RateLimited):  # a wait that is too long is the caller's
        await docs.ingest(
            ["c"], embed=lambda _: (_ for _ in ()).throw(RateLimited("3600")), options=IngestOptions(retry=QUICK)
        )


async def test_ingest_sets_bad_records_aside_with_their_reasons(client):
    model, told = Model(), []

    def embed(texts):
        if any("poison" in text for text in texts):
            raise ValueError("this text is not for me")
        return model(texts)

    source = ["fine", "", "with \x00", 5, Record(id="x" * 3000, content="long id"), "poison", "also fine"]
    source.append(Record(id="nan", content="c", embedding=[float("nan"), 1.0]))
    source.append(Record(id="wide", content="c", embedding=[1.0, 1.0, 1.0]))
    docs = client.collection("docs")
    report = await docs.ingest(source, embed=embed, options=IngestOptions(retry=QUICK), on_failure=told.append)
    assert sorted(record.content for record in (await stored(docs)).values()) == ["also fine", "fine"]
    assert [failure.position for failure in report.failed] == [1, 2, 3, 4, 5, 7, 8]
    assert tuple(told) == report.failed
    for failure, words in zip(
        report.failed, ["no content", "NUL", "not int", "longer", "not for me", "NaN", "dimensions"], strict=True
    ):
        assert words in failure.reason
    with pytest.raises(TooManyFailures, match="number 3") as stopped:
        await docs.ingest(["new", "newer", "", 5], embed=embed, options=IngestOptions(max_failures=1))
    assert [failure.position for failure in stopped.value.failures] == [2, 3]
    assert await docs.count() == 2


async def test_ingest_stops_where_the_model_is_wrong(client):
    docs = client.collection("docs")
    await docs.ingest(["a"], embed=Model(2))
    with pytest.raises(DimensionMismatch, match="reembed"):
        await docs.ingest(["b"], embed=Model(3))
    with pytest.raises(ConfigError, match="2 texts and returned 1"):
        await docs.ingest(["b", "c"], embed=lambda _: [[1.0, 2.0]])
    with pytest.raises(ConfigError, match="source"):
        await docs.ingest("one text")
    with pytest.raises(ConfigError, match="one domain"):
        await docs.all_domains().ingest(["a"], embed=Model())


async def test_named_run_goes_on_behind_its_last_batch_and_remembers_what_failed(client):
    docs, model = client.collection("docs"), Model()
    options = IngestOptions(write_batch=10, embed_batch=5)
    source = [f"text {n}" if n != 3 else "" for n in range(40)]

    def crash(progress):
        if progress["processed"] == 20:
            raise KeyError("crash")

    with pytest.raises(KeyError):
        await docs.ingest(source, embed=model, run="r", options=options, on_progress=crash)
    model.asked.clear()
    starts = []

    def resumed(position):
        starts.append(position)
        return iter(source[position:])

    report = await docs.ingest(resumed, embed=model, run="r", options=options)
    done = starts[0]
    assert done in (20, 30)
    assert (report.resumed_at, report.read) == (done, 40 - done)
    assert [failure.position for failure in report.failed] == [3]
    # Several batches are asked for at a time, whichever of them first.
    asked = sorted(model.asked, key=lambda texts: source.index(texts[0]))
    assert [text for texts in asked for text in texts] == source[done:]
    assert await docs.count() == 39
    assert (await docs.ingest([], run="r")).resumed_at == 0


async def begun(docs, source):
    """Have run ``r`` come half way."""

    def crash(progress):
        if progress["processed"] >= 20:
            raise KeyError("crash")

    with pytest.raises(KeyError):
        await docs.ingest(source, run="r", options=IngestOptions(write_batch=10, max_failures=None), on_progress=crash)


def rows(count):
    return [Record(id=f"{n:03}", embedding=[1.0, 2.0], content=f"text {n}") for n in range(count)]


@pytest.mark.parametrize("end", ["delete", "clear", "drop", "rename"])
async def test_run_begins_anew_where_what_it_wrote_is_gone(client, connection, end):
    docs = await client.get_or_create_collection("docs", dimensions=2)
    await begun(docs, rows(40))
    if end == "delete":
        await client.delete_collection("docs")
    elif end == "clear":
        await docs.clear()
    elif end == "drop":
        await connection.execute("DROP TABLE docs")
        docs = client.collection("docs")
    else:
        await client.rename_collection("docs", "papers")
        assert (await client.collection("papers").ingest(rows(40), run="r")).resumed_at >= 20
    if end in ("delete", "rename"):
        docs = await client.get_or_create_collection("docs", dimensions=2)
    report = await docs.ingest(rows(40), run="r")
    assert (report.resumed_at, report.inserted, await docs.count()) == (0, 40, 40)


async def test_run_of_another_domain_goes_on_where_one_is_cleared(client):
    docs = client.collection("docs")
    await begun(docs, rows(40))
    await begun(docs.domain("other"), rows(40))
    await docs.domain("other").clear()
    assert (await docs.ingest(rows(40), run="r")).resumed_at >= 20
    assert (await docs.domain("other").ingest(rows(40), run="r")).resumed_at == 0


@pytest.mark.parametrize("layout", [None, ListPartitions()], ids=["shared", "list"])
@pytest.mark.parametrize("end", ["delete", "rename"])
async def test_run_of_a_domain_begins_anew_where_the_domain_is_gone(client, layout, end):
    docs = await client.get_or_create_collection(CollectionConfig(name="docs", dimensions=2, layout=layout))
    if layout is not None:
        await docs.create_domain("red")
    red = docs.domain("red")
    await begun(red, rows(40))
    await (red.delete_domain() if end == "delete" else red.rename_domain("crimson"))
    report = await red.ingest(rows(40), run="r")
    assert (report.resumed_at, report.inserted, await red.count()) == (0, 40, 40)


async def test_run_that_goes_on_counts_what_was_set_aside_before(client):
    docs = client.collection("docs")
    await begun(docs, [*rows(15), *[5] * 10, *rows(40)])
    with pytest.raises(TooManyFailures, match="max_failures is 2; the last of them, number"):
        await docs.ingest(rows(80), run="r", options=IngestOptions(max_failures=2))


async def test_run_notes_what_postgres_cannot_store(client):
    def embed(texts):
        if any("poison" in text for text in texts):
            raise ValueError("not \x00 for \ud800 me")
        return Model()(texts)

    docs = client.collection("docs")
    source = ["fine", Record(id="a\x00b", embedding=[1.0, 2.0]), Record(id="\ud800", embedding=[1.0, 2.0]), "poison"]
    report = await docs.ingest(source, embed=embed, run="r", options=IngestOptions(retry=QUICK))
    assert ([failure.position for failure in report.failed], await docs.count()) == ([1, 2, 3], 1)


async def test_run_that_was_begun_again_stops_without_writing(client):
    docs = client.collection("docs")
    first = asyncio.Event()

    async def slow():
        yield Record(id="a", embedding=[1.0, 2.0])
        first.set()
        await asyncio.sleep(0.2)
        yield Record(id="b", embedding=[1.0, 2.0])

    one = asyncio.create_task(docs.ingest(slow(), run="r", options=IngestOptions(write_batch=1)))
    await first.wait()
    await asyncio.sleep(0.1)
    other = await docs.ingest([Record(id="a", embedding=[1.0, 2.0]), Record(id="c", embedding=[1.0, 2.0])], run="r")
    with pytest.raises(RunTakenOver):
        await one
    assert other.read == 2 - other.resumed_at
    assert await docs.get(["b"]) == [None]


def test_killed_run_loses_and_repeats_no_row(url, database):
    count, dice = 6_000, random.Random(3)
    command = [sys.executable, str(Path(__file__).with_name("kill_ingest.py")), url, "killed", str(count), "100"]
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": PYTHONPATH}) as process:
            for _ in range(dice.randint(2, 12)):
                process.stdout.readline()
            time.sleep(dice.random() * 0.01)
            process.kill()
    # Ids are random: only the checkpoint knows what is there.
    there = database.ask("SELECT count(*) FROM killed")
    assert 0 < there < count
    assert database.ask("SELECT position FROM pgrecall_runs") == there
    ended = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": PYTHONPATH}, check=True)
    assert f"resumed at {there}" in ended.stdout
    assert database.ask("SELECT count(*) FROM killed") == count
    assert database.ask("SELECT count(DISTINCT content) FROM killed") == count


async def test_ingest_needs_no_more_memory_for_more_items(client):
    async def peak(count):
        docs = client.collection(f"flat_{count}")
        source = (Record(id=str(n), embedding=np.full(64, n + 1.0), content="x" * 200) for n in range(count))
        tracemalloc.reset_peak()
        await docs.ingest(source, options=IngestOptions(write_batch=250), run="r")
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        await peak(500)
        few, many = await peak(1_500), await peak(6_000)
    finally:
        tracemalloc.stop()
    assert many < 1.3 * few


async def test_bulk_mode_builds_the_index_behind_the_load(client):
    phases = []
    batch = RecordBatch(embeddings=np.random.default_rng(1).normal(size=(500, 8)))
    docs = client.collection("docs")
    await docs.ingest(batch, options=IngestOptions(index=HNSW()), on_progress=lambda p: phases.append(p["phase"]))
    assert [phase for place, phase in enumerate(phases) if phase not in phases[:place]] == [
        "loading",
        "indexing",
        "done",
    ]
    assert [index.method for index in (await docs.stats()).indexes] == ["hnsw"]


def test_blocking_ingest_runs_the_source_in_the_callers_thread_and_the_model_in_its_context(url):
    number = contextvars.ContextVar("number", default=0)
    seen = []

    def embed(texts):
        seen.append(number.get())
        return [[1.0, 2.0] for _ in texts]

    with Client(url) as client:
        docs = client.collection("docs")

        def source():
            for n in range(600):
                assert threading.current_thread() is threading.main_thread()
                if n == 300:
                    docs.count()  # would wait for itself on the portal
                yield f"text {n}"

        number.set(7)
        report = docs.ingest(source(), embed=embed, on_progress=True)
        assert (report.written, set(seen)) == (600, {7})

        async def awaited(texts):
            return [[1.0, 2.0] for _ in texts]

        assert docs.ingest(lambda start: (f"new {n}" for n in range(start, 10)), embed=awaited).written == 10

        def broken():
            yield "last"
            raise LookupError("the source is broken")

        with pytest.raises(LookupError, match="broken"):
            docs.ingest(broken(), embed=embed)
