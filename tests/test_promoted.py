"""Promoted fields: keys and Python types in, or an error that says which."""

import datetime as dt
from decimal import Decimal

import pytest

from pgrecall import CollectionConfig, Columns, FieldType, PromotedField
from pgrecall.errors import ConfigError
from pgrecall.filters import Key
from pgrecall.promoted import MAX_FIELDS, parse_fields


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (int, FieldType.NUMBER),
        (float, FieldType.NUMBER),
        (Decimal, FieldType.NUMBER),
        (str, FieldType.TEXT),
        (bool, FieldType.BOOLEAN),
        (dt.date, FieldType.TIME),
        (dt.datetime, FieldType.TIME),
        (list, FieldType.LIST),
        (list[str], FieldType.LIST),
        (list[int], FieldType.LIST),
        ("number", FieldType.NUMBER),
        ("list", FieldType.LIST),
        *((kind, kind) for kind in FieldType),
    ],
    ids=str,
)
def test_type_is_understood(kind, found):
    assert FieldType.parse(kind) is found


@pytest.mark.parametrize(
    "kind",
    [dict, dict[str, int], tuple, set, bytes, object, int | None, None, "integer", "NUMBER", "", 5, [], [str], dt.time],
    ids=str,
)
def test_type_without_a_column_is_an_error_that_lists_the_others(kind):
    with pytest.raises(ConfigError, match="int, float, Decimal, str, bool, date, datetime, list"):
        parse_fields({"a": kind})


def test_fields_keep_their_order():
    fields = parse_fields({"year": int, "author.name": str, "tags": list[str]})
    assert fields == (
        PromotedField(Key(("year",)), FieldType.NUMBER),
        PromotedField(Key(("author", "name")), FieldType.TEXT),
        PromotedField(Key(("tags",)), FieldType.LIST),
    )
    assert [field.column for field in fields] == ["year", "author.name", "tags"]
    assert [field.is_scalar for field in fields] == [True, True, False]


def test_no_fields_are_none():
    assert parse_fields({}) == ()


@pytest.mark.parametrize(
    ("name", "path", "column"),
    [
        ("a", ("a",), "a"),
        ("a.b.c", ("a", "b", "c"), "a.b.c"),
        (r"a\.b", ("a.b",), "a.b"),
        ("a$b", ("a$b",), "a$b"),
        ('say "hi"', ('say "hi"',), 'say "hi"'),
        ("select", ("select",), "select"),
        ("Größe", ("Größe",), "Größe"),
        ("x" * 63, ("x" * 63,), "x" * 63),
        ("é" * 31, ("é" * 31,), "é" * 31),
    ],
)
def test_key_is_read_as_filters_read_it(name, path, column):
    (field,) = parse_fields({name: int})
    assert (field.key, field.column) == (Key(path), column)


@pytest.mark.parametrize(
    "name",
    ["", ".", "a.", "a..b", "$id", "$chunk_index", "$and", "$other", "a\x00b", "\ud800", "x" * 64, "é" * 32, 5, None],
)
def test_key_that_can_be_no_column_is_an_error_that_names_it(name):
    with pytest.raises(ConfigError, match="field"):
        parse_fields({name: int})


def test_the_content_has_a_column_anyway():
    assert parse_fields({"$content": str, "year": int}) == (PromotedField(Key(("year",)), FieldType.NUMBER),)
    with pytest.raises(ConfigError, match=r"\$content"):
        parse_fields({"$content": int})


def test_two_keys_that_would_have_one_column_are_an_error():
    with pytest.raises(ConfigError, match="same column"):
        parse_fields({"a.b": int, r"a\.b": int})


def test_more_fields_than_an_index_holds_are_an_error():
    most = {f"f{number}": int for number in range(MAX_FIELDS)}
    assert len(parse_fields(most)) == MAX_FIELDS
    with pytest.raises(ConfigError, match=f"at most {MAX_FIELDS}"):
        parse_fields({**most, "one more": bool})


def test_lists_do_not_count_since_no_index_holds_them_beside_others():
    fields = {f"f{number}": int for number in range(MAX_FIELDS)} | {f"l{number}": list for number in range(20)}
    assert len(parse_fields(fields)) == MAX_FIELDS + 20


def test_collection_understands_its_fields():
    config = CollectionConfig(name="docs", fields={"year": int})
    assert config.promoted == (PromotedField(Key(("year",)), FieldType.NUMBER),)
    assert CollectionConfig(name="docs").promoted == ()


@pytest.mark.parametrize("name", ["id", "domain_id", "content", "metadata", "embedding", "envelope", "embedding_code"])
def test_a_field_that_is_called_like_a_column_is_an_error(name):
    with pytest.raises(ConfigError, match=name):
        CollectionConfig(name="docs", fields={name: str})


def test_a_field_may_have_the_name_of_a_column_that_is_mapped_away():
    columns = Columns(content="body", document_id=None)
    assert CollectionConfig(name="docs", columns=columns, fields={"content": str, "document_id": str}).promoted
    with pytest.raises(ConfigError, match="body"):
        CollectionConfig(name="docs", columns=columns, fields={"body": str})


@pytest.mark.parametrize("name", ["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"])
def test_a_field_that_is_called_like_a_column_of_every_table_is_an_error(name):
    with pytest.raises(ConfigError, match=name):
        CollectionConfig(name="docs", fields={name: str})


def test_fields_of_a_collection_without_metadata_are_an_error():
    with pytest.raises(ConfigError, match="metadata"):
        CollectionConfig(name="docs", columns=Columns(metadata=None), fields={"year": int})


@pytest.mark.parametrize("fields", [["year"], "year", None, 5], ids=str)
def test_fields_that_are_no_mapping_are_an_error(fields):
    with pytest.raises(ConfigError, match="fields"):
        CollectionConfig(name="docs", fields=fields)


def test_a_configuration_with_fields_can_be_a_key():
    assert len({CollectionConfig(name="docs", fields={"year": int}), CollectionConfig(name="docs")}) == 2
