"""How an embedding model is named on the command line, and called.

``package.module:attribute`` is any of: a function of a list of texts, also one that is awaited; an object, or a class
that makes one, of LangChain's ``Embeddings`` or LlamaIndex's ``BaseEmbedding``, or with a method ``encode`` as
sentence-transformers have it. ``package.module:Class={"argument": "value"}`` makes the class with these arguments.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pgrecall import portal
from pgrecall.cli.errors import BadUsage, CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

_SPECIFICATION: Final = re.compile(r"^(?P<module>[\w.]+):(?P<name>[\w.]+)(?:=(?P<arguments>.*))?$", re.DOTALL)
_FORM: Final = 'write package.module:ClassName or package.module:ClassName={"argument": "value"}'
LEXICAL: Final = "lexical"
"""A short name for the demo's own embeddings: 512 dimensions, no download, words and not meaning."""
_LEXICAL_PATH: Final = "pgrecall.cli.demo.lexical:LexicalEmbeddings"
# What calls each kind of model with texts, and with a question; the first that is there is taken.
_TEXTS: Final = ("embed_documents", "get_text_embedding_batch", "encode")
_QUERY: Final = ("embed_query", "get_query_embedding")


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """What was said after ``--embeddings``.

    Attributes:
        module: Where it is imported from.
        name: What is imported; dots go into classes.
        arguments: What a class is made with.
    """

    module: str
    name: str
    arguments: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> Specification:
        """Return what *text* says.

        Raises:
            BadUsage: It is malformed.
        """
        found = _SPECIFICATION.match(text)
        if found is None:
            # What may be a class's arguments, and a key among them, is not repeated.
            raise BadUsage(f"--embeddings {text.partition('=')[0]!r} cannot be read: {_FORM}")
        return cls(module=found["module"], name=found["name"], arguments=_arguments(found["arguments"]))

    def load(self) -> Any:
        """Return what is called so; a class of the user's own may be in the current directory.

        Raises:
            BadUsage: There is none.
        """
        if "" not in sys.path:
            sys.path.append("")
        try:
            found: Any = importlib.import_module(self.module)
        except Exception as error:
            # A module of the user's own may fail in any way.
            raise BadUsage(f"--embeddings: cannot import {self.module}: {error or type(error).__name__}") from error
        for part in self.name.split("."):
            found = getattr(found, part, None)
        if found is None:
            raise BadUsage(f"--embeddings: {self.module} has no {self.name}")
        return found

    def make(self, wanted: Callable[..., Any]) -> Any:
        """Return what *wanted* makes of the arguments.

        Raises:
            BadUsage: It cannot be made so.
        """
        try:
            return wanted(**self.arguments)
        except Exception as error:
            # The arguments may hold a key, so only their names are shown.
            names = ", ".join(self.arguments) or "no arguments"
            message = f"{type(error).__name__}: {error}"
            for value in self.arguments.values():
                message = message.replace(str(value), "…") if isinstance(value, str) and value else message
            raise BadUsage(f"--embeddings: {self.name} cannot be made with {names}: {message}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingModel:
    """A model, as the engine's verbs take one.

    Attributes:
        name: What it was called on the command line, without its arguments.
        texts: Takes texts and returns one embedding each, or an awaitable of them: what `ingest` and `reembed` want.
        question: Takes one text that is searched for, and returns its embedding, or an awaitable of it.
    """

    name: str
    texts: Callable[[list[str]], Any]
    question: Callable[[str], Any]

    def ask(self, text: str) -> Any:
        """Return the embedding of a text that is searched for.

        Raises:
            CommandError: The model does not work.
        """
        try:
            found = self.question(text)
            return portal.call(_awaited(found)) if inspect.isawaitable(found) else found
        except Exception as error:
            raise CommandError(f"{self.name} does not embed: {type(error).__name__}: {error}") from error


def load_embeddings(text: str) -> EmbeddingModel:
    """Return the model that ``--embeddings`` names.

    Raises:
        BadUsage: It is malformed, or there is no such model, or it cannot be made with these arguments.
    """
    asked = Specification.parse(_LEXICAL_PATH if text == LEXICAL else text)
    found = asked.load()
    if inspect.isclass(found):
        found = asked.make(found)
    elif asked.arguments:
        raise BadUsage(f"--embeddings: {asked.name} is no class, which could be made with arguments")
    texts: Any = next((method for name in _TEXTS if callable(method := getattr(found, name, None))), None)
    if texts is None and callable(found):
        texts = found
    if texts is None:
        raise BadUsage(
            f"--embeddings: {asked.module}:{asked.name} is a {type(found).__name__}, and neither a function of texts "
            f"nor something with a method {', '.join(_TEXTS)}"
        )
    question: Any = next((method for name in _QUERY if callable(method := getattr(found, name, None))), None)
    name = LEXICAL if text == LEXICAL else f"{asked.module}:{asked.name}"
    return EmbeddingModel(name=name, texts=texts, question=question or _first_of(texts))


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


def _first_of(texts: Callable[[list[str]], Any]) -> Callable[[str], Any]:
    """Return what embeds one text with a model that takes several."""

    def question(text: str) -> Any:
        found = texts([text])
        return _first(found) if inspect.isawaitable(found) else found[0]

    return question


async def _first(found: Any) -> Any:
    return (await found)[0]


async def _awaited(found: Any) -> Any:
    return await found
