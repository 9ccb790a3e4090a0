"""``pgrecall index``: vector indexes are built, dropped and listed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pgrecall.build import BuildOptions
from pgrecall.cli.errors import BadUsage
from pgrecall.cli.looking import show_indexes
from pgrecall.cli.opening import Opened, YesOption, on_table
from pgrecall.cli.progress import shown
from pgrecall.config import HNSW, Index, IVFFlat


@on_table
def create(
    opened: Opened,
    *,
    m: Annotated[int | None, typer.Option("--m", metavar="N", help="Links of a node of HNSW; 16 unless given.")] = None,
    ef_construction: Annotated[
        int | None, typer.Option(metavar="N", help="Candidates for a new node of HNSW; 64 unless given.")
    ] = None,
    quantization: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="What HNSW holds: none, halfvec or bit; the finest possible unless given."),
    ] = None,
    ivfflat: Annotated[bool, typer.Option("--ivfflat", help="An IVFFlat index instead of HNSW.")] = False,
    lists: Annotated[
        int | None, typer.Option(metavar="N", help="Cells of IVFFlat; by the number of rows unless given.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Build a new one in the place of what there is, which serves until then.")
    ] = False,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory of the build, such as 2GB; as is needed unless given.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes beside the one that builds; chosen unless given.")
    ] = None,
) -> None:
    """Build the vector index, without blocking readers or writers.

    Where the same index exists already, nothing is done. The indexes that promoted fields and sparse embeddings need
    are built beside it.
    """
    index = _index(m, ef_construction, quantization, lists, ivfflat=ivfflat)
    options = BuildOptions(memory=memory, workers=workers)
    collection = opened.collection
    with shown(opened.output) as show:
        made = collection.create_index(index, replace=replace, progress=show, options=options)
    if opened.output.json:
        opened.output.document({"index": made})
    else:
        show_indexes(opened.output, [made])


def _index(m: int | None, ef: int | None, quantization: str | None, lists: int | None, *, ivfflat: bool) -> Index:
    if ivfflat:
        if (m, ef, quantization) != (None, None, None):
            raise BadUsage("--m, --ef-construction and --quantization are of HNSW: leave them out, or --ivfflat")
        return IVFFlat(lists=lists)
    if lists is not None:
        raise BadUsage("--lists is of IVFFlat: say --ivfflat too")
    given: dict[str, Any] = {"m": m, "ef_construction": ef, "quantization": quantization}
    return HNSW(**{name: value for name, value in given.items() if value is not None})


@on_table
def drop(opened: Opened, yes: YesOption = False) -> None:
    """Drop the vector indexes of the collection's distance; searches then compare all rows."""
    collection = opened.collection
    opened.output.confirm(f"Drop the vector indexes of {collection.name}?", yes=yes)
    names = collection.drop_index()
    if opened.output.json:
        opened.output.document({"dropped": names})
    else:
        opened.output.text(f"dropped: {', '.join(names)}" if names else "there was none")


@on_table
def list_(opened: Opened) -> None:
    """Show the vector indexes and their state."""
    found = opened.collection.indexes()
    if opened.output.json:
        opened.output.document({"indexes": found})
    elif found:
        show_indexes(opened.output, found)
    else:
        opened.output.text("there is none: pgrecall index create builds one")
