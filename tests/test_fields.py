"""Conditions on promoted fields: which of them the columns answer, and how."""

from decimal import Decimal

import pytest

from pgrecall.filters import (
    And,
    Column,
    Compare,
    Contains,
    Equals,
    Exists,
    In,
    IsEmpty,
    Key,
    Matches,
    Not,
    Or,
    Order,
    parse,
)
from pgrecall.jsonb import dumps
from pgrecall.promoted import FieldType, parse_fields
from pgrecall.scope import Scope
from pgrecall.sql.compose import SQL
from pgrecall.sql.fields import answers, is_covered, is_entered, is_indexed, literal_condition
from pgrecall.sql.selection import Selection
from pgrecall.sql.where import conditions
from tests.tables import BINARY, TEXT, table

TYPES = {"n": int, "t": str, "at": "time", "b": bool, "l": list[str], "deep.n": int, r"dot\.ted": str}
PROMOTED = table(fields=parse_fields(TYPES))
FIELDS = {field.column: field for field in PROMOTED.fields}
VALUES = {"n": 5, "t": "x", "at": "2024-05-01", "b": True, "l": ["x"]}
TOO_LONG = {"n": 10**41, "t": "x" * 65, "at": "2024-05-01" + " " * 60}


def equals(key, value):
    return Equals(Key((key,)), dumps(value))


def one_of(key, *values):
    return In(Key((key,)), tuple(map(dumps, values)))


def more_than(key, value):
    return Compare(Key((key,)), Order.GREATER, dumps(value))


def compiled(filter, dialect=BINARY):
    (condition,) = conditions(Selection(PROMOTED, Scope.everything(), dialect, parse(filter)))
    statement = SQL("{c}").format(c=condition).compile()
    return statement.text, statement.args


@pytest.mark.parametrize("key", ["n", "t", "at", "b"])
def test_a_column_answers_whether_it_equals_a_value_of_its_type(key):
    for other, value in VALUES.items():
        same = other == key or {other, key} == {"t", "at"}
        assert answers(FIELDS[key], equals(key, value)) is same
        assert answers(FIELDS[key], one_of(key, VALUES[key], value)) is same
    for value in (None, {}, {"a": 1}, []):
        assert not answers(FIELDS[key], equals(key, value))
        assert not answers(FIELDS[key], one_of(key, VALUES[key], value))


@pytest.mark.parametrize("key", TOO_LONG)
def test_a_column_does_not_answer_for_what_it_does_not_hold(key):
    value = TOO_LONG[key]
    assert not answers(FIELDS[key], equals(key, value))
    assert not answers(FIELDS[key], one_of(key, VALUES[key], value))
    assert not answers(FIELDS[key], more_than(key, value))


def test_one_of_no_values_is_no_question_for_a_column():
    assert not answers(FIELDS["n"], one_of("n"))


@pytest.mark.parametrize(
    ("key", "value", "answered"),
    [
        ("n", 5, True),
        ("n", -0.5, True),
        ("n", "5", False),
        ("t", "x", False),  # of texts that are too long for the column it knows nothing
        ("at", "2024-05-01", True),
        ("at", 5, False),
        ("l", 5, False),
        ("b", 5, False),
    ],
)
@pytest.mark.parametrize("order", Order)
def test_a_column_of_numbers_or_times_answers_what_is_more_or_less(key, value, answered, order):
    assert answers(FIELDS[key], Compare(Key((key,)), order, dumps(value))) is answered


@pytest.mark.parametrize("key", ["n", "t", "at", "b"])
@pytest.mark.parametrize("value", [5, "x", True, None])
def test_only_a_column_of_lists_answers_what_is_contained(key, value):
    assert not answers(FIELDS[key], Contains(Key((key,)), dumps(value)))


@pytest.mark.parametrize("value", [5, True, None, 0.5])
def test_a_column_of_lists_answers_whether_it_contains_what_only_lists_contain(value):
    assert answers(FIELDS["l"], Contains(Key(("l",)), dumps(value)))


@pytest.mark.parametrize("key", ["n", "t", "at", "b", "l"])
@pytest.mark.parametrize(
    "make",
    [
        Exists,
        IsEmpty,
        lambda key: Matches(key, "like", "x%"),
        lambda key: Matches(key, "substring", "x", fold=True),
        lambda key: Matches(key, "regex", "x"),
        lambda key: Equals(key, b"null"),
        lambda key: Equals(key, b'["x"]'),
        lambda key: In(key, (b'["x"]',)),
    ],
)
def test_the_rest_is_for_the_metadata_to_answer(key, make):
    node = make(Key((key,)))
    assert not answers(FIELDS[key], node)
    text, _ = compiled(node)
    assert '"metadata"' in text


@pytest.mark.parametrize(
    ("digits", "held"),
    [
        ("1" * 40, True),
        ("1" * 41, False),
        ("-" + "1" * 39, True),
        ("-" + "1" * 40, False),
        ("0." + "1" * 38, True),
        ("0." + "1" * 39, False),
        ("1e39", True),
        ("1e40", False),
        ("1E-38", True),
        ("1e-39", False),
        ("1e-999999999", False),
        ("1e999999999", False),
        ("0e999999999", False),
        ("-0.0", True),
    ],
)
def test_a_number_is_held_if_it_has_at_most_40_characters_when_written_out(digits, held):
    assert answers(FIELDS["n"], Equals(Key(("n",)), digits.encode())) is held


@pytest.mark.parametrize(
    ("text", "held"),
    [("x" * 64, True), ("x" * 65, False), ("é" * 32, True), ("é" * 33, False), ("", True), ('"' * 64, True)],
)
@pytest.mark.parametrize("key", ["t", "at"])
def test_a_text_is_held_if_it_has_at_most_64_bytes(key, text, held):
    assert answers(FIELDS[key], equals(key, text)) is held


@pytest.mark.parametrize(
    ("filter", "text", "arg"),
    [
        ({"n": 5}, '"n" = $1::numeric', Decimal(5)),
        ({"n": 0.1}, '"n" = $1::numeric', Decimal("0.1")),
        ({"n": 2**70}, '"n" = $1::numeric', Decimal(2**70)),
        ({"n": {"$gte": 5}}, '"n" >= $1::numeric', Decimal(5)),
        ({"n": {"$in": [1, 2]}}, '"n" = ANY($1::numeric[])', [Decimal(1), Decimal(2)]),
        ({"n": {"$ne": 5}}, '("n" = $1::numeric) IS NOT TRUE', Decimal(5)),
        ({"t": "x"}, '"t" = $1::text', "x"),
        ({"t": {"$in": ["x", 'y"']}}, '"t" = ANY($1::text[])', ["x", 'y"']),
        ({"b": False}, '"b" = $1::boolean', False),
        ({"b": {"$in": [True, False]}}, '"b" = ANY($1::boolean[])', [True, False]),
        ({"at": {"$lt": "2024"}}, '"at" < $1::text', "2024"),
        ({"l": {"$contains": 5}}, '"l" @> $1::jsonb', b"[5]"),
        ({"deep.n": 5}, '"deep.n" = $1::numeric', Decimal(5)),
        ({r"dot\.ted": "x"}, '"dot.ted" = $1::text', "x"),
    ],
    ids=str,
)
def test_condition_on_a_column(filter, text, arg):
    assert compiled(filter) == (text, (arg,))


def test_on_a_lent_connection_an_element_travels_as_text():
    assert compiled({"l": {"$contains": 5}}, TEXT) == ('"l" @> $1::text::jsonb', ("[5]",))


@pytest.mark.parametrize("filter", [{"deep": {"n": 5}}, {"deep": 5}, {"dot.ted": "x"}, {"n.n": 5}, {"N": 5}], ids=str)
def test_another_key_is_another_key(filter):
    assert '"metadata"' in compiled(filter)[0]


def test_parts_of_a_filter_are_answered_each_from_where_it_can_be():
    text, args = compiled({"$or": [{"n": 5}, {"other": 5}, {"t": {"$like": "x%"}}]})
    assert '"n" = $1::numeric OR "metadata" @>' in text
    assert args[:2] == (Decimal(5), b'{"other":5}')


COVERED = [
    {"n": 5},
    {"n": {"$gt": 5, "$lt": 9}},
    {"n": {"$ne": 5}},
    {"n": {"$nin": [5, 6]}},
    {"n": {"$in": list(range(1_000))}},
    {"n": 5, "t": "x", "b": True, "at": {"$gte": "2024"}},
    {"$or": [{"n": 5}, {"$not": {"t": "x"}}]},
    {"deep.n": 5},
]
UNCOVERED = [
    {"l": {"$contains": 5}},
    {"n": 5, "l": {"$contains": 5}},
    {"other": 5},
    {"n": 5, "other": 5},
    {"$or": [{"n": 5}, {"other": 5}]},
    {"n": "5"},
    {"n": None},
    {"n": {"$exists": True}},
    {"t": {"$gt": "x"}},
    {"t": "x" * 65},
    {"n": {"$in": [5, "5"]}},
    {"n": {"$in": []}, "t": "x"},
    {"$id": "x"},
    {"n": 5, "$document_id": "x"},
]


@pytest.mark.parametrize("filter", COVERED, ids=lambda filter: str(filter)[:60])
def test_a_filter_is_covered_if_scalar_columns_answer_all_of_it(filter):
    assert is_covered(PROMOTED, parse(filter))


@pytest.mark.parametrize("filter", UNCOVERED, ids=lambda filter: str(filter)[:60])
def test_a_filter_of_which_the_columns_answer_a_part_is_not_covered(filter):
    assert not is_covered(PROMOTED, parse(filter))


@pytest.mark.parametrize("filter", COVERED, ids=lambda filter: str(filter)[:60])
def test_nothing_is_covered_where_nothing_is_promoted(filter):
    assert not is_covered(table(), parse(filter))


ENTERED = [
    ({"n": 5}, True),
    ({"n": {"$gt": 5}}, True),
    ({"t": {"$in": ["x", "y"]}}, True),
    ({"n": {"$ne": 5}, "t": "x"}, True),
    ({"n": 5, "other": {"$like": "x%"}}, True),
    ({"n": {"$ne": 5}}, False),
    ({"n": {"$nin": [5]}, "t": {"$ne": "x"}}, False),
    ({"t": {"$gt": "x"}}, False),
    ({"l": {"$contains": 5}}, False),
    ({"other": 5}, False),
    ({"n": None}, False),
    ({"$id": "x"}, False),
    ({"$or": [{"n": 5}, {"n": 6}]}, False),
]


@pytest.mark.parametrize(("filter", "entered"), ENTERED, ids=lambda value: str(value)[:60])
def test_an_index_on_a_scalar_field_is_entered_by_what_all_rows_that_pass_have(filter, entered):
    assert is_entered(PROMOTED, parse(filter)) is entered
    assert not is_entered(table(), parse(filter))


INDEXED = [
    ({"n": {"$gt": 5}}, True),
    ({"n": {"$in": list(range(1_000))}}, True),
    ({"at": {"$between": ["2020", "2021"]}}, True),
    ({"l": {"$contains": 5}}, True),
    ({"t": {"$gt": "x"}}, False),
    ({"n": {"$ne": 5}}, False),
    ({"other": 5}, True),
    ({"other": "x"}, True),
    ({"other": [1]}, True),
    ({"other": None}, False),
    ({"other": {"$ne": 5}}, False),
    ({"other": {"$gt": 5}}, False),
    ({"other": {"$in": [1, 2]}}, True),
    ({"other": {"$in": [1, None]}}, False),
    ({"other": {"$in": list(range(20))}}, True),
    ({"other": {"$in": list(range(21))}}, False),
    ({"other": {"$exists": True}}, False),
    ({"other": {"$contains": 5}}, False),
    ({"n": {"$exists": True}}, False),
    ({"n": {"$isEmpty": True}}, False),
    ({"n": None}, False),
    ({"n": "5"}, True),
    ({"t": {"$like": "x%"}}, False),
    ({"$id": "x"}, True),
    ({"$document_id": {"$in": ["x"]}}, True),
    ({"$chunk_index": 5}, False),
    ({"$content": "x"}, False),
    ({"$content": {"$like": "x%"}}, False),
    ({"$created_at": {"$gt": "2020-01-01"}}, False),
    ({"n": 5, "t": {"$like": "x%"}}, True),
    ({"n": {"$ne": 5}, "t": {"$like": "x%"}}, False),
    ({"$or": [{"n": 5}, {"other": 5}]}, True),
    ({"$or": [{"n": 5}, {"other": {"$gt": 5}}]}, False),
    ({"$and": [{"$or": [{"n": 5}, {"other": {"$gt": 5}}]}, {"b": True}]}, True),
    ({"$not": {"n": 5}}, False),
]


@pytest.mark.parametrize(("filter", "indexed"), INDEXED, ids=lambda value: str(value)[:60])
def test_a_filter_is_indexed_if_an_index_finds_all_that_pass(filter, indexed):
    assert is_indexed(PROMOTED, parse(filter)) is indexed


def test_filters_of_nothing_are_indexed_as_what_they_are():
    assert not is_indexed(PROMOTED, And(()))
    assert is_indexed(PROMOTED, Or(()))
    assert not is_indexed(PROMOTED, Not(Or(())))


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (equals("n", 5), """"n" = '5'::numeric"""),
        (equals("n", -0.5), """"n" = '-0.5'::numeric"""),
        (equals("t", "x"), """"t" = 'x'::text"""),
        (equals("t", "it's"), """"t" = 'it''s'::text"""),
        (equals("at", "2024-05-01"), """"at" = '2024-05-01'::text"""),
        (equals("b", True), '"b"'),
        (equals("b", False), 'NOT "b"'),
    ],
)
def test_literal_condition_has_its_value_in_the_text(condition, text):
    compiled = literal_condition(PROMOTED, condition).compile()
    assert (compiled.text, compiled.args) == (text, ())


@pytest.mark.parametrize("value", ["a\\", "a\\'b", "$1", "'; DROP TABLE docs --", "é\n", "{c}", "%s"])
def test_literal_condition_quotes_whatever_the_value_is(value):
    compiled = literal_condition(PROMOTED, equals("t", value)).compile()
    assert compiled.args == ()
    assert value.replace("\\", "\\\\").replace("'", "''") in compiled.text or value in compiled.text


@pytest.mark.parametrize(
    "condition",
    [equals("other", 5), equals("n", "5"), equals("n", None), equals("l", ["x"]), Equals(Column("id"), b'"x"')],
    ids=str,
)
def test_literal_condition_of_what_no_column_holds_is_an_error(condition):
    with pytest.raises(ValueError, match="promoted field"):
        literal_condition(PROMOTED, condition)


def test_every_type_is_tried_here():
    assert {field.type for field in PROMOTED.fields} == set(FieldType)
