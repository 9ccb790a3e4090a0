"""The tables of llama-index-vector-stores-postgres, found in the catalog. Their package is not needed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pgrecall import jsonb
from pgrecall.checks import check_identifier
from pgrecall.chunk_keys import ChunkKeys
from pgrecall.collection.adopting import THEIRS
from pgrecall.config import CollectionConfig
from pgrecall.distance import Distance
from pgrecall.errors import CollectionNotFound, SchemaError
from pgrecall.text_search import TextSearch

if TYPE_CHECKING:
    from pgrecall.collection import AsyncClient, AsyncCollection
    from pgrecall.columns import Columns
    from pgrecall.records import Record

_KEYS: Final = ChunkKeys()
_PREFIX: Final = "data_"
_WORDS: Final = "text_search_tsv"
_ROW_KEY: Final = "id"
# What is a column of ours, or is not stored.
_COLUMNS: Final = frozenset({"id_", "embedding", "metadata", "text"})
# The kinds that they make again from what is stored; any other becomes the first.
_KINDS: Final = ("TextNode", "IndexNode", "ImageNode", "Node")
# How a node's relationship to its document is called.
_SOURCE: Final = "1"
CONTENT: Final = "_node_content"
NODE_ID: Final = "node_id"
NO_DOCUMENT: Final = "None"
ROW_BY_ROW: Final = replace(THEIRS, id=_ROW_KEY, content="text", metadata="metadata_", metadata_columns=(NODE_ID,))
"""The columns of their tables, for reading all rows in the order in which they were added."""
IN_PLACE: Final = replace(
    ROW_BY_ROW,
    id=NODE_ID,
    metadata_columns=(),
    document_key="ref_doc_id",
    no_document=NO_DOCUMENT,
    newest_by=_ROW_KEY,
)
"""The columns of their tables, for reading and writing: nodes are known by their ids."""
NAMES: Final = (_ROW_KEY, NODE_ID, "text", "metadata_", "embedding")
"""What their columns are called."""


async def find(
    client: AsyncClient,
    name: str,
    *,
    schema: str = "public",
    language: str = "english",
    columns: Columns = IN_PLACE,
) -> AsyncCollection:
    """Return a handle on a table of ``PGVectorStore``.

    Args:
        client: Where to look.
        name: What is given to ``PGVectorStore`` as ``table_name``, or the name of the table itself.
        schema: Schema of the table.
        language: Text search configuration of a table made for hybrid search, which is not written down.
        columns: `IN_PLACE` or `ROW_BY_ROW`.

    Raises:
        CollectionNotFound: There is no such table.
        SchemaError: It is not one of theirs.
    """
    check_identifier(name, "name")
    sought = dict.fromkeys([_PREFIX + name.lower(), name])
    for table in sought:
        found = {column.name for column in await client.describe_table(table, schema=schema)}
        if not found:
            continue
        if missing := [one for one in NAMES if one not in found]:
            msg = (
                f"{schema}.{table} is no table of PGVectorStore: it has no columns {', '.join(missing)}. A table with "
                "other columns is opened with PGRecallVectorStore(CollectionConfig(name=…, columns=Columns(…)))"
            )
            raise SchemaError(msg)
        config = CollectionConfig(
            name=table,
            schema=schema,
            columns=columns,
            distance=Distance.COSINE,
            text_search=TextSearch(language=language, column=_WORDS) if _WORDS in found else None,
            setup="validate",
        )
        return await client.get_collection(config)
    msg = f"there is no table {' nor '.join(f'{schema}.{table}' for table in sought)}"
    raise CollectionNotFound(msg)


def record_of(record: Record) -> Record:
    """Return a row of theirs, read by `ROW_BY_ROW`, as a record of ours that LlamaIndex's store reads as its node.

    Without a whole node in it, it becomes a text with its metadata.
    """
    metadata = dict(record.metadata)
    node_id = metadata.pop(NODE_ID, None)
    node = _node(metadata.get(CONTENT))
    if node is None:
        document = metadata.get("ref_doc_id")
        known = isinstance(document, str) and document != NO_DOCUMENT
        return replace(record, id=node_id, domain_id=None, metadata=metadata, document_id=document if known else None)
    kind = metadata.get("_node_type")
    own: dict[str, Any] = node.pop("metadata", None) or {}
    envelope = {key: value for key, value in node.items() if key not in _COLUMNS}
    document = _source_of(node)
    return replace(
        record,
        id=node.get("id_") if node_id is None else node_id,
        domain_id=None,
        metadata=own,
        document_id=document,
        chunk_index=_KEYS.index_of(own),
        envelope=envelope | {"class_name": kind if kind in _KINDS else _KINDS[0]},
    )


def _node(text: Any) -> dict[str, Any] | None:
    """Return the fields of a whole node; `None` where there is none."""
    if not isinstance(text, str):
        return None
    try:
        node = jsonb.loads(text)
    except ValueError:
        return None
    return node if isinstance(node, dict) else None


def _source_of(node: dict[str, Any]) -> str | None:
    related = node.get("relationships")
    source = related.get(_SOURCE) if isinstance(related, dict) else None
    document = source.get("node_id") if isinstance(source, dict) else None
    return document if isinstance(document, str) else None
