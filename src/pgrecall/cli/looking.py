"""``pgrecall stats``: what a collection holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pgrecall.cli.opening import Opened, on_collection
from pgrecall.cli.output import Output, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pgrecall.table import VectorIndex

_DOMAINS_SHOWN: Final = 20


@on_collection
def stats(opened: Opened) -> None:
    """Show how many rows a collection has, how they are compared, and its indexes."""
    collection, output = opened.collection, opened.output
    with output.waiting("counting"):
        found = collection.stats()
    if output.json:
        output.document({"collection": collection.name, "schema": opened.schema, "stats": found})
        return
    output.pairs(
        {
            "collection": f"{opened.schema}.{collection.name}",
            "scope": str(collection.scope),
            "rows": found.rows,
            "embeddings": f"{found.vector_type.value}({found.dimensions or ''}), {found.distance.value}",
            "table": size(found.table_bytes),
            "indexes": size(found.index_bytes),
        }
    )
    if len(found.domains) > 1:
        largest = sorted(found.domains.items(), key=lambda item: (-item[1], item[0]))
        output.table(("domain", "rows"), largest[:_DOMAINS_SHOWN], right=("rows",))
        if (more := len(largest) - _DOMAINS_SHOWN) > 0:
            output.text(f"and {more:,} more domains: pgrecall domains list shows them")
    show_indexes(output, found.indexes)


def show_indexes(output: Output, indexes: Iterable[VectorIndex]) -> None:
    """Print vector indexes for people; nothing where there are none."""
    rows = [_index(index) for index in indexes]
    if rows:
        output.table(("index", "kind", "distance", "holds", "size", "state"), rows, right=("size",))


def _index(index: VectorIndex) -> tuple[Any, ...]:
    options = " ".join(f"{name}={value}" for name, value in index.options)
    holds = "rows where " + str(index.condition) if index.condition is not None else "all rows"
    if index.quantized is not None:
        holds += f" as {index.quantized.value}"
    return (
        index.name,
        f"{index.method} {options}".rstrip(),
        index.distance.value if index.distance else "?",
        holds,
        size(index.size),
        "valid" if index.valid else "not valid",
    )
