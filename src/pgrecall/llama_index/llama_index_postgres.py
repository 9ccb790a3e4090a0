"""The tables of llama-index-vector-stores-postgres, found in the catalog. Their package is not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.columns import check_identifier
from pgrecall.config import CollectionConfig
from pgrecall.distance import Distance
from pgrecall.errors import CollectionNotFound, SchemaError
from pgrecall.llama_index.nodes import to_record
from pgrecall.llama_index.their_nodes import IN_PLACE, NAMES, NODE_ID, from_their_metadata
from pgrecall.text_search import TextSearch

if TYPE_CHECKING:
    from pgrecall.collection import AsyncClient, AsyncCollection
    from pgrecall.columns import Columns
    from pgrecall.records import Record

_PREFIX: Final = "data_"
_WORDS: Final = "text_search_tsv"


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


def as_ours(record: Record) -> Record:
    """Return a row of theirs, read by `ROW_BY_ROW`, as a record of ours."""
    metadata = dict(record.metadata)
    node_id = metadata.pop(NODE_ID, None)
    node = from_their_metadata(metadata, node_id=node_id, text=record.content, embedding=None)
    return to_record(node, record.embedding)
