"""LlamaIndex's nodes to records, and back.

Text, metadata, embedding, source document and position have columns of their own, which every reader of the table
understands. What only LlamaIndex knows (relationships, excluded keys, templates, the kind of node) is the record's
envelope.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, cast

from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageDocument,
    ImageNode,
    IndexNode,
    MetadataMode,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)

from pgrecall.checks import INT4, check_list
from pgrecall.errors import RecordError
from pgrecall.llama_index.envelope import CLASS_NAME, Envelope, pack, unpack
from pgrecall.llama_index.their_nodes import (
    from_their_metadata,
    has_their_node,
    is_theirs,
    to_their_metadata,
    unwritable,
)
from pgrecall.records import Record, RecordBatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pgrecall.columns import Columns
    from pgrecall.records import Embedding, Match

_KINDS: Final[Mapping[str, type[BaseNode]]] = {
    kind.class_name(): kind for kind in (TextNode, IndexNode, ImageNode, Node, Document, ImageDocument)
}
INDEX_KEY: Final = "chunk_index"
"""The metadata key that says where in its document a node stands."""
CHAIN: Final = frozenset({NodeRelationship.PREVIOUS, NodeRelationship.NEXT})
"""By what a splitter chains the nodes of a document."""


def to_batch(nodes: Iterable[BaseNode], columns: Columns) -> RecordBatch:
    """Return *nodes* as records for a table with these columns.

    Raises:
        RecordError: An entry is no node, has no embedding or more than one source, or cannot be written as JSON.
    """
    nodes = check_list(nodes, "nodes", "nodes")
    embeddings = [_embedding(position, node) for position, node in enumerate(nodes)]
    documents = [_document(position, node) for position, node in enumerate(nodes)]
    if is_theirs(columns):
        pairs = zip(nodes, documents, strict=True)
        return RecordBatch(
            embeddings=embeddings,
            ids=[node.node_id for node in nodes],
            contents=[node.get_content(MetadataMode.NONE) for node in nodes],
            metadatas=[to_their_metadata(position, *pair) for position, pair in enumerate(pairs)],
            document_ids=documents,
        )
    return RecordBatch(
        embeddings=embeddings,
        ids=[node.node_id for node in nodes],
        contents=[node.get_content(MetadataMode.NONE) for node in nodes],
        metadatas=[node.metadata for node in nodes],
        document_ids=documents,
        chunk_indexes=_indexes(nodes, documents),
        envelopes=[_envelope(position, *pair) for position, pair in enumerate(zip(nodes, documents, strict=True))],
        optional=frozenset({"chunk_index"}),
    )


def to_record(node: BaseNode, embedding: Embedding | None) -> Record:
    """Return one node as a record, with an embedding that stands for its own.

    Raises:
        RecordError: It has more than one source, or cannot be written as JSON.
    """
    document = _document(0, node)
    return Record(
        id=node.node_id,
        content=node.get_content(MetadataMode.NONE),
        metadata=node.metadata,
        document_id=document,
        chunk_index=_noted(node.metadata) if INDEX_KEY in node.metadata else None,
        embedding=embedding,
        envelope=_envelope(0, node, document),
    )


def to_node(row: Record | Match) -> BaseNode:
    """Return a stored row, which is nobody else's, as the node that it was; what another framework wrote as text."""
    embedding = None if row.embedding is None else [float(number) for number in row.embedding]
    metadata = row.metadata if isinstance(row.metadata, dict) else dict(row.metadata)
    if row.envelope is None and has_their_node(metadata):
        return from_their_metadata(metadata, node_id=row.id, text=row.content, embedding=embedding)
    if row.envelope is None:
        node = TextNode(id_=row.id or "", text=row.content or "", metadata=metadata, embedding=embedding)
        if row.document_id is not None:
            node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=row.document_id)
        return node
    envelope, fields = dict(row.envelope), dict[str, Any]()
    if CLASS_NAME in envelope:
        name, fields = envelope.pop(CLASS_NAME), {**envelope, "metadata": metadata}
    else:
        name, fields = unpack(envelope, metadata, row.document_id)
    kind = _KINDS.get(name, TextNode)
    fields |= {"id_": row.id, "embedding": embedding}
    if issubclass(kind, Node):
        if row.content or "text_resource" in fields:
            fields["text_resource"] = {**(fields.get("text_resource") or {}), "text": row.content}
    else:
        fields["text"] = row.content or ""
    # Of the others' `from_dict`, only that of index nodes does more than this.
    return kind.from_dict(fields) if issubclass(kind, IndexNode) else kind(**cast("Any", fields))


def with_fields(node: BaseNode, names: Iterable[str]) -> BaseNode:
    """Return *node* with only these keys in its metadata, and in the copies that its relationships have of it."""
    wanted = frozenset(names)
    node.metadata = _only(node.metadata, wanted)
    for related in node.relationships.values():
        for one in related if isinstance(related, list) else (related,):
            one.metadata = _only(one.metadata, wanted)
    return node


def _only(metadata: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key in names}


def _embedding(position: int, node: object) -> list[float]:
    if not isinstance(node, BaseNode):
        msg = f"node {position} is a {type(node).__name__}, not a node of LlamaIndex"
        raise RecordError(msg)
    if node.embedding is None:
        msg = f"node {position} (id {node.node_id!r}) has no embedding; embed it before it is added"
        raise RecordError(msg)
    return node.embedding


def _document(position: int, node: BaseNode) -> str | None:
    """Return the id of the document that *node* is a part of; a whole document is its own."""
    try:
        source = node.ref_doc_id
    except ValueError as error:
        msg = f"node {position} (id {node.node_id!r}): {error}"
        raise RecordError(msg) from None
    return node.node_id if source is None and isinstance(node, Document) else source


def _envelope(position: int, node: BaseNode, document: str | None) -> Envelope:
    try:
        return pack(node, document)
    except ValueError as error:  # such as of an index node whose object is a retriever
        raise RecordError(unwritable(position, node, error)) from None


def _indexes(nodes: Sequence[BaseNode], documents: Sequence[str | None]) -> list[int | None]:
    """Return the position of each node in its document, as far as it is said.

    The metadata can say it, under ``chunk_index``. Otherwise the nodes that a splitter has chained are counted
    from the first on; where that was not added together with them, or where a document has several chains, as
    a hierarchy has, nothing is known.
    """
    chained: dict[str, list[BaseNode]] = defaultdict(list)
    for node, document in zip(nodes, documents, strict=True):
        if document is not None and node.relationships.keys() & CHAIN:
            chained[document].append(node)
    counted = {node_id: index for chain in chained.values() for index, node_id in enumerate(_in_order(chain))}
    return [_noted(node.metadata) if INDEX_KEY in node.metadata else counted.get(node.node_id) for node in nodes]


def _in_order(chained: Iterable[BaseNode]) -> list[str]:
    """Return the ids of the nodes that follow the first one of their chain, with its own; none of several chains."""
    following = {node.node_id: node.relationships.get(NodeRelationship.NEXT) for node in chained}
    first = [node.node_id for node in chained if NodeRelationship.PREVIOUS not in node.relationships]
    found = dict.fromkeys(first) if len(first) == 1 else {}
    node_id = next(iter(found), None)
    while node_id is not None:
        follower = following.get(node_id)
        node_id = follower.node_id if isinstance(follower, RelatedNodeInfo) else None
        if node_id not in following or node_id in found:
            break
        found[node_id] = None
    return list(found)


def _noted(metadata: Mapping[str, Any]) -> int | None:
    value = metadata[INDEX_KEY]
    good = isinstance(value, int) and not isinstance(value, bool) and value in INT4
    return value if good else None
