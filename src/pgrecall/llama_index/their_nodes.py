"""Nodes as llama-index-vector-stores-postgres stores them: metadata, and beside it the whole node as a text of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from pgrecall.errors import RecordError
from pgrecall.moving.llama_index_postgres import CONTENT, IN_PLACE, NO_DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llama_index.core.schema import BaseNode

    from pgrecall.columns import Columns

_DOCUMENT_KEYS: Final = ("document_id", "doc_id", "ref_doc_id")


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
        raise RecordError(unwritable(position, node, error)) from None
    return metadata | dict.fromkeys(_DOCUMENT_KEYS, NO_DOCUMENT if document_id is None else document_id)


def unwritable(position: int, node: BaseNode, error: Exception) -> str:
    """Return what to say of a node that cannot be written as JSON."""
    advice = ""
    if getattr(node, "obj", None) is not None:
        advice = "; of an IndexNode's obj pass what is no text or node to the index as objects=, which keeps it itself"
    return f"node {position} (id {node.node_id!r}) cannot be written as JSON: {error}{advice}"


def has_their_node(metadata: Mapping[str, Any]) -> bool:
    """Whether a whole node is in this metadata."""
    return isinstance(metadata.get(CONTENT), str)


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
    if isinstance(document, str) and document != NO_DOCUMENT:
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document)
    return node
