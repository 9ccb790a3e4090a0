"""``pgrecall stats`` and ``pgrecall get``: what a collection holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pgrecall.cli.errors import BadUsage, Found
from pgrecall.cli.opening import FilterOption, Opened, on_collection
from pgrecall.cli.options import json_object
from pgrecall.cli.output import Output, cell, shortened, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pgrecall.collection import CollectionStats
    from pgrecall.records import Extra, Record
    from pgrecall.table import VectorIndex

_DOMAINS_SHOWN: Final = 20
_CONTENT: Final = 120
_METADATA: Final = 80
_NUMBERS_SHOWN: Final = 6
# What is only read where it was asked for, and left out where there is none.
_EXTRAS: Final = ("embedding", "envelope", "sparse_embedding", "highlights", "scores")


@on_collection
def stats(opened: Opened) -> None:
    """Show rows, sizes and indexes of a collection."""
    collection, output = opened.collection, opened.output
    with output.waiting("counting"):
        found = collection.stats()
    if output.json:
        output.document({"collection": collection.name, "schema": opened.schema, "stats": found})
        return
    output.pairs({"collection": f"{opened.schema}.{collection.name}", "scope": str(collection.scope)})
    shown_stats(output, found)


@on_collection
def get(
    opened: Opened,
    *,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="Which records; otherwise the first ones, by id.")
    ] = None,
    filter: FilterOption = None,
    prefix: Annotated[str | None, typer.Option(metavar="TEXT", help="Only ids that begin so.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", help="Most records, without ids.")] = 20,
    after: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Go on behind here: what the last page has named.")
    ] = None,
    embedding: Annotated[bool, typer.Option("--embedding", help="Show the embeddings too.")] = False,
) -> None:
    """Show records, by their ids or page by page.

    The exit code is 1 where an id is not found.
    """
    include: list[Extra] = ["embedding"] if embedding else []
    output = opened.output
    if ids:
        if filter is not None or prefix is not None or after is not None:
            raise BadUsage("--filter, --prefix and --after are for pages, and not for ids")
        found = opened.collection.get(ids, include=include)
        records = [record for record in found if record is not None]
        missing = [id for id, record in zip(ids, found, strict=True) if record is None]
        _show(output, records, {"missing": missing})
        if missing:
            output.remark(f"not found: {', '.join(missing)}")
            raise Found
        return
    wanted = None if filter is None else json_object(filter, "--filter")
    page = opened.collection.list(limit=limit, after=after, prefix=prefix, filter=wanted, include=include)
    _show(output, page.records, {"next": page.next})
    if page.next is not None:
        output.remark(f"more with: --after {page.next}")


def _show(output: Output, records: Sequence[Record], more: dict[str, Any]) -> None:
    if output.json:
        output.document({"records": [as_document(record) for record in records], **more})
    elif len(records) == 1:
        output.pairs({name: _value(value) for name, value in as_document(records[0]).items() if value is not None})
    elif records:
        rows = [
            (record.id, shortened(record.content or "", _CONTENT), shortened(cell(record.metadata), _METADATA))
            for record in records
        ]
        output.table(("id", "content", "metadata"), rows)


def _value(value: Any) -> Any:
    numbers = getattr(value, "tolist", lambda: value)()
    if isinstance(numbers, list) and len(numbers) > _NUMBERS_SHOWN and isinstance(numbers[0], float):
        first = ", ".join(f"{number:.4g}" for number in numbers[:_NUMBERS_SHOWN])
        return f"{first}, … ({len(numbers)} numbers)"
    return value


def as_document(record: Any) -> dict[str, Any]:
    """Return a record or a match as JSON is to have it: without what was not asked for."""
    names = [name for kind in type(record).__mro__ for name in getattr(kind, "__slots__", ())]
    values = {name: getattr(record, name) for name in names}
    return {name: value for name, value in values.items() if value is not None or name not in _EXTRAS}


def shown_stats(output: Output, found: CollectionStats) -> None:
    """Print what a collection holds for people."""
    output.pairs(
        {
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
    holds = "all rows" if index.condition is None else f"rows where {index.condition}"
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
