"""Whole documents: replaced in one transaction, and listed."""

import asyncio

import numpy as np
import pytest

from pgrecall import AsyncClient, CollectionConfig, Columns, Record, RecordBatch, SourceDocument
from pgrecall.errors import ConfigError, DimensionMismatch, FilterError, RecordError, SchemaError

pytestmark = pytest.mark.core


def chunk(row_id, document=None, content="text", **more):
    return Record(id=row_id, embedding=[1, 0, 0], content=content, document_id=document, **more)


def chunks(document, version, count):
    return [chunk(f"{document}-{version}-{n}", document, f"{version} {n}") for n in range(count)]


async def ids(docs, **more):
    return [record.id for record in (await docs.list(limit=10_000, **more)).records]


@pytest.fixture
async def full(docs):
    await docs.upsert([*chunks("a", "old", 3), *chunks("b", "old", 2), chunk("free")])
    return docs


async def test_replace_documents_leaves_only_the_new_chunks_of_theirs(full):
    result = await full.replace_documents([*chunks("a", "new", 1), chunk("a-old-1", "a", "old 1"), chunk("c-0", "c")])
    assert (result.inserted, result.updated, result.unchanged, result.deleted) == (2, 0, 1, 2)
    assert result.ids == ["a-new-0", "a-old-1", "c-0"]
    assert await ids(full) == ["a-new-0", "a-old-1", "b-old-0", "b-old-1", "c-0", "free"]


async def test_replace_documents_keeps_the_time_of_creation_of_ids_that_stay(full):
    before = (await full.get(["a-old-0"]))[0].created_at
    result = await full.replace_documents([chunk("a-old-0", "a", "changed")])
    assert (result.updated, result.deleted) == (1, 2)
    (found,) = await full.get(["a-old-0"])
    assert (found.content, found.created_at) == ("changed", before)


async def test_replace_documents_deletes_documents_that_are_only_named(full):
    result = await full.replace_documents(chunks("c", "new", 1), document_ids=["a", "nope"])
    assert (result.inserted, result.deleted) == (1, 3)
    assert (await full.replace_documents([], document_ids=["b"])).deleted == 2
    assert await ids(full) == ["c-new-0", "free"]
    assert (await full.replace_documents([])).ids == []


async def test_replace_documents_upserts_records_of_no_document(full):
    result = await full.replace_documents([chunk("free", content="changed"), chunk("more")])
    assert (result.inserted, result.updated, result.deleted) == (1, 1, 0)


async def test_replace_documents_moves_an_id_from_one_document_to_another(full):
    await full.replace_documents([chunk("b-old-0", "a")])
    assert await ids(full) == ["b-old-0", "b-old-1", "free"]
    assert (await full.get(["b-old-0"]))[0].document_id == "a"


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (Record(id="x", embedding=[1, 0], document_id="a"), DimensionMismatch),
        (Record(id="x", embedding=[1, 0, 0], content="\x00", document_id="a"), RecordError),
    ],
)
async def test_replace_documents_is_all_or_nothing(full, bad, error):
    with pytest.raises(error):
        await full.replace_documents([*chunks("a", "new", 2), bad])
    assert len(await ids(full)) == 6


async def test_replace_documents_keeps_what_was_there_where_the_server_refuses(full, connection):
    await connection.execute("ALTER TABLE docs ADD CHECK (content <> 'refused')")
    with pytest.raises(Exception, match="check constraint"):
        await full.replace_documents([chunk("x", "a", "refused")])
    assert len(await ids(full)) == 6


async def test_replace_documents_makes_the_table(client):
    docs = client.collection("fresh")
    result = await docs.replace_documents(RecordBatch(embeddings=np.eye(4, dtype="f4"), document_ids=["a"] * 4))
    assert (result.inserted, len(set(result.ids))) == (4, 4)


async def test_replace_documents_of_one_domain_leaves_the_others_alone(full):
    other = full.domain("other")
    await other.upsert(chunks("a", "old", 3))
    await other.replace_documents(chunks("a", "new", 1))
    assert await ids(other) == ["a-new-0"]
    assert await full.count({"$document_id": "a"}) == 3
    with pytest.raises(ConfigError, match="one domain"):
        await full.all_domains().replace_documents([chunk("x", "a", domain_id="other")])


async def test_replace_documents_of_many_chunks_at_once(docs):
    await docs.replace_documents(chunks("big", "one", 2_500))
    result = await docs.replace_documents(chunks("big", "two", 2_400))
    assert (result.inserted, result.deleted, await docs.count()) == (2_400, 2_500, 2_400)


async def test_concurrent_replacements_leave_the_chunks_of_one_of_them(url, full):
    async with AsyncClient(url) as other:
        handles = [full, other.collection("docs")]
        for turn in range(10):
            replacing = [
                handle.replace_documents([*chunks("a", f"{turn}-{n}", 3), *chunks("b", f"{turn}-{n}", 2)])
                for n, handle in enumerate([*handles, *handles])
            ]
            await asyncio.gather(*replacing)
            found = await ids(full)
            versions = {row_id.rsplit("-", 1)[0].split("-", 1)[1] for row_id in found if row_id != "free"}
            assert (len(found), len(versions)) == (6, 1)


async def test_readers_see_a_document_before_or_after_and_nothing_between(full):
    seen = set()

    async def read(stop):
        while not stop.is_set():
            found = await ids(full, filter={"$document_id": "a"})
            seen.add((len(found), len({row_id.split("-")[1] for row_id in found})))

    stop = asyncio.Event()
    readers = [asyncio.create_task(read(stop)) for _ in range(2)]
    for turn in range(20):
        await full.replace_documents(chunks("a", f"v{turn}", 3))
    stop.set()
    await asyncio.gather(*readers)
    assert seen == {(3, 1)}


async def test_replacement_in_a_transaction_of_the_callers_goes_with_it(full, connection):
    transaction = connection.transaction()
    await transaction.start()
    await full.using(connection).replace_documents(chunks("a", "new", 1))
    await transaction.rollback()
    assert len(await ids(full)) == 6


async def test_list_documents_counts_chunks_in_order(full):
    page = await full.list_documents()
    assert page.documents == [SourceDocument("a", 3), SourceDocument("b", 2)]
    assert page.next is None
    assert (await full.list_documents(filter={"$id": {"$in": ["a-old-1", "free"]}})).documents == [
        SourceDocument("a", 1)
    ]


async def test_list_documents_pages_by_id_and_prefix(docs):
    await docs.upsert([chunk(f"{n}-{part}", f"d{n:03}") for n in range(25) for part in range(2)])
    found, after = [], None
    while True:
        page = await docs.list_documents(limit=10, after=after)
        found += [document.id for document in page.documents]
        after = page.next
        if after is None:
            break
    assert found == [f"d{n:03}" for n in range(25)]
    assert [d.id for d in (await docs.list_documents(prefix="d02")).documents] == [f"d02{n}" for n in range(5)]


async def test_list_documents_is_of_one_domain_and_empty_before_the_first_write(client, full):
    assert (await client.collection("nothing").list_documents()).documents == []
    assert (await full.domain("other").list_documents()).documents == []
    with pytest.raises(ConfigError, match="one domain"):
        await full.all_domains().list_documents()


async def test_wrong_arguments_are_named(full):
    with pytest.raises(ConfigError, match="limit"):
        await full.list_documents(limit=0)
    with pytest.raises(ConfigError, match="after"):
        await full.list_documents(after=3)
    with pytest.raises(FilterError):
        await full.list_documents(filter={"$nope": 1})
    with pytest.raises(ConfigError, match="one string"):
        await full.replace_documents([], document_ids="abc")
    with pytest.raises(ConfigError, match="document_ids"):
        await full.replace_documents([], document_ids=[3])
    with pytest.raises(ConfigError, match="one domain"):
        await full.all_domains().replace_documents([], document_ids=["a"])
    assert await full.count() == 6


async def test_table_without_documents_says_so(client, connection):
    await connection.execute("CREATE TABLE plain (id text PRIMARY KEY, embedding vector(3))")
    docs = client.collection(CollectionConfig(name="plain", setup="validate"))
    for call in (docs.list_documents(), docs.replace_documents([Record(id="a", embedding=[1, 0, 0])])):
        with pytest.raises(SchemaError, match="document_id"):
            await call


async def test_the_column_of_the_document_can_be_called_as_what_is_counted(client, connection):
    await connection.execute(
        'CREATE TABLE theirs (id text PRIMARY KEY, content text, embedding vector(3), "count" text)'
    )
    docs = await client.get_collection(CollectionConfig(name="theirs", columns=Columns(document_id="count")))
    await docs.upsert([chunk("1", "b"), chunk("2", "a"), chunk("3", "b")])
    assert [(one.id, one.chunks) for one in (await docs.list_documents()).documents] == [("a", 1), ("b", 2)]


async def test_listing_documents_reads_the_index_of_the_documents(full, connection):
    await full.upsert([chunk(f"many-{n}", f"m{n // 3:05}") for n in range(6_000)])
    await connection.execute("VACUUM ANALYZE docs")
    lines = await connection.fetch(
        "EXPLAIN SELECT document_id, count(*) FROM docs WHERE domain_id = 'default' AND document_id IS NOT NULL "
        "AND document_id > 'm00100' GROUP BY document_id ORDER BY document_id LIMIT 101"
    )
    plan = "\n".join(line[0] for line in lines)
    assert "docs_domain_id_document_id_idx" in plan


def test_blocking_twins_do_the_same(blocking_client):
    docs = blocking_client.collection("docs")
    docs.upsert(chunks("a", "old", 3))
    assert docs.replace_documents(chunks("a", "new", 2)).deleted == 3
    assert docs.list_documents().documents == [SourceDocument("a", 2)]
