"""Nodes that pass one by one: each to a record, and what of it is embedded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llama_index.core.schema import BaseNode, MetadataMode, NodeRelationship, RelatedNodeInfo

from pgrecall.collection.ingesting.entries import as_record
from pgrecall.llama_index.nodes import CHAIN, INDEX_KEY, to_node, to_record
from pgrecall.llama_index.their_nodes import is_theirs, to_their_metadata

if TYPE_CHECKING:
    from pgrecall.columns import Columns
    from pgrecall.records import Record

_HIERARCHY: Final = frozenset({NodeRelationship.PARENT, NodeRelationship.CHILD})


class PassingNodes:
    """Makes records of nodes as they pass, and counts those that a splitter has chained.

    Args:
        columns: Columns of the table.
    """

    def __init__(self, columns: Columns) -> None:
        self._theirs = is_theirs(columns)
        self._last: tuple[str, str | None, int] | None = None

    def __call__(self, item: object) -> Record:
        """Return a node, or whatever else the engine makes records of, as a record.

        Raises:
            RecordError: It is neither, or the node has more than one source.
        """
        if not isinstance(item, BaseNode):
            return as_record(item)
        record = to_record(item, item.embedding)
        index = self._index(item, record.document_id)
        if self._theirs:
            metadata = to_their_metadata(0, item, record.document_id)
            return replace(record, metadata=metadata, envelope=None, chunk_index=None)
        return replace(record, chunk_index=index) if INDEX_KEY not in item.metadata else record

    def _index(self, node: BaseNode, document_id: str | None) -> int | None:
        """Return the position of *node* in its document, where it follows the one before, or is the first.

        A hierarchy has several chains in a document, and those nodes are not counted.
        """
        before, self._last = self._last, None
        relationships = node.relationships.keys()
        if document_id is None or not relationships & CHAIN or relationships & _HIERARCHY:
            return None
        previous = node.relationships.get(NodeRelationship.PREVIOUS)
        if previous is None:
            index = 0
        elif (
            isinstance(previous, RelatedNodeInfo)
            and before is not None
            and before[:2]
            == (
                previous.node_id,
                document_id,
            )
        ):
            index = before[2] + 1
        else:
            return None
        self._last = (node.node_id, document_id, index)
        return index


def embedded_text(record: Record) -> str:
    """Return what an index embeds of the node that *record* is."""
    return to_node(replace(record, metadata=dict(record.metadata))).get_content(MetadataMode.EMBED)
