"""``pgrecall export``: records to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pgrecall.cli.opening import FilterOption, Opened, on_collection
from pgrecall.cli.options import json_object
from pgrecall.cli.output import size
from pgrecall.cli.progress import shown
from pgrecall.moving import export_to


@on_collection
def export(
    opened: Opened,
    *,
    to: Annotated[
        Path,
        typer.Option(metavar="FILE", help="A file that ends in .jsonl, .ndjson, .csv or .parquet.", show_default=False),
    ],
    filter: FilterOption = None,
    embeddings: Annotated[bool, typer.Option(help="Write the embeddings too.")] = True,
) -> None:
    """Write records to a file, which import reads.

    The file has its name only once it is whole; one that was there is replaced then.
    """
    collection = opened.collection
    wanted = None if filter is None else json_object(filter, "--filter")
    with shown(opened.output) as show:
        report = export_to(collection, to, filter=wanted, embeddings=embeddings, progress=show)
    if opened.output.json:
        opened.output.document({"report": report})
    else:
        opened.output.text(f"{report.written:,} records to {report.path}, {size(report.size)}, {report.seconds:.1f} s")
