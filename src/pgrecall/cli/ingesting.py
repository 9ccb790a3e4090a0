"""``pgrecall ingest``: texts of folders and files are cut to chunks, embedded and stored."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pgrecall import portal
from pgrecall.cli.demo.folder import SUFFIXES
from pgrecall.cli.embedding import load_embeddings
from pgrecall.cli.errors import BadUsage, Found
from pgrecall.cli.folders import Texts
from pgrecall.cli.moving_in import writable
from pgrecall.cli.opening import EmbeddingsOption, Opened, on_collection
from pgrecall.cli.options import json_object
from pgrecall.cli.progress import Step, shown
from pgrecall.moving import RecordFile
from pgrecall.moving.files import SUFFIXES as RECORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pgrecall.collection import Collection, IngestProgress, IngestReport
    from pgrecall.config import CollectionConfig

_NAMED: Final = 10


@dataclass(frozen=True, kw_only=True)
class Batches:
    """The options that say how much is done at a time."""

    embed_batch: Annotated[int, typer.Option(metavar="N", help="Texts of one call of the model.")] = 64
    embed_calls: Annotated[int, typer.Option(metavar="N", help="Calls of the model that are made at a time.")] = 4
    batch: Annotated[int, typer.Option(metavar="N", help="Records of a transaction, which a killed run keeps.")] = 2_000
    max_failures: Annotated[
        int, typer.Option(metavar="N", help="Most records that may be set aside before it stops.")
    ] = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What is ingested at a time.

    Attributes:
        title: What it is, for people.
        run: Name of the run: another one once the source has changed.
        domain: The domain that it names; `None` where it names none.
        items: Returns the items from a position on, for the blocking or the asynchronous `ingest`.
        convert: Makes records of items; `None` where they are some.
        total: How many there are; `None` where that is not known.
        skipped: Files that could not be read, and why.
    """

    title: str
    run: str
    domain: str | None
    items: Callable[[int], Any]
    convert: Callable[[Any], Any] | None
    total: int | None
    skipped: list[str]


@on_collection
def ingest(
    opened: Opened,
    *,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help=f"Folders and files of text ({', '.join(SUFFIXES)}), or files of records ({', '.join(RECORDS)}).",
            show_default=False,
        ),
    ],
    embeddings: EmbeddingsOption = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            "--map",
            metavar="JSON",
            help='Fields of files of records that are called differently: {"content": "body"}.',
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Go on where an earlier attempt at the same files ended, if one was interrupted.")
    ] = True,
    batches: Batches,
) -> None:
    """Embed the texts of folders and files, and store them.

    Files of text are cut to chunks; of files of records each row is a text. What is stored just so already is
    neither embedded nor written. Records that bring their embedding are written as they are. The collection is made
    where it is missing. The exit code is 1 where records were set aside.
    """
    if opened.all_domains:
        raise BadUsage("--all-domains: say --domain, or leave it out where the files name the domains")
    model = None if embeddings is None else load_embeddings(embeddings)
    mapped: dict[str, Any] = {} if mapping is None else json_object(mapping, "--map")
    sources = list(_sources(paths, mapped))
    if model is None and any(source.convert is None for source in sources):
        raise BadUsage("texts must be embedded: say --embeddings")
    config = writable(opened)
    reports: list[IngestReport] = []
    with shown(opened.output) as show:
        for source in sources:
            name = opened.rows.domain if opened.rows.domain is not None else source.domain
            target = opened.client.collection(config, domain=name or opened.domain)

            def tell(progress: IngestProgress, title: str = source.title) -> None:
                share = progress["percent"]
                phase = f"{progress['processed']:,} read, {progress['written']:,} written"
                show(Step(title, phase, None if share is None else share / 100))

            run = source.run if resume else None
            reports.append(_take_in(target, source, model and model.texts, run, batches, tell))
    _show(opened, config, sources, reports)
    if any(report.failed for report in reports):
        raise Found


def _take_in(
    target: Collection,
    source: _Source,
    embed: Callable[[list[str]], Any] | None,
    run: str | None,
    batches: Batches,
    tell: Callable[[IngestProgress], None],
) -> IngestReport:
    from pgrecall.collection import IngestOptions

    options = IngestOptions(
        embed_batch=batches.embed_batch,
        embed_calls=batches.embed_calls,
        write_batch=batches.batch,
        max_failures=batches.max_failures,
        hash_ids=True,
        convert=source.convert,
        total=source.total,
    )
    if source.convert is None:
        # Files of text are read here, while the engine embeds and writes on its own thread.
        return target.ingest(source.items, embed=embed, run=run, options=options, on_progress=tell)
    taken = target.asynchronous.ingest(source.items, embed=embed, run=run, options=options, on_progress=tell)
    return portal.call(taken)


def _sources(paths: list[Path], mapped: dict[str, Any]) -> Iterator[_Source]:
    """Return what is at *paths*: all texts as one source, of each file of records its domains.

    Raises:
        BadUsage: There is nothing there, or nothing of a kind that is read.
        ConfigError: A file of records cannot be read.
    """
    texts: list[Path] = []
    for path in paths:
        if not path.expanduser().exists():
            raise BadUsage(f"{path} does not exist")
        if path.is_dir() or path.suffix.lower() in SUFFIXES:
            texts.append(path)
        elif path.suffix.lower() not in RECORDS:
            raise BadUsage(f"{path}: what is read ends in one of {', '.join((*SUFFIXES, *RECORDS))}")
    if mapped and len(texts) == len(paths):
        raise BadUsage("--map is about the fields of files of records, and there is none")
    if texts:
        yield _of_texts(texts)
    for path in paths:
        if path not in texts:
            yield from _of_records(path, mapped)


def _of_texts(paths: list[Path]) -> _Source:
    texts = Texts(tuple(paths))
    return _Source(
        title=", ".join(str(path) for path in paths),
        run=f"ingest {texts.marker()}",
        domain=None,
        items=texts.records,
        convert=None,
        total=None,
        skipped=texts.skipped,
    )


def _of_records(path: Path, mapped: dict[str, Any]) -> Iterator[_Source]:
    opened = portal.call(RecordFile(path=path, fields=mapped).open())
    for part in opened.parts:
        yield _Source(
            title=f"{path} ({part.theirs})" if len(opened.parts) > 1 else str(path),
            run=f"ingest {blake2b(opened.run(part).encode(), digest_size=12).hexdigest()}",
            domain=part.domain,
            items=part.rows.items,
            convert=opened.convert,
            total=part.count,
            skipped=[],
        )


def _show(opened: Opened, config: CollectionConfig, sources: list[_Source], reports: list[IngestReport]) -> None:
    output = opened.output
    skipped = [reason for source in sources for reason in source.skipped]
    if output.json:
        found = [{"source": source.title, "report": report} for source, report in zip(sources, reports, strict=True)]
        output.document({"collection": f"{config.schema}.{config.name}", "sources": found, "skipped": skipped})
        return
    for reason in skipped[:_NAMED]:
        output.remark(f"passed over: {reason}")
    failures = [failure for report in reports for failure in report.failed]
    for failure in failures[:_NAMED]:
        output.remark(f"set aside: {failure.id or f'number {failure.position}'}: {failure.reason}")
    if (more := max(len(skipped) - _NAMED, 0) + max(len(failures) - _NAMED, 0)) > 0:
        output.remark(f"and {more:,} more: --json shows them")
    names = ("source", "done before", "read", "written", "unchanged", "set aside", "seconds")
    rows = [
        (
            source.title,
            report.resumed_at,
            report.read,
            report.written,
            report.unchanged,
            len(report.failed),
            round(report.seconds, 1),
        )
        for source, report in zip(sources, reports, strict=True)
    ]
    output.table(names, rows, right=names[1:])
