"""Searching the content by its words: how texts become lexemes, and how matches are weighed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from pgrecall.checks import check_choice, check_identifier, check_number
from pgrecall.errors import ConfigError

DEFAULT_COLUMN: Final = "content_tsv"
OTHER_LANGUAGES: Final = "simple"
"""What texts in a language that PostgreSQL has no configuration for are read with: words as they are."""

LANGUAGES: Final = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
"""ISO 639-1 codes, and the text search configurations that PostgreSQL has for them."""

_CODE: Final = re.compile(r"[A-Za-z]{2}(?:[-_](?:[A-Za-z]{2}|[A-Za-z]{4}|[0-9]{3}))*")


def configuration(language: str) -> str:
    """Return the name of the text search configuration for *language*: a name as it is, or one for ``de``, ``de-AT``.

    Raises:
        ConfigError: *language* is not a non-empty string, or a code that PostgreSQL has no configuration for.
    """
    if not isinstance(language, str) or not language or "\x00" in language:
        msg = f"language must be the name of a text search configuration, or an ISO 639-1 code, not {language!r}"
        raise ConfigError(msg)
    if not _CODE.fullmatch(language):
        return language
    found = LANGUAGES.get(language[:2].lower())
    if found is None:
        msg = (
            f"PostgreSQL has no text search configuration for language {language!r}; pass the name of one that the "
            f"database has, or {OTHER_LANGUAGES!r}, which takes words as they are"
        )
        raise ConfigError(msg)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSearch:
    """That a collection's content can be searched by its words.

    Attributes:
        language: Language of the texts: the name of a text search configuration that the database has
            (``"english"``, ``"simple"``), or an ISO 639-1 code (``"en"``, ``"de-AT"``).
        language_key: Metadata key that says which language a record is in, in the same words; records that
            lack it are in *language*, and those in a language that is not known are read word by word.
        column: Name of the column, of type tsvector. In a table of ours a trigger keeps it; one that an
            adopted table has is used as it is.
        engine: What ranks the texts: ``"builtin"``, which every PostgreSQL has, or the extension
            ``"pg_textsearch"``, whose index needs no column, and knows words but neither phrases nor exclusions.
        k1: How soon more occurrences of a word count no more, 0 or more.
        b: From 0 to 1, how much shorter texts are preferred.
    """

    language: str = "english"
    language_key: str | None = None
    column: str = DEFAULT_COLUMN
    engine: Literal["builtin", "pg_textsearch"] = "builtin"
    k1: float = 1.2
    b: float = 0.75

    def __post_init__(self) -> None:
        configuration(self.language)
        check_identifier(self.column, "column")
        check_choice(self.engine, "engine", ("builtin", "pg_textsearch"))
        if self.engine == "pg_textsearch" and self.language_key is not None:
            msg = "an index of pg_textsearch is of one language, so language_key has no effect there"
            raise ConfigError(msg)
        if self.language_key is not None and (not isinstance(self.language_key, str) or not self.language_key):
            msg = f"language_key must be a metadata key, not {self.language_key!r}"
            raise ConfigError(msg)
        if self.engine == "pg_textsearch" and self.column != DEFAULT_COLUMN:
            msg = f"an index of pg_textsearch needs no column, so column={self.column!r} has no effect there"
            raise ConfigError(msg)
        check_number(self.k1, "k1", 0)
        check_number(self.b, "b", 0, 1)

    @classmethod
    def of(cls, value: TextSearch | str | None) -> TextSearch | None:
        """Return *value* with a language by itself understood.

        Raises:
            ConfigError: It is of another type.
        """
        if value is None or isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls(language=value)
        msg = f"text_search must be a TextSearch or a language, not {value!r}"
        raise ConfigError(msg)

    @property
    def configuration(self) -> str:
        """Name of the text search configuration for *language*."""
        return configuration(self.language)
