"""Long texts to chunks of about a thousand characters, cut where the text itself has joints."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK: Final = 1_000
# A heading ends the chunk before it, unless that would leave a crumb.
CRUMB: Final = 200

_FENCE: Final = re.compile(r"^ {0,3}(```|~~~)")
_HASHES: Final = re.compile(r"^ {0,3}#{1,6}\s+(.+?)[\s#]*$")
_UNDERLINE: Final = re.compile(r"^([=\-~^\"'`#*+:.])\1{2,}\s*$")
_DEFINITION: Final = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)")
_JOINTS: Final = ("\n", ". ", " ")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a text.

    Attributes:
        title: The heading that it is under; empty where there is none.
        text: The piece.
    """

    title: str
    text: str


@dataclass(slots=True)
class _Block:
    """Lines without an empty one among them."""

    lines: list[str]
    title: str | None = None


@dataclass(slots=True)
class _Draft:
    """The chunk that is being filled."""

    title: str = ""
    parts: list[str] = field(default_factory=list[str])

    def __len__(self) -> int:
        return sum(len(part) + 2 for part in self.parts)

    def finish(self) -> Iterator[Chunk]:
        text = "\n\n".join(self.parts).strip()
        self.parts.clear()
        if text:
            yield Chunk(self.title, text)


def split(text: str, suffix: str, size: int = CHUNK) -> list[Chunk]:
    """Return *text* in chunks of at most about *size* characters.

    Args:
        text: A whole file.
        suffix: ``.md``, ``.rst``, ``.py``, or another one for text without headings.
        size: Most characters of a chunk; a chunk may be shorter, and its title comes on top.
    """
    chunks: list[Chunk] = []
    draft = _Draft()
    for block in _blocks(text, _HEADINGS.get(suffix)):
        if block.title is not None:
            if len(draft) >= CRUMB:
                chunks += draft.finish()
            draft.title = block.title
        for part in _pieces("\n".join(block.lines), size):
            if draft.parts and len(draft) + len(part) > size:
                chunks += draft.finish()
            draft.parts.append(part)
    chunks += draft.finish()
    return chunks


def _blocks(text: str, heading: Callable[[str, str], str | None] | None) -> Iterator[_Block]:
    """Yield the paragraphs; a heading begins one, and within a fence there are none."""
    block = _Block([])
    fenced = False
    lines = text.splitlines()
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        title = None if fenced or heading is None else heading(line, following)
        if block.lines and (title is not None or not line.strip()):
            yield block
            block = _Block([])
        if title is not None:
            block.title = title
        if _FENCE.match(line):
            fenced = not fenced
        if line.strip():
            block.lines.append(line.rstrip())
    if block.lines:
        yield block


def _pieces(text: str, size: int) -> Iterator[str]:
    """Yield *text* in pieces that are not longer than *size*, cut at a line, a sentence or a word."""
    while len(text) > size:
        cut = next((at for joint in _JOINTS if (at := text.rfind(joint, size // 2, size)) > 0), size - 1) + 1
        yield text[:cut].rstrip()
        text = text[cut:].lstrip("\n ")
    if text:
        yield text


def _markdown_heading(line: str, _following: str) -> str | None:
    found = _HASHES.match(line)
    return found[1] if found else None


def _rst_heading(line: str, following: str) -> str | None:
    underlined = _UNDERLINE.match(following) and not _UNDERLINE.match(line)
    return line.strip() if underlined and line.strip() and not line.startswith(" ") else None


def _python_heading(line: str, _following: str) -> str | None:
    found = _DEFINITION.match(line)
    return found[1] if found else None


_HEADINGS: Final = {".md": _markdown_heading, ".rst": _rst_heading, ".py": _python_heading}
