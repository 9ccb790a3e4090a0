"""``pgrecall reembed``: a second embedding model beside the first, switched to and back, and the first dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgrecall.cli.embedding import load_embeddings
from pgrecall.cli.errors import BadUsage, CommandError, Found
from pgrecall.cli.opening import EmbeddingsOption, Opened, YesOption, on_table
from pgrecall.cli.progress import shown

if TYPE_CHECKING:
    from pgrecall.collection import ReembedReport

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="What the new embeddings are called.", show_default=False)
]
MissingOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="Most records that may lack an embedding of this model; they are not found."),
]


@on_table
def run(
    opened: Opened,
    name: NameArgument,
    *,
    embeddings: EmbeddingsOption = None,
    dimensions: Annotated[
        int | None, typer.Option(metavar="N", help="Length of the new embeddings; asked of the model unless given.")
    ] = None,
    vector_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Type of the new column; that of the first one unless given.")
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", help="Texts of one embedding call.")] = 64,
    calls: Annotated[int, typer.Option(metavar="N", help="Embedding calls at a time.")] = 4,
    load: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the time in which the server is kept busy.")
    ] = 0.5,
    sample: Annotated[
        int, typer.Option(metavar="N", help="Records whose neighbours are compared by both models; 0 for none.")
    ] = 100,
) -> None:
    """Embed all content with another model, while everybody carries on.

    It can be killed and run again: what is embedded stays. Nothing is switched. The exit code is 1 where the model
    refused records.
    """
    from pgrecall.collection import ReembedOptions

    if embeddings is None:
        raise BadUsage("say with which model, with --embeddings")
    chosen: dict[str, Any] = {"vector_type": vector_type}
    options = ReembedOptions(embed_batch=batch, embed_calls=calls, load=load, sample=sample, **chosen)
    model = load_embeddings(embeddings)
    collection = opened.collection
    with shown(opened.output) as show:
        report = collection.reembed(model.texts, model=name, dimensions=dimensions, options=options, on_progress=show)
    _show_report(opened, report)
    if report.failed:
        raise Found


def _show_report(opened: Opened, report: ReembedReport) -> None:
    if opened.output.json:
        opened.output.document(report)
        return
    opened.output.text(str(report))
    if report.failed:
        rows = [(failure.id, failure.reason) for failure in report.failed[:20]]
        opened.output.table(("not embedded", "why"), rows)


@on_table
def status(opened: Opened) -> None:
    """Show the models whose embeddings the collection has, which are ready, and which is current."""
    found = opened.collection.models()
    if opened.output.json:
        opened.output.document({"models": found})
        return
    rows = [(model.name, "ready" if model.ready else "being made", model.current) for model in found]
    opened.output.table(("model", "state", "current"), rows)


@on_table
def switch(opened: Opened, name: NameArgument, max_missing: MissingOption = 0) -> None:
    """Make the embeddings of a model the current ones, which `current()` gives from this moment on."""
    _switch(opened, name, max_missing)


@on_table
def rollback(opened: Opened, max_missing: MissingOption = 0) -> None:
    """Make the other model the current one again; where there are more than two, name one with switch."""
    found = opened.collection.models()
    others = [model.name for model in found if model.ready and not model.current]
    if len(others) != 1:
        names = ", ".join(others) or "none"
        raise CommandError(f"the model to go back to is not clear; beside the current one are ready: {names}")
    _switch(opened, others[0], max_missing)


@on_table
def drop(opened: Opened, name: NameArgument, yes: YesOption = False) -> None:
    """Drop the embeddings of a model, and their index, for good."""
    question = f"Drop all embeddings of model {name!r} of {opened.collection.name}?"
    opened.output.confirm(question, yes=yes)
    opened.collection.drop_model(name)
    if opened.output.json:
        opened.output.document({"dropped": name})
    else:
        opened.output.text(f"model {name} is dropped")


def _switch(opened: Opened, name: str, max_missing: int | None) -> None:
    before = opened.collection.switch_model(name, max_missing=max_missing)
    if opened.output.json:
        opened.output.document({"current": name, "before": before})
    else:
        opened.output.text(f"{name} is current, and {before} was before")
