"""A collection embedded with a second model while everybody carries on, and nobody's answers mix."""

import asyncio
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from pgrecall import HNSW, AsyncClient, Client, CollectionConfig, Record, ReembedOptions, SearchOptions, TextSearch
from pgrecall.errors import ConfigError, DimensionMismatch, ModelNotFound, ModelNotReady, PermissionDenied, SchemaError

QUICK = ReembedOptions(sample=0, load=1.0, embed_batch=16, embed_calls=2)


def angle(text):
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big") / 2**32 * 6.28


def old(texts):
    """Both models have four dimensions and nothing in common: a mixed comparison scores 0."""
    return np.array([[np.cos(angle(text)), np.sin(angle(text)), 0, 0] for text in texts])


def new(texts):
    return np.array([[0, 0, np.cos(angle(text[::-1])), np.sin(angle(text[::-1]))] for text in texts])


@pytest.fixture
async def client(url):
    async with AsyncClient(url) as client:
        yield client


async def filled(client, count=200, **config):
    docs = client.collection(CollectionConfig(name="docs", **config))
    await docs.ingest([Record(id=f"{n:04}", content=f"text {n}") for n in range(count)], embed=old)
    return docs


async def one_embedding(docs, row_id):
    record = (await docs.get([row_id], include=["embedding"]))[0]
    return None if record is None or record.embedding is None else record.embedding


async def embedded(docs, row_id):
    for _ in range(2_000):
        if await one_embedding(docs, row_id) is not None:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{row_id} was not embedded")


async def test_reembed_makes_searches_by_the_new_model_and_leaves_those_by_the_old_one(client):
    docs = await filled(client)
    await docs.domain("other").upsert([Record(id="0001", content="elsewhere", embedding=old(["elsewhere"])[0])])
    await docs.create_index(HNSW())
    phases = []
    options = ReembedOptions(embed_batch=16, sample=20, k=5)
    report = await docs.reembed(new, model="new", options=options, on_progress=lambda p: phases.append(p.phase))
    assert (report.embedded, report.missing, report.dimensions, report.failed) == (201, 0, 4, ())
    assert report.comparison.after.recall > 0.95
    assert 0 <= report.comparison.agreement < 0.9
    assert list(dict.fromkeys(phases)) == ["embedding", "indexing", "catching up", "comparing", "done"]
    fresh = docs.model("new")
    assert (await fresh.search(new(["text 17"])[0], 1))[0].content == "text 17"
    assert (await docs.search(old(["text 17"])[0], 1))[0].content == "text 17"
    assert (await fresh.domain("other").search(new(["elsewhere"])[0], 5))[0].content == "elsewhere"
    assert [index.method for index in (await fresh.stats()).indexes] == ["hnsw"]
    assert (await fresh.recall(5, sample=20)).recall > 0.95


async def test_switch_is_what_current_follows_and_is_taken_back_at_once(client):
    docs = await filled(client, 50)
    with pytest.raises(ModelNotFound, match="reembed"):
        await docs.model("new").count()
    await docs.reembed(new, model="new", options=QUICK)
    assert (await docs.current()).config.model is None
    assert await docs.switch_model("new") == "original"
    assert (await docs.current()).config.model == "new"
    assert [(m.name, m.ready, m.current) for m in await docs.models()] == [
        ("original", True, False),
        ("new", True, True),
    ]
    with pytest.raises(ConfigError, match="current"):
        await docs.drop_model("new")
    assert await docs.model("new").switch_model("original") == "new"
    assert (await docs.current()).config.model is None
    await docs.drop_model("new")
    with pytest.raises(ModelNotFound):
        await docs.model("new").search(new(["a"])[0])
    assert [model.name for model in await docs.models()] == ["original"]
    with pytest.raises(ConfigError):
        docs.model("")


async def test_dropping_the_first_model_leaves_no_answers_to_who_names_none(client, url, database):
    docs = await filled(client, 60, fields={"year": int})
    async with AsyncClient(url) as elsewhere:
        other = elsewhere.collection("docs")
        assert len(await other.search(old(["a"])[0], 3)) == 3
        await docs.reembed(new, model="new", options=QUICK)
        await docs.switch_model("new")
        await docs.drop_model("original")
        # This one still believes that the column is there.
        with pytest.raises(SchemaError):
            await other.search(old(["a"])[0], 3)
        with pytest.raises(ModelNotFound, match="say which model"):
            await other.search(old(["a"])[0], 3)
    fresh = client.collection(CollectionConfig(name="docs", model="new"))
    await fresh.upsert([Record(id="x", content="x", embedding=new(["x"])[0], metadata={"year": 3})])
    assert [match.id for match in await fresh.search(new(["x"])[0], 5, filter={"year": 3})] == ["x"]
    assert database.ask("SELECT count(*) FROM pg_proc WHERE proname LIKE 'pgrecall_age%'") == 0
    # And on to a third one.
    await fresh.reembed(old, model="third", options=QUICK)
    assert len(await fresh.model("third").search(old(["x"])[0], 5)) == 5


async def test_what_has_become_stale_is_emptied_and_embedded_again(client):
    docs = await filled(client, 20)
    await docs.reembed(new, model="new", options=QUICK)
    fresh = docs.model("new")
    # A writer of the old model; content or embedding changes, or neither.
    await docs.upsert([Record(id="0001", content="changed", embedding=old(["changed"])[0])])
    await docs.update(["0002"], contents=["only content"])
    await docs.update(["0003"], embeddings=old(["in another way"]))
    await docs.update(["0004"], metadatas={"seen": True})
    for row_id, there in [("0001", False), ("0002", False), ("0003", False), ("0004", True)]:
        assert (await one_embedding(fresh, row_id) is not None) == there
    # A writer of the new model; a record of the old one without change of content stays.
    await fresh.upsert([Record(id="0005", content="newly", embedding=new(["newly"])[0])])
    await fresh.update(["0006"], embeddings=new(["in another way"]))
    await fresh.upsert([Record(id="added", content="added", embedding=new(["added"])[0])])
    for row_id, there in [("0005", False), ("0006", True), ("added", False), ("0001", True), ("0002", True)]:
        assert (await one_embedding(docs, row_id) is not None) == there
    assert "added" not in {match.id for match in await docs.search(old(["added"])[0], 100)}
    with pytest.raises(ModelNotReady, match="3 records"):
        await docs.switch_model("new")
    assert await docs.keep_models({"original": old, "new": new}, seconds=0) == 5
    assert await docs.switch_model("new") == "original"
    assert np.allclose(await one_embedding(fresh, "0001"), new(["changed"])[0])
    assert np.allclose(await one_embedding(docs, "added"), old(["added"])[0])
    assert (await docs.search(old(["newly"])[0], 1))[0].id == "0005"


async def test_reembed_of_a_killed_call_embeds_only_the_rest(client):
    docs, done = await filled(client), []

    def stop(progress):
        done.append(progress.done)
        if progress.done >= 96:
            raise LookupError("killed")

    with pytest.raises(LookupError, match="killed"):
        await docs.reembed(new, model="new", options=QUICK, on_progress=stop)
    with pytest.raises(ModelNotReady, match="still being made"):
        await docs.model("new").search(new(["a"])[0])
    with pytest.raises(ModelNotReady):
        await docs.switch_model("new")
    report = await docs.reembed(new, model="new", options=QUICK)
    assert (report.embedded, report.missing) == (200 - done[-1], 0)
    assert (await docs.reembed(new, model="new", options=QUICK)).embedded == 0


async def test_reembed_reports_what_the_model_refuses_and_stops_where_it_is_wrong(client, database):
    docs = await filled(client, 40)
    await docs.upsert(
        [Record(id="empty", content=" ", embedding=[1.0, 0, 0, 0]), Record(id="none", embedding=[1.0, 0, 0, 0])]
    )

    def picky(texts):
        if "text 7" in texts:
            raise ValueError("not this one")
        return new(texts)

    report = await docs.reembed(picky, model="new", options=QUICK)
    assert (report.embedded, report.missing) == (39, 2)
    assert {failure.id: failure.reason for failure in report.failed} == {
        "0007": "not this one",
        "empty": "has no content to embed",
    }
    # It is refused once, and asked for again when it has changed.
    await docs.upsert([Record(id="more", content="more", embedding=old(["more"])[0])])
    keeping = asyncio.create_task(docs.keep_models({"new": picky}, seconds=60, every=0.05))
    await embedded(docs.model("new"), "more")
    await docs.update(["0007"], contents=["another text"])
    await embedded(docs.model("new"), "0007")
    keeping.cancel()
    with pytest.raises(DimensionMismatch, match="returns 3"):
        await docs.reembed(lambda texts: [[1.0, 2.0, 3.0] for _ in texts], model="wide", dimensions=6, options=QUICK)
    with pytest.raises(ConfigError, match="original"):
        await docs.reembed(new, model="original")
    role = database.role("GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO {role}")
    async with AsyncClient(role) as guest:
        with pytest.raises(PermissionDenied, match="owner"):
            await guest.collection("docs").switch_model("new", max_missing=None)
        with pytest.raises(PermissionDenied):
            await guest.collection("docs").reembed(new, model="another", options=QUICK)


async def test_readers_and_writers_of_both_models_carry_on_through_all_of_it(client, url):
    docs = await filled(client, 600)
    await docs.create_index(HNSW())
    ended, errors, searches, written = asyncio.Event(), [], 0, {}

    async def read(model, embed):
        nonlocal searches
        async with AsyncClient(url) as mine:
            handle = mine.collection(CollectionConfig(name="docs", model=model))
            number = 0
            while not ended.is_set():
                number += 7
                query = embed([f"text {number % 600}"])[0]
                try:
                    found = await handle.search(query, 5, options=SearchOptions(exact=number % 2 == 0))
                    assert len(found) == 5
                    for match in found:
                        # What this model says of what is there now: the score of no other embedding.
                        expected = float(np.dot(query, embed([match.content])[0]))
                        assert match.score == pytest.approx(expected, abs=1e-4)
                    searches += 1
                except Exception as error:  # noqa: BLE001
                    errors.append(error)
                    return

    async def write(name, model, embed):
        async with AsyncClient(url) as mine:
            handle = mine.collection(CollectionConfig(name="docs", model=model))
            number = 0
            while not ended.is_set():
                number += 1
                row_id = f"{name} {number}" if number % 2 else f"{(number * 13 + len(name)) % 600:04}"
                content = f"{name} wrote {number}"
                try:
                    await handle.upsert([Record(id=row_id, content=content, embedding=embed([content])[0])])
                    if number % 2:
                        written[row_id] = content
                except Exception as error:  # noqa: BLE001
                    errors.append(error)
                    return
                await asyncio.sleep(0.005)

    async def everything():
        await docs.reembed(new, model="new", options=ReembedOptions(sample=0, embed_batch=16, embed_calls=2))
        late = [asyncio.create_task(read("new", new)), asyncio.create_task(write("late", "new", new))]
        keeping = asyncio.create_task(docs.keep_models({"original": old, "new": new}, every=0.05))
        await asyncio.sleep(0.4)
        for name in ("new", "original", "new"):
            await docs.switch_model(name, max_missing=None)
            await asyncio.sleep(0.2)
        ended.set()
        keeping.cancel()
        await asyncio.gather(*late)

    tasks = [read(None, old) for _ in range(4)] + [write(f"w{n}", None, old) for n in range(3)]
    await asyncio.gather(*tasks, everything())
    assert errors == []
    assert searches > 100
    await docs.keep_models({"original": old, "new": new}, seconds=0)
    for embed, handle in ((old, docs), (new, docs.model("new"))):
        ids = list(written)
        records = await handle.get(ids, include=["embedding"])
        assert [record.content for record in records] == list(written.values())
        assert np.allclose([record.embedding for record in records], embed(list(written.values())), atol=1e-6)


async def test_two_can_reembed_with_one_model_at_the_same_time(client, url):
    docs = await filled(client, 50)
    await docs.create_index(HNSW())
    asked = asyncio.Event()

    async def slow(texts):
        # Both have seen that there is no column before either adds it.
        if texts == ["dimensions"] and not asked.is_set():
            asked.set()
            await asyncio.sleep(0.2)
        return new(texts)

    async with AsyncClient(url) as other:
        others = await other.get_collection("docs")
        reports = await asyncio.gather(*(one.reembed(slow, model="new", options=QUICK) for one in (docs, others)))
    assert sum(report.embedded for report in reports) >= 50
    assert (await docs.model("new").search(new(["text 17"])[0], 1))[0].content == "text 17"
    assert len((await docs.model("new").stats()).indexes) == 1


async def test_copied_domain_has_the_embeddings_of_all_models(client):
    docs = await filled(client, 10)
    await docs.reembed(new, model="new", options=QUICK)
    assert await docs.model("new").copy_domain("copy") == 10
    assert await docs.domain("copy").copy_domain("again") == 10
    for domain in ("copy", "again"):
        for embed, handle in ((old, docs), (new, docs.model("new"))):
            assert np.allclose(await one_embedding(handle.domain(domain), "0003"), embed(["text 3"])[0], atol=1e-6)
    assert await docs.keep_models({"new": new}, seconds=0) == 0


async def test_words_are_added_through_the_first_model_whose_codes_the_trigger_keeps(client, database):
    docs = await filled(client, 20, fields={"year": int})
    await docs.reembed(new, model="new", options=QUICK)
    fresh = docs.model("new")
    codes = database.ask("SELECT string_agg(embedding_code::text, ',' ORDER BY id) FROM docs")
    with pytest.raises(ConfigError, match=r"model\('original'\)"):
        await fresh.add_text_search(TextSearch())
    await docs.add_text_search(TextSearch())
    assert database.ask("SELECT string_agg(embedding_code::text, ',' ORDER BY id) FROM docs") == codes
    assert len(await fresh.search_keyword("text", 5)) == 5
    # With the first embeddings their codes are gone.
    await docs.switch_model("new")
    await docs.drop_model("original")
    assert (await fresh.add_text_search(TextSearch())).indexed


async def test_reembed_ends_though_others_write_as_fast_as_it_embeds(client):
    docs, written = await filled(client, 40), 0

    async def outrun(texts):
        nonlocal written
        for _ in texts:
            written += 1
            content = f"outran {written}"
            # Behind all others in the order of the key, so that one pass over the keys would never end.
            await docs.upsert([Record(id=f"z{written:06}", content=content, embedding=old([content])[0])])
        return new(texts)

    report = await docs.reembed(outrun, model="new", dimensions=4, options=replace(QUICK, load=0.5))
    assert report.embedded == written
    assert report.missing == await docs.count() - written == 40
    assert (await docs.reembed(new, model="new", options=QUICK)).embedded == 40
    assert await docs.switch_model("new") == "original"


def test_blocking_collection_reembeds(url):
    with Client(url) as client:
        docs = client.collection("docs")
        docs.ingest(["a", "b"], embed=old)
        assert docs.reembed(new, model="new", options=QUICK).embedded == 2
        assert docs.model("new").search(new(["a"])[0], 1)[0].content == "a"
        assert docs.switch_model("new") == "original"
        assert docs.current().config.model == "new"
        assert docs.keep_models({"new": new}, seconds=0) == 0
        assert docs.switch_model("original") == "new"
        docs.drop_model("new")
        assert [model.name for model in docs.models()] == ["original"]
