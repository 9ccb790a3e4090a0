"""The rows as LlamaIndex's nodes, made the same in every environment: as `SentenceSplitter` makes chunks of files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Protocol

from llama_index.core.schema import BaseNode, NodeRelationship, ObjectType, RelatedNodeInfo, TextNode

# What `SimpleDirectoryReader` hides from models.
_HIDDEN = ["source", "path"]


class Columns(Protocol):
    """Rows in columns."""

    ids: list[str]
    contents: list[str]
    metadatas: list[dict[str, Any]]


def chunks(rows: Columns, embeddings: Sequence[list[float]]) -> list[BaseNode]:
    """Return a node for each row, which names its document and the chunks before and behind it.

    A document's metadata, which each of its chunks has, is that of its first row.
    """
    columns = zip(rows.ids, rows.contents, rows.metadatas, embeddings, strict=True)
    made: list[BaseNode] = []
    for document, group in groupby(columns, key=lambda row: row[0].rpartition(":")[0] or row[0]):
        parts = list(group)
        nodes = [
            TextNode(
                id_=row_id,
                text=text,
                metadata=dict(parts[0][2]),
                embedding=embedding,
                excluded_embed_metadata_keys=_HIDDEN,
                excluded_llm_metadata_keys=_HIDDEN,
            )
            for row_id, text, _, embedding in parts
        ]
        _chain(document, nodes)
        made += nodes
    return made


def _chain(document: str, nodes: list[TextNode]) -> None:
    infos = [node.as_related_node_info() for node in nodes]
    for position, node in enumerate(nodes):
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(
            node_id=document, node_type=ObjectType.DOCUMENT, metadata=node.metadata, hash=node.hash
        )
        if position:
            node.relationships[NodeRelationship.PREVIOUS] = infos[position - 1]
        if position + 1 < len(nodes):
            node.relationships[NodeRelationship.NEXT] = infos[position + 1]
