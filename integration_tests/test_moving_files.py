"""Files of records: written and read back just as they were, gone on with, and those that others have made."""

import asyncio
import csv
import json
import sys
import threading
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pgrecall import CollectionConfig, Distance, Record, VectorType, moving, portal
from pgrecall.errors import ConfigError
from pgrecall.moving import MoveOptions, RecordFile
from pgrecall.moving.files import FileRows, Piece

PARQUET = pytest.param(".parquet", marks=pytest.mark.skipif(not moving.can_read(".parquet"), reason="needs pyarrow"))
SUFFIXES = [".jsonl", ".csv", PARQUET]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=-3.5)))
TYPED = {
    "day": date(2024, 1, 2),
    "at": datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    "uuid": uuid.UUID(int=7),
    "price": Decimal("1.50"),
    "tuple": (1, ("a",)),
    "array": np.arange(3, dtype=np.int16),
    "big": 2**70,
    "float": 1e22,
    "zero": -0.0,
    "none": None,
    "a.b": {"list": [{}, [], ""]},
}
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "\\", "\\\\", '"', '""', "\r", "\n", "a\r\nb", "\ufeff", ",", "null", "NaN", "\u2028", "{}", " x "]
)
numbers = st.floats(-(2.0**60), 2.0**60, width=32)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts
    | st.dates() | st.uuids() | st.decimals(allow_nan=False, allow_infinity=False, min_value=-10**9, max_value=10**9, places=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
records = st.builds(
    lambda row_id, **more: Record(id=f"id{row_id}", **more),
    row_id=texts,
    embedding=st.tuples(numbers, numbers, st.just(1.0)).map(list),
    content=st.none() | texts,
    metadata=st.dictionaries(texts, values, max_size=4),
    document_id=st.none() | texts.filter(bool),
    chunk_index=st.none() | st.integers(-(2**31), 2**31 - 1),
    domain_id=st.sampled_from(["default", "red", "it's \\ \n,blue"]),
    created_at=st.integers(0, 10**16).map(lambda n: EPOCH + timedelta(microseconds=n)),
    envelope=st.none() | st.dictionaries(texts, st.integers(0, 9) | st.none() | texts, max_size=2),
    sparse_embedding=st.none() | st.dictionaries(st.integers(0, 99), st.floats(0.125, 8, width=32), min_size=1, max_size=3),
)  # fmt: skip


async def everything(docs):
    found, after = {}, None
    while True:
        page = await docs.all_domains().list(
            limit=1_000, after=after, include=["embedding", "envelope", "sparse_embedding"]
        )
        for one in page.records:
            fields = {name: getattr(one, name) for name in Record.__dataclass_fields__}
            found[one.domain_id, one.id] = repr(fields | {"embedding": one.embedding.tolist()})
        after = page.next
        if after is None:
            return found


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_record_is_read_back_as_it_was(suffix, blocking_client, tmp_path):
    client = blocking_client.asynchronous
    docs = client.collection(CollectionConfig(name="given", dimensions=3, sparse_dimensions=100))
    path = tmp_path / f"odd{suffix}"

    @given(st.lists(records, min_size=1, max_size=40))
    @settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    def round_trips(batch):
        portal.call(check(batch))

    async def check(batch):
        await docs.all_domains().clear()
        await docs.all_domains().upsert(
            [*batch, Record(id="typed", domain_id="red", embedding=[1, 2, 3], metadata=TYPED)]
        )
        there = await everything(docs)
        written = await moving.aexport_to(docs.all_domains(), path)
        assert (written.written, written.size) == (len(there), path.stat().st_size)
        again = CollectionConfig(name="again", sparse_dimensions=100)
        report = await moving.amigrate(RecordFile(path=path), client, again)
        assert report.ok, report
        assert await everything(client.collection(again)) == there
        await client.delete_collection("again")

    round_trips()


@pytest.mark.parametrize("vector_type", ["halfvec", "bit"])
async def test_embeddings_of_other_types_come_back(vector_type, client, tmp_path):
    config = CollectionConfig(name="given", dimensions=8, vector_type=VectorType(vector_type))
    docs = await client.create_collection(config)
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, 2, (20, 8)) if vector_type == "bit" else rng.normal(size=(20, 8))
    await docs.upsert([Record(id=f"{n}", embedding=row) for n, row in enumerate(drawn)])
    for suffix in filter(moving.can_read, [".jsonl", ".csv", ".parquet"]):
        path = tmp_path / f"typed{suffix}"
        await moving.aexport_to(docs, path)
        again = CollectionConfig(name=f"again{suffix}", vector_type=VectorType(vector_type))
        report = await moving.amigrate(RecordFile(path=path), client, again)
        assert (report.ok, report.verification.sampled) == (True, 20)
        assert await everything(docs) == await everything(client.collection(again))


async def filled(client, count=60, domains=("default",)):
    docs = await client.create_collection("given", dimensions=2)
    await docs.all_domains().upsert(
        [
            Record(
                id=f"id{n:03}",
                embedding=[n + 1, 1],
                content=f"text\n{n}",
                metadata={"n": n},
                domain_id=domains[n % len(domains)],
            )
            for n in range(count)
        ]
    )
    return docs


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_import_goes_on_where_it_was_killed(suffix, client, tmp_path):
    docs = await filled(client, domains=("a", "b", "c"))
    path = tmp_path / f"whole{suffix}"
    await moving.aexport_to(docs.all_domains(), path)

    def kill(progress):
        if progress.done >= 25:
            raise KeyError("killed")

    options = MoveOptions(write_batch=5)
    with pytest.raises(KeyError):
        await moving.amigrate(RecordFile(path=path), client, "again", options=options, progress=kill)
    there = len(await everything(client.collection("again")))
    assert there >= 25
    report = await moving.amigrate(RecordFile(path=path), client, "again", options=options)
    assert sum(part.report.read for part in report.parts) == 60 - there
    assert report.ok
    assert (await client.collection("again").all_domains().stats()).domains == {"a": 20, "b": 20, "c": 20}


async def test_field_that_only_a_late_line_has_is_what_it_is_called(client, tmp_path):
    docs = await filled(client, count=150)
    late = Record(id="late", embedding=[1, 2], document_id="d", metadata=TYPED, envelope={"e": 1}, domain_id="z")
    await docs.all_domains().upsert([late])
    await moving.aexport_to(docs.all_domains(), tmp_path / "late.jsonl")
    assert (await moving.amigrate(RecordFile(path=tmp_path / "late.jsonl"), client, "again")).ok
    assert await everything(client.collection("again")) == await everything(docs)


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_export_takes_what_it_is_asked_for(suffix, client, tmp_path):
    docs = await filled(client, domains=("default", "other"))
    path = tmp_path / f"part{suffix}"
    seen = []
    report = await moving.aexport_to(
        docs.domain("other"), path, filter={"n": {"$lt": 10}}, embeddings=False, progress=seen.append
    )
    assert report.written == 5
    assert [(one.phase, one.done, one.total) for one in seen] == [("writing", 5, 5), ("done", 5, 5)]
    plan = await moving.aplan(RecordFile(path=path), client, "again")
    assert [(part.domain, part.count) for part in plan.parts] == [("other", 5)]
    assert plan.notes == ("there are no embeddings in the first rows",)
    assert plan.examples[0].embedding is None
    assert [record.metadata["n"] for record in plan.examples] == [1, 3, 5]
    report = await moving.amigrate(RecordFile(path=path), client, CollectionConfig(name="again", dimensions=2))
    assert report.failed == 5
    assert "no embedding" in report.parts[0].report.failed[0].reason
    empty = await moving.aexport_to(docs, tmp_path / f"none{suffix}", filter={"n": -1})
    assert empty.written == 0
    report = await moving.amigrate(
        RecordFile(path=empty.path), client, CollectionConfig(name="none", dimensions=2), options=MoveOptions()
    )
    assert (report.ok, report.parts) == (True, ())


async def test_export_that_fails_leaves_what_was_there(client, tmp_path):
    docs = await filled(client)
    path = tmp_path / "kept.jsonl"
    path.write_text("before")

    def stop(progress):
        raise KeyError("stop")

    with pytest.raises(KeyError):
        await moving.aexport_to(docs, path, progress=stop)
    assert [one.name for one in tmp_path.iterdir()] == ["kept.jsonl"]
    assert path.read_text() == "before"
    for wrong, message in (("x.txt", "ends in one of"), ("none/x.csv", "cannot be written to")):
        with pytest.raises(ConfigError, match=message):
            await moving.aexport_to(docs, tmp_path / wrong)


async def test_lines_that_are_no_records_are_set_aside(client, tmp_path):
    path = tmp_path / "bad.jsonl"
    lines = [
        '\ufeff{"id": "a", "embedding": [1, 2], "metadata": {"n": 1}}',
        "not JSON",
        "",
        "[1]",
        '{"id": "b", "embedding": [1, 2, 3]}',
        '{"id": "c", "embedding": "x"}',
        '{"id": "d", "embedding": [1, 2], "metadata": 3}',
        '{"id": "e", "embedding": [1, 2], "created_at": "yesterday"}',
        '{"id": {}, "embedding": [1, 2]}',
        '{"id": "f", "embedding": [1, 2], "content": "nul \\u0000"}',
        '{"id": 7, "vector": [3, 4], "embedding": [5, 6], "year": 2020, "metadata": {"n": 2}}',
        '{"content": "no id", "embedding": [7, 8]}',
        '{"embedding": [7, 8]}',
        '{"id": "a", "embedding": [9, 9]}',
        f'{{"id": "{"long" * 600}", "embedding": [1, 2]}}',
    ]
    path.write_text("\n".join(lines))
    plan = await moving.aplan(RecordFile(path=path), client, "docs")
    assert plan.count == 14
    assert len(plan.faults) == 2
    report = await moving.amigrate(RecordFile(path=path), client, "docs")
    reasons = {failure.position: failure.reason for failure in report.parts[0].report.failed}
    assert sorted(reasons) == [1, 2, 3, 4, 5, 6, 7, 8, 11, 13]
    for place, message in (
        (1, "not JSON"),
        (2, "object, not list"),
        (3, "3 dimensions"),
        (6, "ISO 8601"),
        (11, "id"),
        (13, "longer"),
    ):
        assert message in reasons[place]
    assert report.ok
    assert (report.verification.found, report.verification.superseded, report.verification.set_aside) == (3, 1, 10)
    (seven,) = await client.collection("docs").get(["7"], include=["embedding"])
    assert seven.metadata == {"n": 2, "year": 2020, "vector": [3, 4]}
    assert seven.embedding.tolist() == [5, 6]


async def test_reading_that_is_cancelled_ends_as_cancelled_and_lets_go_of_the_file():
    reading, going_on, closed = threading.Event(), threading.Event(), threading.Event()

    def read(_place, _skipped):
        try:
            yield 1
            reading.set()
            going_on.wait()
            yield 2
        finally:
            closed.set()

    async def take():
        return [row async for row in FileRows(read, [Piece(0, 2)]).items(0)]

    taking = asyncio.create_task(take())
    await asyncio.to_thread(reading.wait)
    taking.cancel()
    (ended,) = await asyncio.gather(taking, return_exceptions=True)
    going_on.set()
    assert isinstance(ended, asyncio.CancelledError)
    assert await asyncio.to_thread(closed.wait, 30)


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_files_of_others_are_understood_by_their_names(suffix, client, tmp_path):
    path = tmp_path / f"theirs{suffix}"
    rows = [{"key": n, "text": f"text {n}", "vector": [n + 1.0, 2.0], "year": 2000 + n, "lang": "de"} for n in range(7)]
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows([{**row, "vector": json.dumps(row["vector"])} for row in rows])
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = pa.schema(
            {"key": pa.int64(), "text": pa.string(), "vector": pa.list_(pa.float64(), 2), "year": pa.int16(), "lang": pa.string()}
        )  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows, schema=types), path, row_group_size=3)
    source = RecordFile(path=path, fields={"id": "key", "domain_id": "lang"})
    plan = await moving.aplan(source, client, "docs")
    ours = {one.theirs: one.ours for one in plan.fields}
    assert ours == {"key": "id", "text": "content", "vector": "embedding", "year": "metadata.year", "lang": "domain_id"}
    report = await moving.amigrate(source, client, "docs")
    assert report.ok
    (six,) = await client.collection("docs", domain="de").get(["6"], include=["embedding"])
    assert (six.content, six.embedding.tolist()) == ("text 6", [7, 2])
    assert six.metadata == {"year": "2006" if suffix == ".csv" else 2006}
    for fields, message in (({"id": "nothing"}, "the file has no field"), ({"key": "id"}, "a record has no field")):
        with pytest.raises(ConfigError, match=message):
            await moving.aplan(RecordFile(path=path, fields=fields), client, "docs")


async def test_domains_that_alternate_are_each_read_from_their_places(client, tmp_path):
    path = tmp_path / "mixed.csv"
    lines = ["id,domain_id,embedding", *(f'{n},{"xyz"[n % 3]},"[{n},1]"' for n in range(30)), "30,x", '31,,"[1,1]"']
    path.write_text("\r\n".join(lines))
    report = await moving.amigrate(RecordFile(path=path), client, "docs")
    assert (await client.collection("docs").all_domains().stats()).domains == {"default": 1, "x": 10, "y": 10, "z": 10}
    assert [failure.reason for part in report.parts for failure in part.report.failed] == [
        "the line has 2 cells, and the first line names 3 columns"
    ]
    assert report.ok


def write(path, content):
    path.write_text(content)
    return path


async def test_file_that_cannot_be_read_is_named(client, tmp_path, monkeypatch):
    for name, content in {"x.txt": "", "dup.csv": "a,a\n", "empty.csv": ""}.items():
        write(tmp_path / name, content)
    cases = {"x.txt": "ends in one of", "none.csv": "No such file", "dup.csv": "each once", "empty.csv": "each once"}
    write(tmp_path / "no.parquet", "text")
    if moving.can_read(".parquet"):
        cases["no.parquet"] = "is not a Parquet file"
    for name, message in cases.items():
        with pytest.raises(ConfigError, match=message):
            await moving.aplan(RecordFile(path=tmp_path / name), client, "docs")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert not moving.can_read(".parquet")
    with pytest.raises(ConfigError, match=r"pip install 'pgrecall\[parquet\]'"):
        await moving.aplan(RecordFile(path=tmp_path / "no.parquet"), client, "docs")
    docs = await filled(client)
    with pytest.raises(ConfigError, match="pyarrow"):
        await moving.aexport_to(docs, tmp_path / "x.parquet")
    assert not list(tmp_path.glob("*.part"))


def test_blocking_callers_write_and_read_files(blocking_client, tmp_path):
    docs = blocking_client.create_collection("given", dimensions=2)
    docs.upsert([Record(id="a", embedding=[1, 2], content="text")])
    assert moving.export_to(docs, tmp_path / "a.jsonl").written == 1
    report = moving.migrate(
        RecordFile(path=tmp_path / "a.jsonl"), blocking_client, CollectionConfig(name="l2", distance=Distance.L2)
    )
    assert report.ok
    assert blocking_client.collection("l2").stats().distance is Distance.L2
