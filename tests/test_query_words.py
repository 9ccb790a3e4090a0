"""Taking a query apart, with nothing but Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall.errors import ConfigError
from pgrecall.query_words import Reading, Words, parse_words


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", Words("")),
        ("  ", Words("")),
        ("locks in postgres", Words("locks in postgres")),
        ('"row level" locks', Words("row level locks", phrases=("row level",))),
        ("locks -table", Words("locks", excluded=("table",))),
        ('locks -"table lock"', Words("locks", excluded=("table lock",))),
        ("postg*", Words("", prefixes=("postg",))),
        ("well-known e-mail", Words("well-known e-mail")),
        ("this OR that", Words("this that")),
        ("* ** -", Words("* ** -")),
        ('an open "quote', Words("an open quote", phrases=("quote",))),
        ('"" -""', Words("", phrases=("",), excluded=("",))),
    ],
)
def test_query_is_taken_apart(query, words):
    parsed = parse_words(query)
    assert (parsed.any.split(), *astuple(parsed)[1:]) == (words.any.split(), *astuple(words)[1:])


def astuple(words):
    return words.any, words.prefixes, words.phrases, words.excluded


def test_signs_of_a_question_mean_nothing():
    assert parse_words('git commit -m "message" postg*', plain=True) == Words('git commit -m "message" postg*')


@pytest.mark.parametrize("query", [None, 3, b"bytes", ["list"], "nul \x00", "lone \ud800", "x" * 100_001])
def test_what_is_no_text_is_refused(query):
    with pytest.raises(ConfigError):
        parse_words(query)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60))
def test_every_text_can_be_taken_apart(query):
    parsed = parse_words(query)
    assert all(isinstance(part, str) for part in (parsed.any, *parsed.prefixes, *parsed.phrases, *parsed.excluded))


def test_lexemes_of_phrases_are_read_back():
    assert Reading((), required=r"('row' <-> 'l''ev\\el')").required_lexemes == ["row", "l'ev\\el"]
