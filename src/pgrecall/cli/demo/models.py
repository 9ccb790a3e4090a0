"""Which embeddings the demo works with: its own, or a class that the user names."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from pgrecall.cli.demo.corpus import slug
from pgrecall.cli.embedding import Specification
from pgrecall.cli.errors import BadUsage, CommandError

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Embeddings, and what to call them.

    Attributes:
        slug: Short name, fit for the name of a table; other arguments give another one.
        title: What it is, for people.
        embeddings: The embeddings.
        dimensions: Their length.
    """

    slug: str
    title: str
    embeddings: Embeddings
    dimensions: int


def load_model(specification: str | None) -> Model:
    """Return the embeddings that *specification* names; the demo's own for `None`.

    Raises:
        BadUsage: It is malformed, or there is no such class, or it cannot be made with these arguments.
        CommandError: The model does not work.
    """
    if specification is None:
        from pgrecall.cli.demo.lexical import DIMENSIONS, LexicalEmbeddings

        title = "the demo's own: no download, compares words and not meaning (--embeddings for a model)"
        return Model(slug="lexical", title=title, embeddings=LexicalEmbeddings(), dimensions=DIMENSIONS)
    asked = Specification.parse(specification)
    embeddings: Embeddings = asked.make(_class(asked))
    try:
        dimensions = len(embeddings.embed_query("how many dimensions?"))
    except Exception as error:
        raise CommandError(f"{asked.name} does not embed: {type(error).__name__}: {error}") from error
    name = slug(asked.name)
    if asked.arguments:
        name += "_" + blake2b(json.dumps(asked.arguments, sort_keys=True).encode(), digest_size=3).hexdigest()
    title = f"{asked.module}:{asked.name}"
    return Model(slug=name, title=title, embeddings=embeddings, dimensions=dimensions)


def _class(asked: Specification) -> type[Embeddings]:
    from langchain_core.embeddings import Embeddings

    found = asked.load()
    if not (inspect.isclass(found) and issubclass(found, Embeddings)):
        raise BadUsage(
            f"--embeddings: {asked.module} has something else as {asked.name}, which must be a class of LangChain's "
            "Embeddings"
        )
    return found
