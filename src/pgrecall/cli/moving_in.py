"""``pgrecall migrate`` and ``pgrecall import``: records of another store, or of a file, are moved in and checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pgrecall.cli.errors import BadUsage, Found
from pgrecall.cli.looking import as_document
from pgrecall.cli.opening import Opened, on_collection
from pgrecall.cli.options import json_object
from pgrecall.cli.progress import shown
from pgrecall.cli.sources import Kind, SourceOptions
from pgrecall.config import HNSW, CollectionConfig
from pgrecall.moving import MoveOptions, RecordFile
from pgrecall.moving import migrate as move
from pgrecall.moving import plan as plan_of

if TYPE_CHECKING:
    from pgrecall.moving import MovePlan, MoveReport, Source

_NAMED: Final = 10


@dataclass(frozen=True, kw_only=True)
class Moving:
    """The options that say how it is moved, and what a collection that is made becomes."""

    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only show what becomes of each column, and the first records; write nothing."),
    ] = False
    rename_domains: Annotated[
        str | None,
        typer.Option(metavar="JSON", help='Domains that are to be called differently here: {"theirs": "ours"}.'),
    ] = None
    distance: Annotated[
        str | None, typer.Option(metavar="NAME", help="How embeddings are compared; as in the source unless given.")
    ] = None
    vector_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="vector, halfvec or bit; as in the source unless given.")
    ] = None
    sparse_dimensions: Annotated[
        int | None, typer.Option(metavar="N", help="Dimensions of sparse embeddings, where records have such.")
    ] = None
    index: Annotated[bool, typer.Option("--index", help="Build the vector index (HNSW) at the end.")] = False
    batch: Annotated[int, typer.Option(metavar="N", help="Records of a transaction, which a killed run keeps.")] = 2_000
    max_failures: Annotated[
        int, typer.Option(metavar="N", help="Most records of a domain that may be set aside before it stops.")
    ] = 1_000
    verify: Annotated[bool, typer.Option(help="Read the source once more and hold what is stored against it.")] = True
    sample: Annotated[int, typer.Option(metavar="N", help="Of how many records embeddings are compared too.")] = 1_000

    def options(self, opened: Opened) -> MoveOptions:
        """Return how to move.

        Raises:
            BadUsage: All domains were asked for, which a move takes as they are.
        """
        if opened.all_domains:
            raise BadUsage("--all-domains: the domains of the source are kept as they are unless --domain is given")
        domains = {} if self.rename_domains is None else json_object(self.rename_domains, "--rename-domains")
        return MoveOptions(
            domain=opened.rows.domain,
            domains=domains,
            write_batch=self.batch,
            max_failures=self.max_failures,
            verify=self.verify,
            sample=self.sample,
            index=HNSW() if self.index else None,
        )

    def config(self, opened: Opened) -> CollectionConfig:
        """Return where to move to, by the name of a table or of an alias."""
        given: dict[str, Any] = {"distance": self.distance, "vector_type": self.vector_type}
        return replace(writable(opened), sparse_dimensions=self.sparse_dimensions, **given)


@on_collection
def migrate(
    opened: Opened,
    *,
    kind: Annotated[Kind, typer.Option("--from", help="What the records are moved in from.", show_default=False)],
    where: SourceOptions,
    moving: Moving,
) -> None:
    """Move in from another store, and check it.

    Ids and embeddings stay as they are, and every record is looked up at the end. The store is only read.
    langchain-postgres is PGVector, langchain-postgres-v1 a table of PGVectorStore. A run that was interrupted goes
    on where it was; run again later, only what differs is written. The collection is made where it is missing. The
    exit code is 1 where something is not stored as it was read.
    """
    _run(opened, where.source(kind), moving)


@on_collection
def import_(
    opened: Opened,
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .jsonl, .ndjson, .csv or .parquet file.", show_default=False)
    ],
    mapping: Annotated[
        str | None,
        typer.Option(
            "--map",
            metavar="JSON",
            help='Fields that are called differently, by the field of a record that they fill: {"content": "body"}.',
        ),
    ] = None,
    moving: Moving,
) -> None:
    """Read records from a file, and check them.

    What export has written comes back just as it was. Files of others are understood too; fields that no record has
    become metadata. A run that was interrupted goes on where it was. The exit code is 1 where something is not
    stored as it was read.
    """
    _run(opened, RecordFile(path=file, fields={} if mapping is None else json_object(mapping, "--map")), moving)


def writable(opened: Opened) -> CollectionConfig:
    """Return the collection that a command writes to, which is made where it is missing; a name may be an alias."""
    config = replace(opened.config, setup="create")
    if not opened.client.describe_table(config.name, schema=config.schema):
        target = opened.client.list_aliases(schema=config.schema).get(config.name)
        config = config if target is None else replace(config, name=target)
    return config


def _run(opened: Opened, source: Source, moving: Moving) -> None:
    options, config, output = moving.options(opened), moving.config(opened), opened.output
    if moving.dry_run:
        with output.waiting("looking"):
            found = plan_of(source, opened.client, config, options=options)
        _show_plan(opened, found)
        return
    with shown(output) as show:
        report = move(source, opened.client, config, options=options, progress=show)
    _show_report(opened, report)
    if not report.ok:
        raise Found


def _show_plan(opened: Opened, found: MovePlan) -> None:
    output, config = opened.output, found.collection
    if output.json:
        output.document({"plan": found, "count": found.count})
        return
    made = "is there" if found.exists else f"is made: {config.new_vector_type.value}, {config.new_distance.value}"
    output.pairs(
        {
            "from": found.source,
            "records": f"{found.count:,}",
            "to": f"{config.schema}.{config.name}, which {made}",
            "dimensions": config.dimensions,
        }
    )
    output.table(("there", "type", "here"), [(one.theirs, one.type, one.ours or "left out") for one in found.fields])
    rows = [(part.theirs, part.count, part.domain) for part in found.parts[:_NAMED]]
    output.table(("part", "records", "domain"), rows, right=("records",))
    if (more := len(found.parts) - _NAMED) > 0:
        output.text(f"and {more:,} more parts: --json shows them")
    for number, record in enumerate(found.examples):
        output.text(f"example {number + 1}:")
        shown_fields = {name: value for name, value in as_document(record).items() if value is not None}
        if record.embedding is not None:
            shown_fields["embedding"] = f"{len(record.embedding)} numbers"
        output.pairs(shown_fields)
    for note in (*found.notes, *(f"cannot be stored: {fault}" for fault in found.faults)):
        output.remark(note)


def _show_report(opened: Opened, report: MoveReport) -> None:
    output, check = opened.output, report.verification
    if output.json:
        output.document({"report": report, "ok": report.ok})
        return
    rows = [
        (
            part.domain,
            part.count,
            part.report.resumed_at,
            part.report.written,
            part.report.unchanged,
            len(part.report.failed),
        )
        for part in report.parts[:_NAMED]
    ]
    names = ("domain", "records", "done before", "written", "unchanged", "set aside")
    output.table(names, rows, right=names[1:])
    if (more := len(report.parts) - _NAMED) > 0:
        output.text(f"and {more:,} more: --json shows them")
    failures = [failure for part in report.parts for failure in part.report.failed]
    for failure in failures[:_NAMED]:
        output.remark(f"set aside: {failure.id or f'number {failure.position}'}: {failure.reason}")
    if len(failures) > _NAMED:
        output.remark(f"and {len(failures) - _NAMED:,} more: --json shows them")
    output.text(f"{report.written:,} records written in {report.seconds:.1f} s")
    output.text("not verified" if check is None else str(check))
