"""What a caller's words ask for: ``locks -"table lock" "row level" postg*``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pgrecall.errors import ConfigError

MAX_QUERY_CHARACTERS: Final = 100_000
# As PostgreSQL's websearch_to_tsquery has it: a minus excludes where a word begins, quotes hold a phrase.
_PART: Final = re.compile(r'(?P<minus>(?<!\S)-)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
_QUOTED: Final = re.compile(r"'((?:[^']|'')*)'")
# The operator of websearch_to_tsquery: here any word will do anyway.
_OR: Final = "or"


@dataclass(frozen=True, slots=True)
class Words:
    """A query, taken apart.

    Attributes:
        any: Words that make a text better, the more of them it has; those of phrases too.
        prefixes: Beginnings of words, which were written with an asterisk.
        phrases: What a text must contain, word after word.
        excluded: What a text must not contain: words and phrases.
    """

    any: str
    prefixes: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What PostgreSQL makes of a query's words in one language.

    Attributes:
        lexemes: The words' lexemes, each once, without stop words.
        prefixes: Beginnings of lexemes.
        required: The phrases, as the text of a tsquery; empty where there are none.
        excluded: What must not be there, likewise.
    """

    lexemes: tuple[str, ...]
    prefixes: tuple[str, ...] = ()
    required: str = ""
    excluded: str = ""

    @property
    def required_lexemes(self) -> list[str]:
        """The lexemes of the phrases."""
        return [found.replace("''", "'").replace("\\\\", "\\") for found in _QUOTED.findall(self.required)]


def parse_words(query: str, *, plain: bool = False) -> Words:
    """Return what *query* asks for; no text is an error, and one without words asks for nothing.

    Args:
        query: What the caller wrote.
        plain: Whether its signs mean nothing.

    Raises:
        ConfigError: It is no string, holds NUL or a lone surrogate, or is longer than 100,000 characters.
    """
    if not isinstance(query, str):
        msg = f"the query must be a text, not {type(query).__name__}"
        raise ConfigError(msg)
    if "\x00" in query or any("\ud800" <= character <= "\udfff" for character in query):
        msg = "the query holds NUL or a lone surrogate, which no text in PostgreSQL can"
        raise ConfigError(msg)
    if len(query) > MAX_QUERY_CHARACTERS:
        msg = f"the query has {len(query)} characters; at most {MAX_QUERY_CHARACTERS} are searched for"
        raise ConfigError(msg)
    if plain:
        return Words(query)
    words: list[str] = []
    prefixes: list[str] = []
    phrases: list[str] = []
    excluded: list[str] = []
    for part in _PART.finditer(query):
        phrase, word = part["phrase"], part["word"]
        if part["minus"]:
            excluded.append(phrase if word is None else word)
        elif word is None:
            phrases.append(phrase)
            words.append(phrase)
        elif word.endswith("*") and word.strip("*"):
            prefixes.append(word.strip("*"))
        elif word.lower() != _OR:
            words.append(word)
    return Words(" ".join(words), tuple(prefixes), tuple(phrases), tuple(excluded))
