"""Which embeddings the demo works with: its own, or a class that the user names."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from pgrecall.cli.corpus import slug
from pgrecall.cli.errors import BadUsage, CommandError

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

_SPECIFICATION: Final = re.compile(r"^(?P<module>[\w.]+):(?P<name>\w+)(?:=(?P<arguments>.*))?$", re.DOTALL)
_FORM: Final = 'write package.module:ClassName or package.module:ClassName={"argument": "value"}'


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
        from pgrecall.cli.lexical import DIMENSIONS, LexicalEmbeddings

        title = "the demo's own: no download, compares words and not meaning (--embeddings for a model)"
        return Model(slug="lexical", title=title, embeddings=LexicalEmbeddings(), dimensions=DIMENSIONS)
    found = _SPECIFICATION.match(specification)
    if found is None:
        raise BadUsage(f"--embeddings {specification!r} cannot be read: {_FORM}")
    arguments = _arguments(found["arguments"])
    embeddings = _make(_find(found["module"], found["name"]), arguments)
    try:
        dimensions = len(embeddings.embed_query("how many dimensions?"))
    except Exception as error:
        raise CommandError(f"{found['name']} does not embed: {type(error).__name__}: {error}") from error
    name = slug(found["name"])
    if arguments:
        name += "_" + blake2b(json.dumps(arguments, sort_keys=True).encode(), digest_size=3).hexdigest()
    title = f"{found['module']}:{found['name']}"
    return Model(slug=name, title=title, embeddings=embeddings, dimensions=dimensions)


def _arguments(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise BadUsage(f"the arguments in --embeddings are not JSON ({error}): {_FORM}") from error
    if not isinstance(arguments, dict):
        raise BadUsage(f"the arguments in --embeddings must be a JSON object: {_FORM}")
    return {str(name): value for name, value in arguments.items()}


def _find(module: str, name: str) -> type[Embeddings]:
    from langchain_core.embeddings import Embeddings

    # A class of the user's own is most often in the current directory, where scripts do not look by themselves.
    if "" not in sys.path:
        sys.path.append("")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise BadUsage(f"--embeddings: cannot import {module}: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, Embeddings)):
        what = "has no" if found is None else "has something else as"
        raise BadUsage(f"--embeddings: {module} {what} {name}, which must be a class of LangChain's Embeddings")
    return found


def _make(wanted: type[Embeddings], arguments: dict[str, Any]) -> Embeddings:
    try:
        return wanted(**arguments)
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        raise BadUsage(f"--embeddings: {wanted.__name__} cannot be made with {arguments}: {message}") from error
