"""``pgrecall demo``: documents in, questions answered, through both frameworks."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

import typer
from rich.console import Console

from pgrecall.checks import MAX_IDENTIFIER_BYTES
from pgrecall.cli.demo.corpus import Corpus, Question
from pgrecall.cli.demo.folder import read_folder
from pgrecall.cli.demo.python_docs import read_python_docs
from pgrecall.cli.demo.report import Report, duration
from pgrecall.cli.errors import BadUsage, CommandError, one_line_errors
from pgrecall.cli.opening import DebugOption, JsonOption
from pgrecall.cli.output import to_json
from pgrecall.collection import Client, Collection
from pgrecall.config import CollectionConfig
from pgrecall.distance import VectorType
from pgrecall.errors import ConfigError
from pgrecall.postgres import from_environment

if TYPE_CHECKING:
    from pgrecall.cli.demo.asking import Asked, Asker, Round
    from pgrecall.cli.demo.models import Model
    from pgrecall.langchain import PGRecallVectorStore

DIRECTORY: Final = ".pgrecall"
# pgvector indexes vectors up to this length; as half-precision numbers twice as many.
_MAX_INDEXED: Final = 2_000
_ROOM_FOR_SUFFIXES: Final = 16


def demo(
    *,
    docs: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Read the .md, .rst, .txt and .py files below this folder; "
            "otherwise the documentation strings of Python's standard library.",
        ),
    ] = None,
    query: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Ask this instead of the demo's own questions.")
    ] = None,
    embeddings: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="LangChain embeddings: package.module:Class, or package.module:Class={json arguments}; "
            "otherwise the demo's own, which know words but not meaning.",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="PostgreSQL to use; otherwise PGRECALL_URL, DATABASE_URL, or an embedded server "
            f"in {DIRECTORY}/ here.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Read only the first N passages.")] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Store documents, and ask both frameworks about them."""
    with one_line_errors(debug=debug, json=json):
        if query is not None and not query.strip():
            raise BadUsage("--query is empty")
        report = Report(Console(highlight=False, soft_wrap=False, stderr=json))
        corpus = _read(report, docs, limit)
        model = _load(report, embeddings)
        with _connected(report, url, _config(corpus, model)) as collection:
            store, written = _fill(report, collection, corpus, model)
            asked = _ask(store, corpus, model, query)
            if json:
                print(to_json({"collection": collection.name, "rows": written, "questions": asked}))
            else:
                report.answers(asked, corpus.name_key, collection.name)


def _read(report: Report, docs: Path | None, limit: int | None) -> Corpus:
    with report.spinner("reading the texts"):
        corpus = read_python_docs(limit) if docs is None else read_folder(docs, limit)
    report.corpus(corpus)
    return corpus


def _load(report: Report, embeddings: str | None) -> Model:
    with report.spinner("loading LangChain and LlamaIndex"):
        try:
            for framework in ("langchain_core.documents", "llama_index.core"):
                importlib.import_module(framework)
        except ModuleNotFoundError as error:
            missing = (error.name or str(error)).partition(".")[0]
            raise CommandError(
                f"the demo needs LangChain and LlamaIndex, and {missing} is missing: "
                "pip install 'pgrecall[langchain,llama-index]'"
            ) from error
        from pgrecall.cli.demo.models import load_model

        model = load_model(embeddings)
    report.step("embeddings", model.title)
    return model


@contextmanager
def _connected(report: Report, url: str | None, config: CollectionConfig) -> Generator[Collection]:
    """Give the collection in the database that is asked for, else in one in the current directory."""
    own = None
    if url is None and from_environment() is None:
        own = Path.cwd() / DIRECTORY
        url = f"embedded://{quote(os.fsencode(own))}"
    try:
        client = Client(url)
    except ConfigError as error:
        raise BadUsage(str(error)) from error
    with client:
        with report.spinner("starting PostgreSQL" if own else "connecting"):
            collection = client.get_or_create_collection(config)
            server = client.server()
        if own is not None:
            _keep_out_of_git(own)
        where = repr(client).removeprefix("<Client ").removesuffix(">") if own is None else f"embedded, in {DIRECTORY}/"
        vector = ".".join(map(str, server.vector_version or ()))
        report.step("database", f"PostgreSQL {server.version // 10_000} with pgvector {vector}: {where}")
        yield collection


def _keep_out_of_git(directory: Path) -> None:
    ignore = directory / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


def _fill(
    report: Report, collection: Collection, corpus: Corpus, model: Model
) -> tuple[PGRecallVectorStore, dict[str, int]]:
    """Bring the corpus's collection up to date, and see that it has its index; return also how many rows were what."""
    from pgrecall.cli.demo import syncing
    from pgrecall.langchain import PGRecallVectorStore

    store = PGRecallVectorStore(model.embeddings, collection)
    started = time.perf_counter()
    with report.spinner("comparing with what is stored"):
        difference = syncing.compare(collection, corpus.passages)
    with report.progress() as progress:
        task = progress.add_task("embedding and writing", total=len(difference.new), visible=bool(difference.new))
        syncing.apply(store, difference, lambda count: progress.advance(task, count))
    report.written(difference, collection.name, time.perf_counter() - started)
    if syncing.wants_index(collection):
        started = time.perf_counter()
        with report.spinner(f"building the HNSW index over {len(corpus.passages):,} rows"):
            obstacle = syncing.build_index(collection)
        took = f"HNSW, built in {duration(time.perf_counter() - started)}"
        report.step("index", took if obstacle is None else f"none: {obstacle}")
    return store, difference.counts


def _config(corpus: Corpus, model: Model) -> CollectionConfig:
    """Return the collection of this corpus with these embeddings; each pair has its own."""
    name = f"demo_{corpus.slug}_{model.slug}_{model.dimensions}"
    if len(name) > MAX_IDENTIFIER_BYTES - _ROOM_FOR_SUFFIXES:
        digest = blake2b(name.encode(), digest_size=4).hexdigest()
        name = f"{name[: MAX_IDENTIFIER_BYTES - _ROOM_FOR_SUFFIXES - len(digest) - 1]}_{digest}"
    vector_type = VectorType.HALFVEC if model.dimensions > _MAX_INDEXED else VectorType.VECTOR
    return CollectionConfig(name=name, dimensions=model.dimensions, vector_type=vector_type)


def _ask(store: PGRecallVectorStore, corpus: Corpus, model: Model, query: str | None) -> list[Asked]:
    from pgrecall.cli.demo.asking import Asked, Asker

    asker = Asker(store, model.embeddings)
    questions = corpus.questions if query is None else (Question(text=query),)
    # The first call pays for connections, prepared statements and imports, and is no measure of a search.
    _rounds(asker, questions[0], corpus.filter_key)
    return [Asked(question=one.text, rounds=_rounds(asker, one, corpus.filter_key)) for one in questions]


def _rounds(asker: Asker, question: Question, filter_key: str) -> list[Round]:
    """Ask without a filter, and again under the question's own one, or that of the best row."""
    anywhere = asker.ask(question.text)
    wanted = question.filter
    if wanted is None and anywhere.langchain.rows:
        wanted = (filter_key, str(anywhere.langchain.rows[0].metadata[filter_key]))
    return [anywhere] if wanted is None else [anywhere, asker.ask(question.text, wanted)]
