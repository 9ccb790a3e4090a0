"""``pgrecall delete``: records, by their ids or by what they have in common."""

from __future__ import annotations

from typing import Annotated

import typer

from pgrecall.cli.errors import BadUsage
from pgrecall.cli.opening import FilterOption, Opened, YesOption, on_collection
from pgrecall.cli.options import json_object


@on_collection
def delete(
    opened: Opened,
    *,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Which records.", show_default=False)] = None,
    filter: FilterOption = None,
    document: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="All records of this document; may be repeated.")
    ] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All records of the domain.")] = False,
    yes: YesOption = False,
) -> None:
    """Delete records by id, by document or by metadata.

    Where several of these are given, a record must fit all. It asks first, and says how many it will be.
    """
    if everything == bool(ids or document or filter is not None):
        raise BadUsage("say which records: ids, --document, --filter, or --everything and nothing else")
    output, collection = opened.output, opened.collection
    wanted = None if filter is None else json_object(filter, "--filter")
    if not yes:
        output.confirm(_question(opened, ids, wanted, document), yes=yes)
    with output.waiting("deleting"):
        if everything:
            deleted = collection.clear()
        else:
            deleted = collection.delete(ids or None, filter=wanted, document_ids=document or None)
    if output.json:
        output.document({"deleted": deleted})
    else:
        output.text(f"{deleted:,} records deleted")


def _question(
    opened: Opened, ids: list[str] | None, filter: dict[str, object] | None, document: list[str] | None
) -> str:
    collection = opened.collection
    if ids or document:
        count = f"{len(ids):,}" if ids else "the"
        return f"Delete {count} records of {collection.name}, {collection.scope}, that were named?"
    return f"Delete {collection.count(filter):,} records of {collection.name}, {collection.scope}?"
