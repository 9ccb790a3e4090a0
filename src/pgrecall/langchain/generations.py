"""What language models have answered, to text and back; only classes that are listed here are ever made of it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, GenerationChunk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.load.serializable import Serializable

# `langchain_core.load.loads` would do, but it is in beta and says so to our callers, and before 1.2.5 it took
# no list of classes.
_CLASSES: Final[Mapping[tuple[str, ...], type[Serializable]]] = {
    tuple(kind.lc_id()): kind
    for kind in (
        Generation,
        GenerationChunk,
        ChatGeneration,
        ChatGenerationChunk,
        AIMessage,
        AIMessageChunk,
        ChatMessage,
        ChatMessageChunk,
        FunctionMessage,
        FunctionMessageChunk,
        HumanMessage,
        HumanMessageChunk,
        SystemMessage,
        SystemMessageChunk,
        ToolMessage,
        ToolMessageChunk,
    )
}
_ESCAPED: Final = {"__lc_escaped__"}
_logger: Final = logging.getLogger("pgrecall")


def write(generations: Sequence[Generation]) -> str | None:
    """Return *generations* as text; `None` where they could not be read again, which is logged.

    An object in them that LangChain cannot serialise is read again as `None`.
    """
    try:
        text = f"[{','.join(map(dumps, generations))}]"
        _generations(text)
    except (TypeError, ValueError, RecursionError) as error:
        _logger.warning("an answer is not cached, because it could not be read again: %s", _reason(error))
        return None
    return text


def read(text: object) -> list[Generation] | None:
    """Return the generations that *text* holds; `None` where it holds anything else, which is logged."""
    try:
        return _generations(text)
    except (TypeError, ValueError, RecursionError) as error:
        _logger.warning("an entry of the cache cannot be read, and is passed over: %s", _reason(error))
        return None


def _generations(text: object) -> list[Generation]:
    revived = _revived(json.loads(text)) if isinstance(text, str) else None
    if not isinstance(revived, list) or not all(isinstance(one, Generation) for one in revived):
        msg = "it is no list of generations"
        raise ValueError(msg)
    return revived


def _revived(value: Any) -> Any:
    if isinstance(value, list):
        return [_revived(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == _ESCAPED:
        # Data that merely looks like an object, and may hold more of the kind.
        return value["__lc_escaped__"]
    if "lc" not in value:
        return {key: _revived(one) for key, one in value.items()}
    if value.get("type") == "not_implemented":
        return None
    name = value.get("id")
    kind = _CLASSES.get(tuple(map(str, name))) if isinstance(name, list) else None
    kwargs = value.get("kwargs")
    if kind is None or value.get("type") != "constructor" or not isinstance(kwargs, dict):
        msg = f"{name!r} is no message or generation of LangChain's"
        raise ValueError(msg)
    return kind(**_revived(kwargs))


def _reason(error: Exception) -> str:
    # What pydantic says repeats what it was given, which is nobody's business but the caller's.
    return str(error) if type(error) in (TypeError, ValueError) else type(error).__name__
