"""What the demo reads: passages of text, each with an id that says what it is and where it is from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

ID_PREFIX: Final = "doc_"
_SLUG_LENGTH: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of text that is embedded, stored and found as one.

    Attributes:
        origin: Where it is from: a file, or a name in a module.
        text: The text.
        metadata: What filters see.
    """

    origin: str
    text: str
    metadata: dict[str, Any]

    @property
    def id(self) -> str:
        """The same for the same text of the same origin: what has not changed is known by it."""
        content = f"{self.origin}\0{self.text}".encode("utf-8", "replace")
        return ID_PREFIX + blake2b(content, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something to ask, and a filter to ask it again under.

    Attributes:
        text: The question.
        filter: A metadata key and the value wanted; `None` takes it from the best row found.
    """

    text: str
    filter: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Passages that belong together.

    Attributes:
        slug: Short name, fit for the name of a table.
        title: What it is, for people.
        passages: The passages, by id.
        questions: What it answers well.
        filter_key: The metadata key that groups its passages.
        name_key: The metadata key that says which passage it is.
        files: How many files were read.
        skipped: Files that could not be read, and why.
    """

    slug: str
    title: str
    passages: dict[str, Passage]
    questions: tuple[Question, ...]
    filter_key: str
    name_key: str
    files: int
    skipped: tuple[str, ...] = field(default=())


def by_id(passages: list[Passage], limit: int | None) -> dict[str, Passage]:
    """Return the first *limit* passages by their ids; those with the same text and origin are one."""
    known = {passage.id: passage for passage in passages}
    return known if limit is None else dict(list(known.items())[:limit])


def slug(text: str) -> str:
    """Return *text* as a short part of a table's name."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:_SLUG_LENGTH].rstrip("_") or "text"
