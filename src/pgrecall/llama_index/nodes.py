"""LlamaIndex's nodes to records, and back.

Text, metadata, embedding and source document have columns of their own, which every reader of the table
understands. What only LlamaIndex knows (relationships, excluded keys, templates, the kind of node) is the
record's envelope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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

from pgrecall.errors import RecordError
from pgrecall.records import RecordBatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgrecall.records import Match, Record

_KINDS: Final[Mapping[str, type[BaseNode]]] = {
    kind.class_name(): kind for kind in (TextNode, IndexNode, ImageNode, Node, Document, ImageDocument)
}
# What has a column of its own. A text resource keeps its other parts, such as a MIME type.
_COLUMNS: Final[dict[str, Any]] = {
    "id_": True,
    "embedding": True,
    "metadata": True,
    "text": True,
    "text_resource": {"text"},
}
_KIND: Final = "class_name"


def to_batch(nodes: Sequence[BaseNode]) -> RecordBatch:
    """Return *nodes* as records.

    Raises:
        RecordError: An entry is no node, or has no embedding.
    """
    for position, node in enumerate(nodes):
        if not isinstance(node, BaseNode):
            msg = f"node {position} is a {type(node).__name__}, not a node of LlamaIndex"
            raise RecordError(msg)
        if node.embedding is None:
            msg = f"node {position} (id {node.node_id!r}) has no embedding; embed it before it is added"
            raise RecordError(msg)
    return RecordBatch(
        embeddings=[node.get_embedding() for node in nodes],
        ids=[node.node_id for node in nodes],
        contents=[node.get_content(MetadataMode.NONE) for node in nodes],
        metadatas=[node.metadata for node in nodes],
        document_ids=[node.ref_doc_id for node in nodes],
        envelopes=[_envelope(node) for node in nodes],
    )


def to_node(row: Record | Match) -> BaseNode:
    """Return a stored row as the node that it was, or, where another framework wrote it, as a text node."""
    embedding = None if row.embedding is None else [float(number) for number in row.embedding]
    if row.envelope is None:
        node = TextNode(id_=row.id or "", text=row.content or "", metadata=dict(row.metadata), embedding=embedding)
        if row.document_id is not None:
            node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=row.document_id)
        return node
    data = dict(row.envelope)
    kind = _KINDS.get(data.pop(_KIND, ""), TextNode)
    data |= {"id_": row.id, "metadata": dict(row.metadata), "embedding": embedding}
    if issubclass(kind, Node):
        if row.content or "text_resource" in data:
            data["text_resource"] = {**(data.get("text_resource") or {}), "text": row.content}
    else:
        data["text"] = row.content or ""
    return kind.from_dict(data)


def _envelope(node: BaseNode) -> dict[str, Any]:
    envelope = node.model_dump(mode="json", exclude=_COLUMNS, exclude_defaults=True)
    envelope[_KIND] = node.class_name()
    return envelope
