"""``pgrecall search``: asks a collection by an embedding, by words, or by both."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from pgrecall.cli.embedding import load_embeddings
from pgrecall.cli.errors import BadUsage
from pgrecall.cli.looking import as_document
from pgrecall.cli.opening import EmbeddingsOption, FilterOption, Opened, on_collection
from pgrecall.cli.options import json_object, json_value
from pgrecall.cli.output import Output, cell, shortened
from pgrecall.config import SearchOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.collection import Collection
    from pgrecall.records import Match

_CONTENT: Final = 160
_METADATA: Final = 80


@dataclass(frozen=True, kw_only=True)
class _Question:
    """What is asked.

    Attributes:
        text: The words; `None` where only an embedding is searched for.
        embedding: The embedding; `None` where only words are.
        k: Records wanted.
        filter: Which metadata they must have.
        score_threshold: The least score, if there is one.
        exact: Whether all rows are compared.
    """

    text: str | None
    embedding: Any
    k: int
    filter: dict[str, Any] | None
    score_threshold: float | None
    exact: bool

    def ask(self, collection: Collection) -> list[Match]:
        """Return what is found, best first."""
        if self.embedding is None:
            return collection.search_keyword(
                self.text or "", self.k, filter=self.filter, score_threshold=self.score_threshold
            )
        if self.text is not None:
            return collection.search_hybrid(self.text, self.embedding, self.k, filter=self.filter)
        options = SearchOptions(exact=self.exact)
        return collection.search(
            self.embedding, self.k, filter=self.filter, score_threshold=self.score_threshold, options=options
        )

    def explain(self, collection: Collection) -> Any:
        """Return how it is searched for."""
        if self.embedding is None:
            return collection.explain_keyword(self.text or "", self.k, filter=self.filter)
        options = SearchOptions(exact=self.exact)
        return collection.explain(self.embedding, self.k, filter=self.filter, options=options)


@on_collection
def search(
    opened: Opened,
    *,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="What is searched for, in words.", show_default=False)
    ] = None,
    embeddings: EmbeddingsOption = None,
    vector: Annotated[
        str | None,
        typer.Option(
            metavar="VECTOR",
            help="An embedding to search for: JSON, or a file with JSON or of NumPy (.npy); - reads JSON from "
            "standard input.",
        ),
    ] = None,
    keyword: Annotated[bool, typer.Option("--keyword", help="Search by the words alone (BM25).")] = False,
    hybrid: Annotated[bool, typer.Option("--hybrid", help="Search by the words and by the embedding.")] = False,
    k: Annotated[int, typer.Option("-k", metavar="N", help="Most records that are found.")] = 10,
    filter: FilterOption = None,
    score_threshold: Annotated[float | None, typer.Option(metavar="SCORE", help="Leave out what scores less.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare all rows; use no vector index.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say too how it was searched.")] = False,
) -> None:
    """Find records by meaning, by words, or by both.

    TEXT is embedded with --embeddings; --vector gives an embedding instead. --keyword needs neither, --hybrid needs
    TEXT and one of them.
    """
    if keyword and (hybrid or embeddings is not None or vector is not None):
        raise BadUsage("--keyword searches by words alone: leave out --hybrid, --embeddings and --vector")
    if (keyword or hybrid) and not (text and text.strip()):
        raise BadUsage("say which words are searched for")
    if hybrid and score_threshold is not None:
        raise BadUsage("--score-threshold is not for --hybrid, whose scores say which is better and not how good")
    if exact and (keyword or hybrid):
        raise BadUsage("--exact is for searches by an embedding alone")
    question = _Question(
        text=text if keyword or hybrid else None,
        embedding=None if keyword else _embedding(text, embeddings, vector, hybrid=hybrid),
        k=k,
        filter=None if filter is None else json_object(filter, "--filter"),
        score_threshold=score_threshold,
        exact=exact,
    )
    if explain and hybrid:
        raise BadUsage("--explain is for searches by an embedding, or by words, alone")
    collection = opened.collection
    with opened.output.waiting("searching"):
        found = question.ask(collection)
        plan = question.explain(collection) if explain else None
    _show(opened.output, found, plan, domains=opened.all_domains)


def _embedding(text: str | None, embeddings: str | None, vector: str | None, *, hybrid: bool) -> Any:
    if vector is not None:
        if embeddings is not None or (text is not None and not hybrid):
            raise BadUsage("--vector is searched for instead of TEXT: leave out TEXT and --embeddings, or say --hybrid")
        return read_vector(vector)
    if text is None or not text.strip():
        raise BadUsage("say what is searched for: TEXT with --embeddings or --keyword, or --vector")
    if embeddings is None:
        raise BadUsage("say with which model TEXT is embedded, with --embeddings, or search by words with --keyword")
    return load_embeddings(embeddings).ask(text)


def read_vector(given: str) -> Any:
    """Return the embedding that ``--vector`` gives: JSON itself, or a file.

    Raises:
        BadUsage: There is no such file, or it holds something else.
    """
    if given.lstrip().startswith("["):
        return _numbers(given)
    if given == "-":
        return _numbers(sys.stdin.read())
    path = Path(given)
    try:
        if path.suffix == ".npy":
            import numpy as np

            return np.load(path, allow_pickle=False)
        return _numbers(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadUsage(f"--vector: {path} cannot be read: {error}") from error


def _numbers(text: str) -> list[float]:
    found = json_value(text, "--vector")
    if not isinstance(found, list):
        raise BadUsage(f"--vector must be a list of numbers, not {type(found).__name__}")
    return cast("list[float]", found)


def _show(output: Output, found: Sequence[Match], plan: Any, *, domains: bool) -> None:
    if output.json:
        matches = [as_document(match) for match in found]
        output.document({"matches": matches} if plan is None else {"matches": matches, "plan": plan})
        return
    if plan is not None:
        output.remark(str(plan))
    if not found:
        output.remark("nothing found")
        return
    named = ("domain",) if domains else ()
    rows = [
        (
            match.score,
            *((match.domain_id,) if domains else ()),
            match.id,
            shortened(match.content or "", _CONTENT),
            shortened(cell(match.metadata), _METADATA),
        )
        for match in found
    ]
    output.table(("score", *named, "id", "content", "metadata"), rows, right=("score",))
