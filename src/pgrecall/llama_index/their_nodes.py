"""Nodes as llama-index-vector-stores-postgres stores them: metadata, and beside it the whole node as a text of JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from pgrecall.collection.adopting import THEIRS
from pgrecall.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llama_index.core.schema import BaseNode

    from pgrecall.columns import Columns

_CONTENT: Final = "_node_content"
_DOCUMENT_KEYS: Final = ("document_id", "doc_id", "ref_doc_id")
_NO_DOCUMENT: Final = "None"
_ROW_KEY: Final = "id"
NODE_ID: Final = "node_id"
ROW_BY_ROW: Final = replace(THEIRS, id=_ROW_KEY, content="text", metadata="metadata_", metadata_columns=(NODE_ID,))
"""The columns of their tables, for reading all rows in the order in which they were added."""
IN_PLACE: Final = replace(
    ROW_BY_ROW,
    id=NODE_ID,
    metadata_columns=(),
    document_key="ref_doc_id",
    no_document=_NO_DOCUMENT,
    newest_by=_ROW_KEY,
)
"""The columns of their tables, for reading and writing: nodes are known by their ids."""
NAMES: Final = (_ROW_KEY, NODE_ID, "text", "metadata_", "embedding")
"""What their columns are called."""


def is_theirs(columns: Columns) -> bool:
    """Whether a table with these columns holds nodes as they store them."""
    return columns.envelope is None and columns.document_key == IN_PLACE.document_key


def to_their_metadata(position: int, node: BaseNode, document_id: str | None) -> dict[str, Any]:
    """Return what their column for the metadata has for *node*.

    Raises:
        RecordError: The node cannot be written as JSON.
    """
    try:
        metadata = node_to_metadata_dict(node, remove_text=True)
    except (TypeError, ValueError) as error:
        msg = f"node {position} (id {node.node_id!r}) cannot be written as JSON: {error}"
        raise RecordError(msg) from None
    return metadata | dict.fromkeys(_DOCUMENT_KEYS, _NO_DOCUMENT if document_id is None else document_id)


def has_their_node(metadata: Mapping[str, Any]) -> bool:
    """Whether a whole node is in this metadata."""
    return isinstance(metadata.get(_CONTENT), str)


def from_their_metadata(
    metadata: dict[str, Any], *, node_id: str | None, text: str | None, embedding: list[float] | None
) -> BaseNode:
    """Return the node that a row of theirs holds; without a whole one in it, a text with that metadata."""
    try:
        node = metadata_dict_to_node(metadata, text=text or "")
    except (KeyError, TypeError, ValueError):
        return _text_with(metadata, node_id=node_id, text=text, embedding=embedding)
    node.embedding = embedding
    if node_id is not None:
        node.id_ = node_id
    return node


def _text_with(
    metadata: dict[str, Any], *, node_id: str | None, text: str | None, embedding: list[float] | None
) -> TextNode:
    node = TextNode(text=text or "", metadata=metadata, embedding=embedding)
    if node_id is not None:
        node.id_ = node_id
    document = metadata.get("ref_doc_id")
    if isinstance(document, str) and document != _NO_DOCUMENT:
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document)
    return node
