"""Nodes come back as they went in, take little room, and are clean for everybody else."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core import Document
from llama_index.core.node_parser import HierarchicalNodeParser, SentenceSplitter
from llama_index.core.schema import (
    ImageDocument,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    ObjectType,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

from pgrecall import Record
from pgrecall.errors import RecordError
from pgrecall.llama_index import PGRecallVectorStore

SENTENCES = [
    f"Sentence {n} tells that VACUUM frees the room of dead rows, so that new ones find a place, and that ANALYZE draws "
    f"a sample of {n * 300} rows for the planner."
    for n in range(90)
]
METADATA = {
    "file_path": "/handbook/maintenance/vacuum.md",
    "file_name": "vacuum.md",
    "file_type": "text/markdown",
    "file_size": 48211,
    "creation_date": "2024-11-02",
    "last_modified_date": "2025-01-17",
    "chapter": 24,
    "tags": ["vacuum", "routine"],
}
HIDDEN = ["file_name", "file_type", "file_size", "creation_date", "last_modified_date", "last_accessed_date"]


@pytest.fixture
def store(url):
    with PGRecallVectorStore(url=url) as store:
        yield store


def embedded(nodes):
    for number, node in enumerate(nodes):
        node.embedding = [1.0, float(number)]
    return nodes


def split(document_id="doc", *, hidden=(), metadata=METADATA, chunk_size=256):
    document = Document(id_=document_id, text=" ".join(SENTENCES), metadata=metadata)
    document.excluded_embed_metadata_keys = list(hidden)
    document.excluded_llm_metadata_keys = list(hidden)
    return embedded(SentenceSplitter(chunk_size=chunk_size, chunk_overlap=16).get_nodes_from_documents([document]))


def back(store, node):
    store.add([node])
    (found,) = store.get_nodes([node.node_id])
    return found


KINDS = [
    TextNode(
        text="hello",
        metadata={"zebra": 1, "a": 2, "tags": ["x", "y"], "nested": {"b": None}},
        excluded_llm_metadata_keys=["tags"],
        excluded_embed_metadata_keys=["a"],
        metadata_template="{key}={value}",
        metadata_separator="; ",
        text_template="{content} {metadata_str}",
        start_char_idx=3,
        end_char_idx=8,
        mimetype="text/markdown",
        relationships={
            NodeRelationship.SOURCE: RelatedNodeInfo(
                node_id="doc", node_type=ObjectType.DOCUMENT, metadata={"zebra": 1, "m": 1}, hash="f" * 64
            ),
            NodeRelationship.PREVIOUS: RelatedNodeInfo(node_id="previous", metadata={"zebra": 1, "a": 2}),
            NodeRelationship.NEXT: RelatedNodeInfo(node_id="next", node_type="custom"),
            NodeRelationship.PARENT: RelatedNodeInfo(node_id="parent", hash="short"),
            NodeRelationship.CHILD: [RelatedNodeInfo(node_id="c1", metadata={"c": [1]}), RelatedNodeInfo(node_id="c2")],
        },
    ),
    TextNode(text="", relationships={NodeRelationship.CHILD: []}),
    TextNode(text="only excluded", excluded_llm_metadata_keys=["x"], end_char_idx=0),
    TextNode(text="\n  white space stays \t\n"),
    IndexNode(text="index", index_id="i", obj=TextNode(id_="inner", text="inner", metadata={"k": 1})),
    IndexNode(text="index of nothing", index_id="j"),
    ImageNode(text="image", image_url="http://example.org/i.png", image_mimetype="image/png"),
    ImageNode(text="", image="aGVsbG8=", image_path="/tmp/i.png", text_embedding=[0.5, 1.0]),
    Node(text_resource=MediaResource(text="node", mimetype="text/x"), text_template="{content}"),
    Node(image_resource=MediaResource(url="http://example.org/i.png", mimetype="image/png")),
    Node(audio_resource=MediaResource(path="/tmp/a.mp3")),
    Document(text="document", metadata={"k": "v"}),
    Document(text="part", relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="whole")}),
    ImageDocument(text="image document", image_resource=MediaResource(url="http://example.org/i.png")),
]


@pytest.mark.parametrize("original", KINDS, ids=lambda n: n.class_name())
def test_node_comes_back_as_it_was(store, original):
    original = original.model_copy(update={"embedding": [1.0, 0.5]})
    found = back(store, original)
    assert type(found) is type(original)
    assert found.model_dump() == original.model_dump()
    assert (found.hash, found.ref_doc_id) == (original.hash, original.ref_doc_id)
    for mode in MetadataMode:
        assert found.get_content(mode) == original.get_content(mode)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=6)
PLAIN = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e6, 1e6) | NAMES
METADATAS = st.dictionaries(NAMES, PLAIN | st.lists(PLAIN, max_size=2), max_size=5)
RELATED = st.builds(
    RelatedNodeInfo,
    node_id=NAMES,
    node_type=st.none() | st.sampled_from(ObjectType) | NAMES,
    metadata=METADATAS,
    hash=st.none() | NAMES,
)


@st.composite
def nodes(draw):
    own = draw(METADATAS)
    related = draw(st.dictionaries(st.sampled_from(list(NodeRelationship)), RELATED | st.lists(RELATED, max_size=2)))
    for one in [one for entry in related.values() for one in (entry if isinstance(entry, list) else [entry])]:
        if draw(st.booleans()):  # most relatives have nearly the node's own metadata
            kept = [key for key in own if draw(st.integers(0, 3))]
            one.metadata = {key: own[key] for key in kept} | draw(METADATAS.filter(lambda m: len(m) < 2))
    if isinstance(related.get(NodeRelationship.SOURCE), list):
        del related[NodeRelationship.SOURCE]
    excluded = st.lists(st.sampled_from([*own, "other"]), max_size=2)
    return TextNode(
        text=draw(NAMES),
        metadata=own,
        relationships=related,
        excluded_embed_metadata_keys=draw(excluded),
        excluded_llm_metadata_keys=draw(excluded),
        start_char_idx=draw(st.none() | st.integers(0, 9)),
        end_char_idx=draw(st.none() | st.integers(0, 9)),
        embedding=[1.0, 2.0],
    )


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(nodes(), min_size=1, max_size=4))
def test_any_node_comes_back_as_it_was(store, originals):
    store.clear()
    store.add(originals)
    found = {node.node_id: node for node in store.get_nodes()}
    for original in originals:
        node = found[original.node_id]
        assert node.model_dump() == original.model_dump()
        assert list(node.metadata) == list(original.metadata)
        assert node.hash == original.hash


def test_order_of_metadata_is_kept_until_its_keys_change(store):
    original = TextNode(id_="a", text="x", embedding=[1.0, 2.0], metadata={"zebra": 1, "b": 2, "aa": 3})
    assert list(back(store, original).metadata) == ["zebra", "b", "aa"]
    store.collection.update(["a"], metadatas={"new": 4})
    (found,) = store.get_nodes(["a"])
    assert found.metadata == {"zebra": 1, "b": 2, "aa": 3, "new": 4}


def test_metadata_comes_back_with_its_types(store):
    metadata = {"when": datetime(2025, 1, 2, tzinfo=UTC), "price": Decimal("1.50"), "pair": (1, 2)}
    source = RelatedNodeInfo(node_id="doc", metadata=metadata)
    original = TextNode(
        text="x", embedding=[1.0, 2.0], metadata=metadata, relationships={NodeRelationship.SOURCE: source}
    )
    found = back(store, original)
    assert found.metadata == metadata
    assert found.source_node.metadata == metadata


# -- how much room ----------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(), HIDDEN], ids=["plain", "as a reader's"])
async def test_stored_chunk_is_little_more_than_the_users_own_bytes(store, connection, hidden):
    chunks = split(hidden=hidden)
    store.add(chunks)
    own = sum(len(n.text.encode()) + len(json.dumps(n.metadata, separators=(",", ":")).encode()) for n in chunks)
    stored = await connection.fetchval(
        "SELECT sum(pg_column_size(content) + pg_column_size(metadata) + pg_column_size(envelope)"
        " + COALESCE(pg_column_size(document_id), 0) + COALESCE(pg_column_size(chunk_index), 0)) FROM documents"
    )
    assert len(chunks) >= 10
    assert stored <= 1.6 * own
    assert store.get_nodes([chunks[3].node_id])[0].model_dump() == chunks[3].model_dump()


async def test_metadata_of_relatives_is_not_stored_again(store, connection):
    store.add(split())
    envelopes = await connection.fetch("SELECT envelope::text FROM documents")
    assert not [row for row in envelopes if "vacuum.md" in row[0]]


# -- what others see --------------------------------------------------------------------------------


async def test_rows_have_clean_metadata_and_columns_for_the_document(store, connection):
    chunks = split("doc-7")
    store.add(chunks)
    rows = await connection.fetch(
        "SELECT id, document_id, chunk_index, metadata::text, content FROM documents ORDER BY chunk_index"
    )
    assert [row[0] for row in rows] == [chunk.node_id for chunk in chunks]
    assert [row[2] for row in rows] == list(range(len(chunks)))
    assert {row[1] for row in rows} == {"doc-7"}
    assert all(json.loads(row[3]) == METADATA for row in rows)
    assert [row[4] for row in rows] == [chunk.text for chunk in chunks]
    plan = await connection.fetch("EXPLAIN SELECT 1 FROM documents WHERE domain_id = 'default' AND document_id = 'x'")
    indexes = await connection.fetch("SELECT indexdef FROM pg_indexes WHERE tablename = 'documents'")
    assert plan
    assert any("(domain_id, document_id)" in row[0] for row in indexes)


def test_langchain_sees_the_same_rows(store):
    from langchain_core.embeddings import DeterministicFakeEmbedding

    from pgrecall.langchain import PGRecallVectorStore as LangChainStore

    chunks = split()
    store.add(chunks)
    langchain = LangChainStore(DeterministicFakeEmbedding(size=2), store.collection)
    (document,) = langchain.get_by_ids([chunks[2].node_id])
    assert (document.page_content, document.metadata) == (chunks[2].text, METADATA)
    around = langchain.collection.neighbours([store.collection.get([chunks[2].node_id])[0]])
    assert [record.id for record in around[0]] == [chunk.node_id for chunk in chunks[1:4]]
    langchain.add_texts(["from LangChain"], [{"source": "web"}], ids=["lc"])
    (found,) = store.get_nodes(["lc"])
    assert (found.text, found.metadata, found.ref_doc_id) == ("from LangChain", {"source": "web"}, "web")


# -- positions --------------------------------------------------------------------------------------


def indexes(store):
    return {record.id: record.chunk_index for record in store.collection.list(limit=1_000).records}


def test_position_in_the_metadata_wins(store):
    store.add(
        [
            TextNode(id_="a", embedding=[1.0, 2.0], metadata={"chunk_index": 7}),
            TextNode(id_="b", embedding=[1.0, 2.0], metadata={"chunk_index": "7"}),
            TextNode(id_="c", embedding=[1.0, 2.0], metadata={"chunk_index": True}),
            TextNode(id_="d", embedding=[1.0, 2.0], metadata={"chunk_index": 2**40}),
            TextNode(id_="e", embedding=[1.0, 2.0], start_char_idx=5),
        ]
    )
    assert indexes(store) == {"a": 7, "b": None, "c": None, "d": None, "e": None}


def test_position_is_that_in_the_chain_of_each_document(store):
    first, second = split("one"), split("two", chunk_size=512)
    store.add([*reversed(first), *second])
    found = indexes(store)
    assert [found[node.node_id] for node in first] == list(range(len(first)))
    assert [found[node.node_id] for node in second] == list(range(len(second)))


def test_position_is_not_known_where_the_chain_begins_elsewhere_or_is_not_one(store):
    rest = split("one")[5:]
    parser = HierarchicalNodeParser.from_defaults(chunk_sizes=[512, 128])
    hierarchy = embedded(parser.get_nodes_from_documents([Document(id_="two", text=" ".join(SENTENCES))]))
    store.add([*rest, *hierarchy])
    found = indexes(store)
    assert {found[node.node_id] for node in rest} == {None}
    levels = [node for node in hierarchy if node.ref_doc_id == "two"]
    assert len(levels) > 2
    assert all(
        node.model_dump() == other.model_dump() for node, other in zip(levels, by_id(store, levels), strict=True)
    )


def by_id(store, wanted):
    found = {node.node_id: node for node in store.get_nodes([node.node_id for node in wanted])}
    return [found[node.node_id] for node in wanted]


def test_circle_of_nodes_ends(store):
    info = {name: RelatedNodeInfo(node_id=name) for name in ("a", "b", "d")}
    source = {NodeRelationship.SOURCE: info["d"]}
    a = TextNode(id_="a", embedding=[1.0, 2.0], relationships={**source, NodeRelationship.NEXT: info["b"]})
    b = TextNode(id_="b", embedding=[1.0, 2.0], relationships={**source, NodeRelationship.NEXT: info["a"]})
    b.relationships[NodeRelationship.PREVIOUS] = info["a"]
    store.add([a, b])
    assert indexes(store) == {"a": 0, "b": 1}


# -- documents that are stored whole ----------------------------------------------------------------


def test_whole_document_is_its_own_source(store):
    store.add([Document(id_="whole", text="all of it", embedding=[1.0, 2.0])])
    wanted = MetadataFilters(filters=[MetadataFilter(key="ref_doc_id", value="whole")])
    (found,) = store.get_nodes(filters=wanted)
    assert found.ref_doc_id is None
    store.delete("whole")
    assert store.count() == 0


# -- rows from elsewhere ----------------------------------------------------------------------------


def test_envelope_of_earlier_versions_is_read(store):
    original = split()[1]
    written = original.model_dump(
        mode="json",
        exclude={"id_": True, "embedding": True, "metadata": True, "text": True, "text_resource": {"text"}},
        exclude_defaults=True,
    )
    assert written["class_name"] == "TextNode"
    store.collection.upsert(
        [
            Record(
                id=original.node_id,
                embedding=original.embedding,
                content=original.text,
                metadata=original.metadata,
                document_id=original.ref_doc_id,
                envelope=written,
            ),
            Record(
                id="image",
                embedding=[1, 2],
                content="image",
                envelope={"class_name": "ImageNode", "image_url": "http://example.org/i.png"},
            ),
        ]
    )
    text, image = by_id(store, [original, TextNode(id_="image")])
    assert text.model_dump() == original.model_dump()
    assert (type(image), image.image_url) == (ImageNode, "http://example.org/i.png")


def test_kind_of_node_that_is_not_known_is_read_as_text(store):
    class Special(TextNode):
        extra: str = "x"

        @classmethod
        def class_name(cls):
            return "Special"

    found = back(store, Special(text="special", extra="y", embedding=[1.0, 2.0], metadata={"a": 1}))
    assert (type(found), found.text, found.metadata) == (TextNode, "special", {"a": 1})


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ("text", "node 0 is a str"),
        (TextNode(id_="x", text="t"), r"node 0 \(id 'x'\) has no embedding"),
        (
            TextNode(
                id_="x", embedding=[1.0, 2.0], relationships={NodeRelationship.SOURCE: [RelatedNodeInfo(node_id="d")]}
            ),
            r"node 0 \(id 'x'\).*single",
        ),
        (TextNode(id_="x", embedding=[1.0, 2.0], text="a\x00b"), r"'x'.*content"),
        (TextNode(id_="x", embedding=[1.0, 2.0], metadata={"k": {1, 2}}), r"'x'.*metadata"),
        (TextNode(id_="x", embedding=[1.0, 2.0], metadata={"k": float("nan")}), r"'x'.*metadata"),
        (IndexNode(id_="x", embedding=[1.0, 2.0], index_id="i", obj=object()), r"node 0 \(id 'x'\).*JSON.*objects="),
    ],
)
def test_node_that_cannot_be_stored_is_named(store, wrong, match):
    with pytest.raises(RecordError, match=match):
        store.add([wrong])
    assert store.get_nodes() == []
