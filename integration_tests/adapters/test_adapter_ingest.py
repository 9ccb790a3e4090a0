"""Whole sources through both frameworks' stores: embedded ahead, gone on with, and nothing embedded twice."""

import asyncio
import threading

import asyncpg
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from llama_index.core import Document as LlamaDocument
from llama_index.core import VectorStoreIndex
from llama_index.core.bridge.pydantic import Field
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import MetadataMode, TextNode

from pgrecall import EmbeddingRetry, IngestOptions
from pgrecall.errors import ConfigError
from pgrecall.langchain import PGRecallVectorStore
from pgrecall.llama_index import PGRecallVectorStore as LlamaStore

SMALL = IngestOptions(embed_batch=5, embed_calls=3, write_batch=10, retry=EmbeddingRetry(attempts=3, first_delay=0.01))


def vector(text):
    return [float(len(text)), float(sum(map(ord, text)) % 97), 1.0]


class Model(Embeddings):
    """Embeds in the caller's thread; fails once with what passes."""

    def __init__(self):
        self.asked, self.fail, self.working, self.most = [], 0, 0, 0
        self._lock = threading.Lock()

    def embed_documents(self, texts):
        with self._lock:
            self.working += 1
            self.most = max(self.most, self.working)
        try:
            if self.fail:
                self.fail -= 1
                raise ConnectionError("not now")
            self.asked += texts
            return [vector(text) for text in texts]
        finally:
            self.working -= 1

    def embed_query(self, text):
        return vector(text)


class Awaited(Model):
    """Answers once as many calls as are *wanted* have been made at a time."""

    wanted = 3

    async def aembed_documents(self, texts):
        self.working += 1
        self.most = max(self.most, self.working)
        for _ in range(500):
            if self.most >= self.wanted:
                break
            await asyncio.sleep(0.01)
        self.working -= 1
        self.asked += texts
        return [vector(text) for text in texts]


def documents(count):
    return [
        Document(id=f"d{n:03}", page_content=f"page {n}", metadata={"source": f"book {n // 10}", "chunk_index": n % 10})
        for n in range(count)
    ]


def test_langchains_ingest_goes_on_where_it_was_killed_and_embeds_nothing_twice(url):
    model = Model()
    with PGRecallVectorStore(model, "books", url=url) as store:

        def stop(progress):
            if progress["processed"] >= 20:
                raise LookupError("killed")

        model.fail = 2
        with pytest.raises(LookupError, match="killed"):
            store.ingest(iter(documents(40)), run="nightly", options=SMALL, on_progress=stop)
        there = store.collection.count()
        assert there >= 20
        report = store.ingest(iter(documents(40)), run="nightly", options=SMALL)
        assert (report.resumed_at, report.read, report.failed) == (there, 40 - there, ())
        model.asked.clear()
        changed = [*documents(40), Document(id="d003", page_content="new", metadata={}), Document(page_content=" ")]
        report = store.ingest(changed, options=SMALL)
        assert model.asked == ["new"]
        assert [failure.position for failure in report.failed] == [41]
        record = store.collection.get(["d015"])[0]
        assert (record.document_id, record.chunk_index) == ("book 1", 5)
        assert store.ingest(documents(40)[4:], options=SMALL, domain="elsewhere").written == 36


async def test_langchains_aingest_and_adding_a_stream_have_several_calls_made_at_a_time(url):
    async with PGRecallVectorStore(Awaited(), "books", url=url) as store:
        report = await store.aingest(documents(40), options=SMALL)
        assert (report.written, store._embedding.most) == (40, 3)
        store._embedding.wanted = 4
        ids = await store.aadd_documents((one for one in documents(60)), batch_size=5)
        assert ids == [f"d{n:03}" for n in range(60)]
        assert store._embedding.most == 4
    model = Model()
    async with PGRecallVectorStore(model, "books", url=url) as store:
        await store.aadd_documents((one for one in documents(30)), batch_size=5)
        assert model.most == 1
        assert model.asked == [f"page {n}" for n in range(30)]


def test_langchains_stream_is_written_while_the_next_batch_is_embedded(url):
    with asyncio.Runner() as runner, PGRecallVectorStore(Model(), "books", url=url) as store:
        store.add_texts(["first"])
        holder = runner.run(asyncpg.connect(url))
        runner.run(holder.execute("BEGIN"))
        runner.run(holder.execute("LOCK TABLE books IN EXCLUSIVE MODE"))

        def stream():
            for position, document in enumerate(documents(9)):
                if position == 8:
                    # The first batch waits for the lock, while the second is gathered.
                    runner.run(holder.execute("ROLLBACK"))
                yield document

        assert len(store.add_documents(stream(), batch_size=5)) == 9
        runner.run(holder.close())

        def broken():
            yield from documents(10)
            raise LookupError("the source")

        with pytest.raises(LookupError, match="the source"):
            store.add_documents(broken(), batch_size=4, domain="broken")
        assert store.collection.domain("broken").count() == 8


class LlamaModel(BaseEmbedding):
    asked: list[str] = Field(default_factory=list)

    def _get_text_embedding(self, text):
        self.asked.append(text)
        return vector(text)

    async def _aget_text_embedding(self, text):
        return self._get_text_embedding(text)

    def _get_query_embedding(self, query):
        return vector(query)

    async def _aget_query_embedding(self, query):
        return vector(query)


def nodes(count=3):
    splitter = SentenceSplitter(
        chunk_size=40, chunk_overlap=0, id_func=lambda index, document: f"{document.id_}/{index}"
    )
    texts = [" ".join(f"Sentence {n} of document {d}." for n in range(12)) for d in range(count)]
    given = [LlamaDocument(id_=f"doc{d}", text=text, metadata={"title": f"T{d}"}) for d, text in enumerate(texts)]
    return splitter.get_nodes_from_documents(given)


async def test_llama_indexs_ingest_embeds_what_an_index_embeds_and_counts_chunks(url):
    made, model = nodes(), LlamaModel()
    async with LlamaStore("nodes", url=url) as store:
        own = TextNode(id_="own", text="brings its own", embedding=[1.0, 2.0, 3.0])
        report = await store.aingest((one for one in [*made, own]), embed_model=model, options=SMALL)
        assert (report.written, report.failed) == (len(made) + 1, ())
        assert sorted(model.asked) == sorted(node.get_content(MetadataMode.EMBED) for node in made)
        assert "title: T0" in min(model.asked)
        found = await store.aget_nodes([node.node_id for node in made])
        bare = {"embedding"}
        assert [one.model_dump(exclude=bare) for one in found] == [one.model_dump(exclude=bare) for one in made]
        records = await store.aclient.get([node.node_id for node in made], include=["embedding"])
        assert [list(record.embedding) for record in records] == [
            vector(node.get_content(MetadataMode.EMBED)) for node in made
        ]
        chunks = {record.id: record.chunk_index for record in records}
        assert chunks == {node.node_id: int(node.node_id.split("/")[1]) for node in made}
        model.asked.clear()
        again = await store.aingest(made, embed_model=model, options=SMALL)
        assert (again.unchanged, model.asked) == (len(made), [])
        # And an index adds just that.
        index = VectorStoreIndex.from_vector_store(store, embed_model=model)
        index.insert_nodes(nodes())
        again = await store.aclient.get([node.node_id for node in made], include=["embedding"])
        assert [list(one.embedding) for one in again] == [list(one.embedding) for one in records]


def test_llama_indexs_ingest_sets_aside_what_has_no_embedding(url):
    with LlamaStore("nodes", url=url) as store:
        report = store.ingest(nodes(1), options=SMALL)
        assert report.written == 0
        assert "embed=" in report.failed[0].reason
        assert store.ingest(["a text"], embed_model=LlamaModel(), options=SMALL).written == 1


def test_ingest_leaves_out_what_is_optional_where_a_table_has_no_column_for_it(url, database):
    database.execute(
        "CREATE TABLE small (domain_id text, id text, content text, metadata jsonb, embedding vector(3), "
        "PRIMARY KEY (domain_id, id))"
    )
    model = Model()
    with PGRecallVectorStore(model, "small", url=url) as store:
        assert store.ingest(documents(3), options=SMALL).written == 3
        assert store.ingest(documents(3), options=SMALL).unchanged == 3
        assert len(model.asked) == 3
        assert [document.metadata for document in store.get_by_ids(["d001"])] == [documents(2)[1].metadata]
    with pytest.raises(ConfigError, match="optional"):
        IngestOptions(optional=frozenset({"content"}))
    with pytest.raises(ConfigError, match="text"):
        IngestOptions(text="content")
