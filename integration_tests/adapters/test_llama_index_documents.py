"""Whole documents: replaced, listed, ingested by pipelines that are killed, and kept by indexes."""

import time

import pytest
from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.memory import VectorMemoryBlock
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

from pgrecall import SourceDocument
from pgrecall.errors import ConfigError, RecordError
from pgrecall.llama_index import PGRecallIngestionStore, PGRecallVectorStore


def node(node_id, document=None, text="text", embedding=(1.0, 2.0)):
    made = TextNode(id_=node_id, text=text, embedding=None if embedding is None else list(embedding))
    if document is not None:
        made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document)
    return made


def nodes(document, version, count):
    return [node(f"{document}-{version}-{n}", document, version) for n in range(count)]


def ids(store):
    return [found.node_id for found in store.get_nodes()]


@pytest.fixture
async def store(url):
    async with PGRecallVectorStore(url=url) as store:
        store.add([*nodes("a", "old", 3), *nodes("b", "old", 2), node("free")])
        yield store


# -- replacing and listing --------------------------------------------------------------------------


def test_replaced_documents_have_only_the_new_nodes(store):
    result = store.replace_ref_docs(nodes("a", "new", 1), ref_doc_ids=["b", "nope"])
    assert (result.ids, result.inserted, result.deleted) == (["a-new-0"], 1, 5)
    assert ids(store) == ["a-new-0", "free"]


async def test_replaced_documents_have_only_the_new_nodes_asynchronously(store):
    result = await store.areplace_ref_docs([*nodes("a", "new", 1), node("more")])
    assert (result.ids, result.deleted) == (["a-new-0", "more"], 3)
    assert [found.node_id for found in await store.aget_nodes()] == ["a-new-0", "b-old-0", "b-old-1", "free", "more"]


def test_replacement_with_a_faulty_node_changes_nothing(store):
    with pytest.raises(RecordError, match="node 1"):
        store.replace_ref_docs([*nodes("a", "new", 1), node("x", "a", embedding=None)])
    assert len(ids(store)) == 6


async def test_documents_are_listed_and_nodes_counted(store):
    page = store.list_ref_docs(limit=1)
    assert page.documents == [SourceDocument("a", 3)]
    assert (await store.alist_ref_docs(after=page.next)).documents == [SourceDocument("b", 2)]
    of_b = MetadataFilters(filters=[MetadataFilter(key="ref_doc_id", value="b")])
    assert store.list_ref_docs(filters=of_b).documents == [SourceDocument("b", 2)]
    assert store.list_ref_docs(prefix="c").documents == []
    assert (store.count(), store.count(of_b), await store.acount(of_b)) == (6, 2, 2)


# -- an ingestion -----------------------------------------------------------------------------------


@pytest.fixture
def ingestion(store):
    return PGRecallIngestionStore(store.collection)


def test_ingestion_deletes_with_the_nodes_that_come_instead(store, ingestion):
    with ingestion:
        ingestion.delete("a")
        ingestion.delete("b")
        assert len(ids(store)) == 6
        assert ingestion.add(nodes("a", "new", 2)) == ["a-new-0", "a-new-1"]
        assert ids(store) == ["a-new-0", "a-new-1", "free"]


async def test_ingestion_deletes_what_is_left_at_its_end(store, ingestion):
    async with ingestion:
        await ingestion.adelete("a")
        await ingestion.async_add(nodes("c", "new", 1))
        await ingestion.adelete("b")
        assert len(ids(store)) == 4
    assert ids(store) == ["c-new-0", "free"]


def test_ingestion_that_fails_deletes_nothing(store, ingestion):
    def work():
        with ingestion:
            ingestion.delete("a")
            raise RuntimeError("the model is down")

    with pytest.raises(RuntimeError, match="model"):
        work()
    assert len(ids(store)) == 6


def test_ingestion_replaces_a_document_that_comes_in_parts_only_once(store, ingestion):
    with ingestion:
        assert ingestion.add([*nodes("a", "one", 2), node("x")]) == ["a-one-0", "a-one-1", "x"]
        assert ingestion.add([node("y"), *nodes("c", "new", 1), *nodes("a", "two", 1)]) == ["y", "c-new-0", "a-two-0"]
        assert sorted(ids(store)) == [
            "a-one-0",
            "a-one-1",
            "a-two-0",
            "b-old-0",
            "b-old-1",
            "c-new-0",
            "free",
            "x",
            "y",
        ]
        ingestion.delete("a")
        ingestion.add(nodes("a", "three", 1))
        assert [row_id for row_id in ids(store) if row_id.startswith("a")] == ["a-three-0"]


def test_ingestion_happens_within_a_with(ingestion):
    for call in (lambda: ingestion.delete("a"), lambda: ingestion.add(nodes("a", "new", 1))):
        with pytest.raises(ConfigError, match="with statement"):
            call()


# -- pipelines --------------------------------------------------------------------------------------

SENTENCES = 60


def texts(**versions):
    return [
        Document(id_=name, text=" ".join(f"{name} {version} says {n}." for n in range(SENTENCES)))
        for name, version in versions.items()
    ]


def pipeline(store, docstore, strategy):
    return IngestionPipeline(
        transformations=[SentenceSplitter(chunk_size=64, chunk_overlap=8), MockEmbedding(2)],
        vector_store=store,
        docstore=docstore,
        docstore_strategy=strategy,
        disable_cache=True,
    )


def told(store):
    """Return which version of each document is stored, after making sure that all of it is there, once."""
    found = {}
    for one in store.get_nodes():
        found.setdefault(one.ref_doc_id, []).append(one)
    for chunks in found.values():
        assert len(chunks) > 3
        assert len({chunk.text for chunk in chunks}) == len(chunks)
        assert len({chunk.text.split()[1] for chunk in chunks}) == 1
        assert {word for chunk in chunks for word in chunk.text.split()} >= {f"{n}." for n in range(SENTENCES)}
    return {name: chunks[0].text.split()[1] for name, chunks in found.items()}


@pytest.mark.parametrize("strategy", list(DocstoreStrategy))
@pytest.mark.parametrize("kind", [PGRecallVectorStore, PGRecallIngestionStore])
async def test_pipeline_leaves_each_document_once(url, kind, strategy):
    docstore = SimpleDocumentStore()
    async with PGRecallVectorStore("runs", url=url) as store:
        for documents in (texts(a="one", b="one"), texts(a="one", b="one"), texts(a="one", b="one", c="one")):
            with kind(store.collection) as target:
                pipeline(target, docstore, strategy).run(documents=documents)
            async with kind(store.collection) as target:
                await pipeline(target, docstore, strategy).arun(documents=documents)
            assert told(store) == {document.id_: "one" for document in documents}
        if strategy is not DocstoreStrategy.DUPLICATES_ONLY:
            with kind(store.collection) as target:
                pipeline(target, docstore, strategy).run(documents=texts(a="two", b="one"))
            gone = strategy is DocstoreStrategy.UPSERTS_AND_DELETE
            assert told(store) == {"a": "two", "b": "one"} | ({} if gone else {"c": "one"})


RUN = """
    import os, sys, time
    from llama_index.core import Document, MockEmbedding
    from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.storage.docstore import SimpleDocumentStore
    from pgrecall.llama_index import PGRecallIngestionStore

    url, folder, strategy, point, *versions = sys.argv[1:]
    documents = [
        Document(id_=name, text=" ".join(f"{name} {version} says {n}." for n in range(60)))
        for name, version in (pair.split("=") for pair in versions)
    ]
    saved = os.path.join(folder, "docstore.json")
    docstore = SimpleDocumentStore.from_persist_path(saved)

    def die(here):
        if here == point:
            print("here", flush=True)
            time.sleep(60)

    class Embedding(MockEmbedding):
        def __call__(self, nodes, **kwargs):
            die("embedding")
            return super().__call__(nodes, **kwargs)

    class Store(PGRecallIngestionStore):
        def add(self, nodes, **kwargs):
            done = super().add(nodes, **kwargs)
            die("added")
            return done

    with Store("killed", url=url) as store:
        IngestionPipeline(
            transformations=[SentenceSplitter(chunk_size=64, chunk_overlap=8), Embedding(2)],
            vector_store=store, docstore=docstore, docstore_strategy=DocstoreStrategy(strategy), disable_cache=True,
        ).run(documents=documents)
        die("run")
    die("closed")
"""


@pytest.mark.slow
@pytest.mark.parametrize("strategy", list(DocstoreStrategy))
@pytest.mark.parametrize("point", ["embedding", "added", "run", "closed"])
def test_pipeline_that_is_killed_loses_nothing_and_the_next_run_finishes_it(
    url, interpreter, tmp_path, strategy, point
):
    def run(**versions):
        saved = tmp_path / "docstore.json"
        docstore = SimpleDocumentStore.from_persist_path(str(saved)) if saved.exists() else SimpleDocumentStore()
        with PGRecallIngestionStore(store.collection) as target:
            pipeline(target, docstore, strategy).run(documents=texts(**versions))
        docstore.persist(str(saved))

    with PGRecallVectorStore("killed", url=url) as store:
        run(a="one", b="one")
        assert told(store) == {"a": "one", "b": "one"}
        process = interpreter(RUN, url, tmp_path, strategy.value, point, "a=two", "b=one", "c=one")
        assert process.stdout.readline() == "here\n", process.stderr.read()
        process.kill()
        process.wait()
        before, after = {"a": "one", "b": "one"}, {"a": "two", "b": "one", "c": "one"}
        assert told(store) == (before if point == "embedding" else after)
        run(a="two", b="one", c="one")
        assert told(store) == after


def test_write_that_is_killed_leaves_the_old_documents_or_the_new_ones(url, interpreter):
    process = interpreter(
        """
        import itertools, sys
        from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
        from pgrecall.llama_index import PGRecallVectorStore

        store = PGRecallVectorStore("torn", url=sys.argv[1])
        for turn in itertools.count():
            nodes = [TextNode(id_=f"{turn}-{n}", text=str(turn), embedding=[1.0, n + 1.0],
                relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="d")}) for n in range(300)]
            store.replace_ref_docs(nodes)
            print(turn, flush=True)
        """,
        url,
    )
    for _ in range(3):
        process.stdout.readline()
    time.sleep(0.03)
    process.kill()
    process.wait()
    with PGRecallVectorStore("torn", url=url) as store:
        found = store.get_nodes()
        assert (len(found), len({one.text for one in found})) == (300, 1)


# -- indexes and memory -----------------------------------------------------------------------------


def test_index_inserts_updates_refreshes_and_deletes_documents(url):
    with PGRecallVectorStore("indexed", url=url) as store:
        context = StorageContext.from_defaults(vector_store=store, docstore=SimpleDocumentStore())
        index = VectorStoreIndex.from_documents(
            texts(a="one", b="one"),
            storage_context=context,
            embed_model=MockEmbedding(2),
            transformations=[SentenceSplitter(chunk_size=64, chunk_overlap=8)],
            store_nodes_override=True,
        )
        index.insert(texts(c="one")[0])
        assert told(store) == {"a": "one", "b": "one", "c": "one"}
        index.update_ref_doc(texts(a="two")[0])
        assert index.refresh_ref_docs(texts(a="two", b="two", d="one")) == [False, True, True]
        assert told(store) == {"a": "two", "b": "two", "c": "one", "d": "one"}
        index.delete_ref_doc("c", delete_from_docstore=True)
        assert told(store) == {"a": "two", "b": "two", "d": "one"}


def test_index_over_an_ingestion_replaces_whole_documents_in_batches(url):
    with PGRecallVectorStore("batched", url=url) as store:
        for version in ("one", "two"):
            with PGRecallIngestionStore(store.collection) as target:
                index = VectorStoreIndex.from_vector_store(
                    target,
                    embed_model=MockEmbedding(2),
                    transformations=[SentenceSplitter(chunk_size=64, chunk_overlap=8)],
                    insert_batch_size=3,
                )
                index.insert(texts(a=version)[0])
        assert told(store) == {"a": "two"}


async def test_memory_block_remembers_by_session(url):
    async with PGRecallVectorStore("memory", url=url) as store:
        block = VectorMemoryBlock(vector_store=store, embed_model=MockEmbedding(2), similarity_top_k=5)
        for session, said in (("s1", "I like tea"), ("s2", "I like milk")):
            message = ChatMessage(role="user", content=said, additional_kwargs={"session_id": session})
            await block.aput([message])
        asked = [ChatMessage(role="user", content="what do I like?")]
        assert "milk" in (await block.aget(asked))
        remembered = await block.aget(asked, session_id="s1")
        assert "tea" in remembered
        assert "milk" not in remembered
