"""``pgrecall doctor``: what the engine's checks find, and an exit code for it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from pgrecall.cli.errors import Found
from pgrecall.cli.opening import OfRows, OfTables, Opened, on_database
from pgrecall.errors import PermissionDenied, SchemaError
from pgrecall.findings import Verdict, fail

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pgrecall.findings import Finding

_STYLES: Final = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


@on_database
def doctor(
    opened: Opened,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="COLLECTION...", help="Which collections to look at; otherwise all of the schema."),
    ] = None,
    *,
    sample: Annotated[
        int, typer.Option(metavar="N", help="Searches of each collection that are held against exact ones; 0 for none.")
    ] = 20,
    strict: Annotated[bool, typer.Option("--strict", help="Let the exit code be 1 for warnings too.")] = False,
    rows: OfRows,
    table: OfTables,
) -> None:
    """Say what is wrong, and what to do about it.

    It looks at versions, rights, memory, settings, indexes, dead rows and recall, and changes nothing. The exit
    code is 1 where something fails.
    """
    opened.rows, opened.table = rows, table
    output = opened.output
    with output.waiting("looking at the server"):
        server = opened.client.check(schema=opened.schema)
    collections: dict[str, tuple[Finding, ...]] = {}
    for name in names or opened.client.list_collections(schema=opened.schema):
        with output.waiting(f"looking at {name}"):
            collections[name] = _check(opened, name, sample)
    every = [*server, *(finding for findings in collections.values() for finding in findings)]
    counted = Counter(finding.verdict for finding in every)
    counts = {verdict.value: counted[verdict] for verdict in Verdict}
    if output.json:
        output.document({"database": opened.address, "findings": server, "collections": collections, **counts})
    else:
        _show(opened, opened.address, server)
        for name, findings in collections.items():
            _show(opened, f"{opened.schema}.{name}", findings)
        output.text(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    if counted[Verdict.FAIL] or (strict and counted[Verdict.WARN]):
        raise Found


def _check(opened: Opened, name: str, sample: int) -> tuple[Finding, ...]:
    """Return what is to be said of a collection; one that cannot be looked at must not hide what the others have."""
    config = opened.config_of(name)
    try:
        return opened.open(config).check(sample=sample)
    except (SchemaError, PermissionDenied) as error:
        return (fail("table", str(error), "see that it can be read, or leave it out"),)


def _show(opened: Opened, title: str, findings: Iterable[Finding]) -> None:
    opened.output.text(Text(title, "bold"))
    opened.output.grid([_cells(finding) for finding in findings])
    opened.output.text("")


def _cells(finding: Finding) -> tuple[Text, Text, Text]:
    said = Text(finding.found)
    if finding.advice:
        said.append(f"\n> {finding.advice}", "dim")
    return Text(finding.verdict.value, _STYLES[finding.verdict]), Text(finding.check), said
