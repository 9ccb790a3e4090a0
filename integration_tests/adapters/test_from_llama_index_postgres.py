"""Tables of llama-index-vector-stores-postgres, which are made here as it makes them, used and copied."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from llama_index.core import Document, MockEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.schema import (
    ImageNode,
    IndexNode,
    MediaResource,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters, VectorStoreQuery
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from pgrecall import Client, moving
from pgrecall.errors import CollectionNotFound, ConfigError, RecordError, SchemaError
from pgrecall.llama_index import PGRecallIngestionStore, PGRecallVectorStore
from pgrecall.testing.llama_index import VectorStoreTests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration_tests.conftest import Database


def table(name="data_theirs", json_type="JSON", vector_type="vector", dimensions=2, hybrid=False):
    """Return the statements with which `PGVectorStore` makes a table."""
    tsv = ", text_search_tsv TSVECTOR GENERATED ALWAYS AS (to_tsvector('english', text)) STORED" if hybrid else ""
    return (
        f"CREATE TABLE {name} (id BIGSERIAL NOT NULL, text VARCHAR NOT NULL, metadata_ {json_type}, node_id VARCHAR, "
        f"embedding {vector_type.upper()}({dimensions}){tsv}, PRIMARY KEY (id));"
        f"CREATE INDEX {name}_idx_1 ON {name} USING btree ((metadata_ ->> 'ref_doc_id'))"
    )


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def insert(database, nodes, name="data_theirs"):
    """Write nodes as `PGVectorStore` does, which adds a row whatever is there."""
    rows = (
        (
            node.node_id,
            node.get_content("none"),
            str(node.embedding),
            json.dumps(node_to_metadata_dict(node, remove_text=True)),
        )
        for node in nodes
    )
    values = ", ".join("(" + ", ".join(map(literal, row)) + ")" for row in rows)
    database.execute(f"INSERT INTO {name} (node_id, text, embedding, metadata_) VALUES {values}")


def read(database, name="data_theirs"):
    """Return what `PGVectorStore` reads: for each row the node."""
    rows = database.rows(f"SELECT node_id, text, metadata_::text FROM {name} ORDER BY id")
    found = [(node_id, metadata_dict_to_node(json.loads(metadata), text=text)) for node_id, text, metadata in rows]
    assert all(node_id == node.node_id for node_id, node in found)
    return [node for _, node in found]


def node(node_id, embedding, document=None, text=None, **metadata):
    made = TextNode(id_=node_id, text=text or f"it's {node_id}", embedding=embedding, metadata=metadata)
    if document is not None:
        made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document, metadata={"m": 1}, hash="h")
    return made


NODES = [
    node("a", [1.0, 0.0], "doc1", kind="x", n=1, doc_id="the user's own"),
    node("b", [0.0, 1.0], "doc1", kind="y", n=2),
    node("c", [1.0, 1.0], "doc2", kind="x", n=3),
    node("d", [-1.0, 0.0], kind="z"),
]
KINDS = [
    IndexNode(id_="i", text="index", index_id="other", obj=TextNode(id_="in", text="inner"), embedding=[1.0, 0.5]),
    ImageNode(id_="im", text="image", image="aGk=", image_url="http://x/y.png", embedding=[0.5, 0.5]),
    Node(id_="n", text_resource=MediaResource(text="resource"), metadata={"k": "v"}, embedding=[0.25, 0.5]),
    TextNode(
        id_="t",
        text="hidden %s \N{SNOWMAN}",
        metadata={"z": None, "a": [1, {"b": 2.5}]},
        excluded_llm_metadata_keys=["z"],
        metadata_template="{key}={value}",
        start_char_idx=0,
        embedding=[0.75, 0.5],
    ),
]


def where(key, value, operator=FilterOperator.EQ):
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])


def query(embedding=(1.0, 0.125), k=10, **others):
    return VectorStoreQuery(query_embedding=embedding and list(embedding), similarity_top_k=k, **others)


def plain(nodes):
    return {one.node_id: one.model_dump(mode="json") for one in nodes}


@pytest.fixture(params=["json", "jsonb"])
def made(database, request):
    """A table with nodes that they have written."""
    if request.param == "json":
        database.execute(table())
    else:
        database.execute(table(json_type="JSONB", vector_type="halfvec", hybrid=True))
    insert(database, NODES)


@pytest.fixture
def store(made, url):
    with PGRecallVectorStore.from_llama_index_postgres("Theirs", url=url) as store:
        yield store


# -- in place --------------------------------------------------------------------------------------


def test_what_they_wrote_is_read(store, database):
    assert store.config.name == "data_theirs"
    insert(database, KINDS)
    assert plain(store.get_nodes()) == plain([*NODES, *KINDS])
    result = store.query(query(k=2))
    assert result.ids == ["a", "i"]
    assert result.similarities == pytest.approx([0.9923, 0.9430], abs=1e-4)
    assert store.query(query(filters=where("n", 2, FilterOperator.GTE))).ids == ["c", "b"]
    assert store.query(query(None, filters=where("kind", "x"))).ids == ["a", "c"]
    assert store.query(query(mode="mmr", k=2), mmr_threshold=0.1).ids[0] == "a"
    assert database.ask("SELECT obj_description('data_theirs'::regclass)") is None


async def test_what_is_written_they_read(store, database):
    assert store.add(KINDS) == [one.node_id for one in KINDS]
    assert await store.async_add(NODES[:1]) == ["a"]
    expected = [one.model_copy(update={"embedding": None}) for one in [*NODES, *KINDS]]
    assert plain(read(database)) == plain(expected)
    keys = "metadata_ ->> 'ref_doc_id', metadata_ ->> 'doc_id', metadata_ ->> 'document_id', metadata_ ->> '_node_type'"
    assert [
        tuple(row)
        for row in database.rows(f"SELECT {keys} FROM data_theirs WHERE node_id IN ('a', 'n') ORDER BY node_id")
    ] == [
        ("doc1", "doc1", "doc1", "TextNode"),
        ("None", "None", "None", "Node"),
    ]


async def test_node_that_is_added_again_takes_the_place_of_all_rows_with_its_id(store, database):
    insert(database, [node("a", [0.5, 0.5], "doc1", text="newer", n=9)])
    assert store.count() == 5
    assert [one.text for one in store.get_nodes(["a"])] == ["newer"]
    assert [one.node_id for one in store.get_nodes()] == ["a", "b", "c", "d"]
    assert store.get_nodes()[0].metadata["n"] == 9
    again = node("a", [0.0, 1.0], "doc3", text="newest")
    assert store.add([again, node("e", [1.0, 0.0]), again]) == ["a", "e", "a"]
    assert sorted(one.node_id for one in read(database)) == ["a", "b", "c", "d", "e"]
    assert [one.text for one in store.get_nodes(["a"])] == ["newest"]
    assert store.query(query(k=9, node_ids=["a"])).ids == ["a"]


def test_pages_of_nodes_go_on_behind_the_copies_of_one(store, database, monkeypatch):
    monkeypatch.setattr("pgrecall.llama_index.reading._PAGE", 2)
    insert(database, [*NODES, *NODES[1:2]])
    assert [one.node_id for one in store.get_nodes()] == ["a", "b", "c", "d"]


async def test_writers_of_one_node_take_turns(store, database):
    writers = [store.async_add([node("w", [1.0, 0.0], text=f"{n}"), node("v", [1.0, 0.0])]) for n in range(8)]
    await asyncio.gather(*writers)
    assert sorted(one.node_id for one in read(database)) == ["a", "b", "c", "d", "v", "w"]


async def test_documents_are_found_deleted_and_listed_and_none_is_none(store, database):
    assert store.query(query(doc_ids=["doc1", "None"])).ids == ["a", "b"]
    assert store.query(query(filters=where("ref_doc_id", "doc2"))).ids == ["c"]
    assert store.query(query(filters=where("doc_id", "the user's own"))).ids == []
    assert store.query(query(filters=where("document_id", "None"))).ids == []
    assert sorted(store.query(query(filters=where("doc_id", "doc1", FilterOperator.NE))).ids) == ["c", "d"]
    assert store.query(query(filters=where("doc_id", None, FilterOperator.IS_EMPTY))).ids == ["d"]
    assert sorted(store.query(query(filters=where("doc_id", ["doc1", "None"], FilterOperator.IN))).ids) == ["a", "b"]
    page = store.list_ref_docs()
    assert [(one.id, one.chunks) for one in page.documents] == [("doc1", 2), ("doc2", 1)]
    assert [one.id for one in store.list_ref_docs(after="doc1", prefix="doc").documents] == ["doc2"]
    store.delete("None")
    await store.adelete("doc1")
    assert [one.node_id for one in read(database)] == ["c", "d"]
    with pytest.raises(RecordError, match=r"id 'e'.*'None' says in public.data_theirs that there is no document"):
        store.add([node("e", [1.0, 0.0], "None")])
    store.delete_nodes(filters=where("kind", "z"))
    store.clear()
    assert read(database) == []


async def test_documents_are_replaced_whole(store, database):
    result = store.replace_ref_docs(
        [node("b", [1.0, 0.0], "doc1"), node("f", [1.0, 0.0], "doc1")], ref_doc_ids=["doc2"]
    )
    assert (result.inserted, result.updated, result.deleted) == (1, 1, 2)
    assert sorted(one.node_id for one in read(database)) == ["b", "d", "f"]
    with pytest.raises(RecordError):
        store.replace_ref_docs([node("b", [1.0, 0.0], "doc1"), node("g", None, "doc1")])
    assert sorted(one.node_id for one in read(database)) == ["b", "d", "f"]


async def test_modes_that_look_for_words_serve_where_it_is(made, url):
    options = {"reranker": lambda query, texts: [len(text) for text in texts]}
    with PGRecallVectorStore.from_llama_index_postgres("theirs", url=url, **options) as store:
        store.add([node("w", [-1.0, 0.25], text="dead rows are vacuumed")])
        if store.config.text_search is None:  # not made for hybrid search
            with pytest.raises(SchemaError, match="call add_text_search"):
                await store.aquery(query(None, query_str="vacuum rows", mode="text_search"))
            store.collection.add_text_search("english")
        assert (await store.aquery(query(None, query_str="vacuum rows", mode="text_search"))).ids == ["w"]
        for mode in ("hybrid", "semantic_hybrid"):
            assert "w" in (await store.aquery(query(k=3, query_str="vacuumed rows", mode=mode))).ids


def test_index_on_their_documents_serves(made, database, url):
    values = ", ".join(f"('x', '[1,0]', 'm{n}', '{{\"ref_doc_id\": \"many{n}\"}}')" for n in range(2_000))
    database.execute(
        f"INSERT INTO data_theirs (text, embedding, node_id, metadata_) VALUES {values}; ANALYZE data_theirs"
    )
    with PGRecallVectorStore.from_llama_index_postgres("theirs", url=url) as store:
        plan = store.collection.explain([1.0, 0.0], filter={"$document_id": {"$in": ["many7"]}}, postgres=True)
        assert "data_theirs_idx_1" in str(plan.postgres)
        assert store.query(query(doc_ids=["many7"])).ids == ["m7"]


def test_pipeline_over_their_table_leaves_each_document_once(made, url, database):
    docstore = SimpleDocumentStore()
    for text in ("first", "second"):
        with PGRecallIngestionStore.from_llama_index_postgres("theirs", url=url) as target:
            IngestionPipeline(
                transformations=[MockEmbedding(2)],
                vector_store=target,
                docstore=docstore,
                docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
            ).run(documents=[Document(text=text, id_="doc9")])
    assert [one.text for one in read(database) if one.node_id not in "abcd"] == ["second"]


def test_what_is_no_node_of_theirs_is_a_text(store, database):
    database.execute(
        "INSERT INTO data_theirs (text, embedding, node_id, metadata_) VALUES ('old', '[1,0]', 'o', '{\"k\": 1, \"ref_doc_id\": \"d\"}'), "
        "('bad', '[1,0]', 'p', '{\"_node_content\": \"{\"}'), ('bare', '[1,0]', 'q', NULL)"
    )
    old, bad, bare = store.get_nodes(["o", "p", "q"])
    assert (old.text, old.metadata["k"], old.ref_doc_id) == ("old", 1, "d")
    assert (bad.text, bare.text, bare.metadata) == ("bad", "bare", {})


def test_a_unique_index_on_the_ids_is_used_where_there_is_one(made, database, url):
    database.execute("CREATE UNIQUE INDEX ON data_theirs (node_id)")
    with PGRecallVectorStore.from_llama_index_postgres("data_theirs", url=url) as store:
        before = database.ask("SELECT id FROM data_theirs WHERE node_id = 'a'")
        store.add([node("a", [1.0, 1.0])])
        assert database.ask("SELECT id FROM data_theirs WHERE node_id = 'a'") == before


def test_dictionary_brings_back_a_store_in_place(store, url, database):
    data = json.loads(json.dumps(store.to_dict()))
    with PGRecallVectorStore.from_dict(data, url=url) as again:
        again.add([node("a", [1.0, 0.0], "doc1")])
        assert again.config == store.config
    assert len(read(database)) == 4


async def test_what_is_no_table_of_theirs_is_said(database, url):
    with pytest.raises(CollectionNotFound, match=r"no table public.data_nope nor public.Nope"):
        PGRecallVectorStore.from_llama_index_postgres("Nope", url=url)
    database.execute("CREATE TABLE data_other (id bigint PRIMARY KEY, node_id text)")
    with pytest.raises(SchemaError, match="no columns text, metadata_, embedding"):
        await PGRecallVectorStore.afrom_llama_index_postgres("other", url=url)
    database.execute(table())
    with pytest.raises(ConfigError, match="did you mean 'search_kwargs'"):
        PGRecallVectorStore.from_llama_index_postgres("theirs", url=url, search_kwarg={})
    with pytest.raises(SchemaError, match="no column for domains"):
        PGRecallVectorStore.from_llama_index_postgres("theirs", url=url).count(domain="acme")


# -- copies ----------------------------------------------------------------------------------------


def test_table_is_copied_checked_and_gone_on_with(made, database, url):
    insert(
        database, [*KINDS, node("a", [0.5, 0.5], "doc1", text="newer"), node("a", [0.5, 0.5], "doc1", text="newest")]
    )
    seen = []
    with PGRecallVectorStore("ours", url=url) as ours:

        def stop(progress):
            seen.append(progress.after)
            if len(seen) == 2:
                raise RuntimeError

        with pytest.raises(RuntimeError):
            ours.copy_from_llama_index_postgres("theirs", batch_size=3, progress=stop)
        rest = ours.copy_from_llama_index_postgres("theirs", batch_size=3, after=seen[-1])
        assert (rest.read, rest.inserted) == (4, 2)
        again = ours.copy_from_llama_index_postgres("theirs")
        assert (again.read, again.verified, again.unchanged, again.inserted, again.updated) == (10, 8, 8, 0, 0)
        expected = [*NODES[1:], *KINDS, node("a", [0.5, 0.5], "doc1", text="newest")]
        assert plain(ours.get_nodes()) == plain(expected)
        assert [(one.id, one.chunks) for one in ours.list_ref_docs().documents] == [("doc1", 2), ("doc2", 1)]
        assert ours.collection.get(["d"])[0].metadata == {"kind": "z"}
        insert(database, [node("late", [1.0, 0.0])])
        assert ours.copy_from_llama_index_postgres("theirs", after=again.after).inserted == 1


async def test_copy_must_be_told_where_to_read_from_unless_the_connections_are_its_own(made, database, url):
    with Client(url) as client:
        ours = PGRecallVectorStore("ours", client=client)
        with pytest.raises(ConfigError, match="pass url or client"):
            ours.copy_from_llama_index_postgres("theirs")
        assert ours.copy_from_llama_index_postgres("theirs", client=client).inserted == 4
        assert (await ours.acopy_from_llama_index_postgres("theirs", url=url)).unchanged == 4
        with pytest.raises(ConfigError, match="unknown keyword 'dimensions'"):
            ours.copy_from_llama_index_postgres("theirs", client=client, dimensions=3)


def test_nodes_that_were_moved_are_those_that_a_copy_makes(made, database, url):
    newest = node("a", [0.5, 0.5], "doc1", text="newest", chunk_index=3)
    insert(database, [*KINDS, newest])
    database.execute(
        "INSERT INTO data_theirs (node_id, text, embedding, metadata_) VALUES "
        """('w', 'whole in none', '[1,2]', '{"k": 1, "ref_doc_id": "doc9"}'), ('x', 'x', '[2,1]', '{"_node_content": "no"}')"""
    )
    with Client(url) as client, PGRecallVectorStore("moved", client=client) as moved:
        report = moving.migrate(moving.LlamaIndexPostgres(name="theirs"), client, "moved")
        assert (report.ok, report.verification.superseded) == (True, 1)
        assert [(one.id, one.chunks) for one in moved.list_ref_docs().documents] == [
            ("doc1", 2),
            ("doc2", 1),
            ("doc9", 1),
        ]
        assert moved.collection.get(["a"])[0].chunk_index == 3
        with PGRecallVectorStore("copied", url=url) as copied:
            copied.copy_from_llama_index_postgres("theirs")
            expected = plain(copied.get_nodes())
        assert plain(moved.get_nodes()) == expected
    assert len(expected) == 10


def test_nodes_go_back_the_same_way(store, url, database):
    with PGRecallVectorStore("ours", url=url) as ours:
        ours.copy_from_llama_index_postgres("theirs")
        ours.add(KINDS)
        store.add(ours.get_nodes())
    expected = [one.model_copy(update={"embedding": None}) for one in [*NODES, *KINDS]]
    assert plain(read(database)) == plain(expected)


# -- the conformance suite -------------------------------------------------------------------------


class TestTableOfTheirs(VectorStoreTests):
    is_serialisable = False  # without its URL

    @pytest.fixture
    def store(self, module_database: Database) -> Iterator[PGRecallVectorStore]:
        if not module_database.ask("SELECT to_regclass('data_theirs')::text"):
            module_database.execute(table(dimensions=3))
        with PGRecallVectorStore.from_llama_index_postgres("theirs", url=module_database.url) as store:
            yield store
            store.clear()
