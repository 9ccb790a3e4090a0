"""SQL as a type: names are quoted, values are bound, text is ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall.sql.compose import SQL, Composed, Identifier, Integer, Literal, Param, Statement

NAMES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1)


def test_sql_format_fills_every_hole():
    composed = SQL("SELECT {c} FROM {t}").format(c=Identifier("a"), t=Identifier("s", "t"))
    assert composed.compile() == Statement('SELECT "a" FROM "s"."t"')


def test_sql_format_with_a_missing_part_is_an_error():
    with pytest.raises(KeyError):
        SQL("SELECT {c}").format(d=Identifier("a"))


def test_sql_format_does_not_fill_holes_in_its_parts():
    inner = Identifier("{c}")
    assert SQL("{c}").format(c=inner).compile().text == '"{c}"'


def test_sql_join_puts_itself_between():
    assert SQL(", ").join([Identifier("a"), Identifier("b")]).compile().text == '"a", "b"'


def test_sql_join_of_nothing_is_empty():
    assert SQL(", ").join([]).compile().text == ""


def test_param_is_bound_and_cast():
    assert Param("x", "text").compile() == Statement("$1::text", ("x",))


def test_param_used_twice_takes_one_placeholder():
    param = Param(7)
    assert Composed([param, SQL(" = "), param]).compile() == Statement("$1 = $1", (7,))


def test_params_with_equal_values_keep_placeholders_of_their_own():
    statement = Composed([Param(7), SQL(", "), Param(7)]).compile()
    assert statement == Statement("$1, $2", (7, 7))


def test_integer_is_written_into_the_text():
    assert Integer(10).compile() == Statement("10")


def test_integer_refuses_text():
    with pytest.raises(ValueError):
        Integer("1; DROP TABLE docs")


@given(NAMES)
def test_identifier_quotes_any_name(name):
    text = Identifier(name).compile().text
    assert text[0] == text[-1] == '"'
    assert text[1:-1].replace('""', "") == name.replace('"', "")
    assert text[1:-1].replace('""', '"') == name


@pytest.mark.parametrize("name", ["", "a\x00b"])
def test_identifier_refuses_what_postgresql_cannot_name(name):
    with pytest.raises(ValueError, match="cannot be an SQL identifier"):
        Identifier(name)


@pytest.mark.parametrize(
    ("value", "text"),
    [("plain", "'plain'"), ("it's", "'it''s'"), ("a\\b", "E'a\\\\b'"), ("\\'", "E'\\\\'''")],
)
def test_literal_is_quoted_whatever_standard_conforming_strings_says(value, text):
    assert Literal(value).compile().text == text


def test_literal_refuses_nul():
    with pytest.raises(ValueError, match="NUL"):
        Literal("\x00")
