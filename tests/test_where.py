"""Scope and filter to SQL: golden text, and values always bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall.columns import Columns
from pgrecall.errors import SchemaError
from pgrecall.filters import Column, Compare, Equals, In, Key, Order, parse
from pgrecall.scope import Scope
from pgrecall.sql.selection import Selection
from pgrecall.sql.where import conditions, where
from tests.tables import BINARY, TEXT, table


def compiled(filter=None, scope=Scope.everything(), dialect=BINARY, **changes):  # noqa: B008
    return where(conditions(Selection(table(**changes), scope, dialect, parse(filter)))).compile()


def test_where_without_conditions_is_nothing():
    assert compiled().text == ""


def test_scope_of_one_domain_is_a_condition():
    found = compiled(scope=Scope.of("acme"))
    assert found.text == 'WHERE "domain_id" = $1::text'
    assert found.args == ("acme",)


def test_scope_comes_before_the_filter():
    found = compiled({"a": 1}, Scope.of("acme"))
    assert found.text == 'WHERE "domain_id" = $1::text AND "metadata" @> $2::jsonb'
    assert found.args == ("acme", b'{"a":1}')


def test_a_filter_on_domain_id_in_the_metadata_leaves_the_scope_alone():
    found = compiled({"domain_id": "other"}, Scope.of("acme"))
    assert found.text == 'WHERE "domain_id" = $1::text AND "metadata" @> $2::jsonb'
    assert found.args[0] == "acme"


def test_scope_of_one_domain_on_a_table_without_domains_is_refused():
    with pytest.raises(SchemaError, match="domain"):
        compiled(scope=Scope.of("acme"), columns=Columns(domain_id=None))


def test_scope_of_the_default_domain_on_a_table_without_domains_is_everything():
    assert compiled(scope=Scope.of("default"), columns=Columns(domain_id=None)).text == ""


def test_a_scalar_is_compared_by_containment():
    assert compiled({"a": "x"}).text == 'WHERE "metadata" @> $1::jsonb'


@pytest.mark.parametrize("value", [[1], {"b": 1}, [], {}])
def test_a_container_is_compared_by_containment_and_equality(value):
    found = compiled({"a": value}).text
    assert found == 'WHERE ("metadata" @> $1::jsonb AND ("metadata" -> $2::text) = $3::jsonb)'


def test_null_also_passes_rows_that_lack_the_key():
    found = compiled({"a": None})
    assert found.text == "WHERE COALESCE((\"metadata\" -> $1::text), 'null') = 'null'"
    assert found.args == ("a",)


def test_on_a_lent_connection_json_travels_as_text():
    found = compiled({"a": 1}, dialect=TEXT)
    assert found.text == 'WHERE "metadata" @> $1::text::jsonb'
    assert found.args == ('{"a":1}',)


def test_a_column_is_compared_as_text():
    found = compiled(Equals(Column("document_id"), b'"d1"'))
    assert found.text == 'WHERE "document_id"::text = ANY($1::text[])'
    assert found.args == (["d1"],)


def test_a_text_column_equals_no_number():
    assert compiled(Equals(Column("id"), b"1")).text == "WHERE false"


@pytest.mark.parametrize(
    "node",
    [
        Equals(Column("created_at"), b'"nonsense"'),
        Compare(Column("chunk_index"), Order.LESS, b"1" + b"0" * 5_000),
        Equals(Column("chunk_index"), b"1" + b"0" * 5_000),
    ],
)
def test_a_column_compared_with_what_it_cannot_hold_matches_nothing(node):
    assert compiled(node).text == "WHERE false"


def test_one_of_several_values_is_any_of_them():
    found = compiled(In(Key(("a",)), (b"1", b'"x"')))
    assert found.text == 'WHERE ("metadata" @> $1::jsonb OR "metadata" @> $2::jsonb)'


def test_one_of_no_values_is_never():
    assert compiled(In(Key(("a",)), ())).text == "WHERE false"


def test_a_filter_on_a_table_without_metadata_is_an_error():
    with pytest.raises(SchemaError, match="no metadata column"):
        compiled({"a": 1}, columns=Columns(metadata=None))


def test_a_filter_on_a_column_that_the_table_lacks_is_an_error():
    with pytest.raises(SchemaError, match=r"no column for \$document_id"):
        compiled(Equals(Column("document_id"), b'"d"'), columns=Columns(document_id=None))


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1)


@given(TEXTS.filter(lambda key: not key.startswith("$")), TEXTS)
def test_hostile_keys_and_values_never_reach_the_text(key, value):
    assert compiled({key.replace(".", r"\."): value}).text == 'WHERE "metadata" @> $1::jsonb'
