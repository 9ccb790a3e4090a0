"""No string of a caller ever becomes SQL text: names are quoted, values bound, and the text depends on shapes only."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall import HNSW, CollectionConfig, Columns, IVFFlat, Record, SearchOptions
from pgrecall.checks import MAX_IDENTIFIER_BYTES
from pgrecall.errors import ConfigError, FilterError, PGRecallError
from pgrecall.filters import And, Equals, In, Key, Not, parse
from pgrecall.filters.limits import MAX_OPERANDS, MAX_VALUES_IN_ALL
from pgrecall.plan import Access, Plan
from pgrecall.pooling import PoolConfig, RetryConfig
from pgrecall.promoted import parse_fields
from pgrecall.records import RecordBatch
from pgrecall.rows import prepare
from pgrecall.scope import Scope
from pgrecall.sql import correlation, ddl, dml, documents, ledger, promoted, select, upkeep
from pgrecall.sql import key_values as kv
from pgrecall.sql.key_values import KEY_VALUES
from pgrecall.sql.ledger import LEDGER, Marks
from pgrecall.sql.search import search
from pgrecall.sql.selection import Selection
from pgrecall.sql.side_tables import SideRows
from pgrecall.sql.where import conditions
from tests.tables import BINARY, TEXT, table

EXACT = Plan(access=Access.EXACT, reason="", k=5, fetch=5)
MARK = "zq"  # in every hostile text, and in nothing of ours
HOSTILE = [
    f"{MARK}'; DROP TABLE docs; --",
    f'{MARK}"; DROP TABLE docs; --',
    f"{MARK}\\'; DROP TABLE docs; --",
    f"{MARK}$$; DROP TABLE docs; $$",
    f"{MARK}{{name}} {{0}} %s %(x)s $1 :x ?",
    f"{MARK}/* */ -- \n; \\",
    f"{MARK}''\"\"\\\\",
    f"{MARK}\u2019\uff07\u0301\u202e",
]
LETTERS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=10)
TEXTS = st.one_of(st.sampled_from(HOSTILE), LETTERS.map(lambda text: MARK + text))
NAMES = TEXTS.filter(lambda name: len(name.encode()) <= MAX_IDENTIFIER_BYTES)
# What PostgreSQL itself takes for names and constants.
QUOTED = re.compile(r'"(?:[^"]|"")*"|E\'(?:[^\'\\]|\\.|\'\')*\'|\'(?:[^\']|\'\')*\'', re.DOTALL)


def skeleton(statement):
    """Return the text of a statement without what is in its quotes."""
    return QUOTED.sub("¤", statement.text)


# --- filters -------------------------------------------------------------------------------------

# A shape is a filter with holes: ("key", operator, kinds of its values) and ("$and", shapes) and so on.
KINDS = {
    "text": TEXTS,
    "number": st.one_of(st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False)),
    "truth": st.booleans(),
    "list": st.lists(TEXTS, max_size=3),
    "object": st.dictionaries(TEXTS, TEXTS, max_size=3),
}
SCALARS = st.sampled_from(["text", "number", "truth"])
LEAVES = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne"]), st.sampled_from([*KINDS])),
    st.tuples(st.sampled_from(["$lt", "$lte", "$gt", "$gte"]), st.sampled_from(["text", "number"])),
    st.tuples(st.sampled_from(["$in", "$nin", "$containsAny"]), st.lists(SCALARS, min_size=1, max_size=3)),
    st.tuples(st.just("$contains"), st.sampled_from(["text", "number"])),
    st.tuples(st.sampled_from(["$like", "$ilike", "$regex"]), st.just("text")),
    st.tuples(st.sampled_from(["$exists", "$isEmpty"]), st.just("yes")),
)
SHAPES = st.recursive(
    st.tuples(st.just("key"), st.integers(1, 3), LEAVES),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("$not"), inner),
    ),
    max_leaves=6,
)


def fill(draw, shape):
    """Return a filter of that shape, with keys and values drawn anew."""
    match shape:
        case ("key", depth, (operator, kinds)):
            escaped = (draw(TEXTS).replace("\\", "").replace(".", r"\.") for _ in range(depth))
            if kinds == "yes":
                value = True
            elif isinstance(kinds, list):
                value = [draw(KINDS[kind]) for kind in kinds]
            else:
                value = draw(KINDS[kinds])
            if operator in ("$like", "$ilike"):
                value = value.rstrip("\\")
            return {".".join(escaped): {operator: value}}
        case ("$not", inner):
            return {"$not": fill(draw, inner)}
        case (operator, inner):
            return {operator: [fill(draw, one) for one in inner]}


def of_filter(filter, domain, dialect):
    """Return every kind of statement that takes a filter."""
    selection = Selection(table(), Scope.of(domain), dialect, parse(filter))
    plans = [EXACT, Plan(access=Access.INDEX, reason="", k=5, fetch=10, index="i", method="hnsw", candidates=40)]
    return [
        dml.count(selection),
        dml.matching(selection),
        dml.delete(table(), conditions(selection)),
        select.page(selection, limit=5, after="x", prefix=None, extras=frozenset()),
        *(search(selection, plan, extras=frozenset()) for plan in plans),
    ]


@given(st.data(), SHAPES, st.sampled_from([BINARY, TEXT]))
def test_text_of_a_statement_depends_on_the_shape_of_its_filter_only(data, shape, dialect):
    ones, others = (
        of_filter(fill(data.draw, shape), domain, dialect) for domain in (data.draw(TEXTS), data.draw(TEXTS))
    )
    assert [one.text for one in ones] == [other.text for other in others]
    assert not any(MARK in one.text for one in ones)


@given(st.lists(TEXTS, min_size=1, max_size=5, unique=True), TEXTS, TEXTS)
def test_ids_documents_domains_and_cursors_are_bound(ids, document, domain):
    selection = Selection(table(), Scope.of(domain), BINARY)
    batch = RecordBatch(
        embeddings=np.ones((len(ids), 3)),
        ids=ids,
        contents=ids,
        metadatas=[{document: domain}] * len(ids),
        document_ids=[document] * len(ids),
    )
    rows, _ = prepare(batch, table(), Scope.of(domain))
    rows.finish()
    side = SideRows(table=KEY_VALUES, schema="public", domain=domain, namespace=document)
    marks = SideRows(table=LEDGER, schema="public", domain=domain, namespace=document)
    statements = [
        dml.existing(table(), rows),
        dml.upsert(table(), rows, BINARY),
        dml.insert_missing(table(), rows, BINARY),
        select.by_ids(selection, ids, frozenset()),
        select.page(selection, limit=3, after=ids[0], prefix=document, extras=frozenset()),
        documents.page(selection, limit=3, after=document, prefix=document),
        documents.delete_others(selection, [document], ids),
        kv.get(side, ids),
        kv.put(side, ids, [b""] * len(ids)),
        kv.page(side, first=document, after=ids[0], limit=3),
        ledger.mark(marks, ids, ids, 1.0),
        ledger.marked(marks, ids),
        ledger.keys(marks, Marks(before=1, after=0, groups=ids, limit=3)),
    ]
    assert not any(MARK in statement.text for statement in statements)


# --- names ---------------------------------------------------------------------------------------


def of_names(schema, name, column, field, other):
    """Return every kind of statement that has names in it."""
    columns = Columns(id=column, content=f"c{column}"[:30], metadata=f"m{column}"[:30])
    fields = parse_fields({field: str})
    config = CollectionConfig(name=name, schema=schema, dimensions=3, columns=columns)
    made = table(schema=schema, name=name, columns=columns, key=("domain_id", column), fields=fields)
    selection = Selection(made, Scope.of("d"), BINARY, Equals(fields[0].key, b'"x"'))
    return [
        *ddl.create_table(config, 3, BINARY),
        ddl.create_schema(schema),
        ddl.create_extension(other),
        ddl.rename_table(schema, name, other),
        ddl.drop_table(schema, name),
        ddl.drop_index(schema, other),
        ddl.lock_settings(schema, name),
        ddl.analyze(made),
        ddl.create_trigram_index(made, other),
        ddl.create_vector_index(made, HNSW(), BINARY),
        ddl.create_vector_index(made, IVFFlat(lists=3), BINARY),
        upkeep.vacuum(made),
        upkeep.reindex(schema, other),
        upkeep.note_rows(schema, other, 3),
        upkeep.prewarm(schema, schema, other),
        *promoted.add_columns(made, fields, code=False),
        *promoted.keep_columns(made, other, fields, BINARY, code=False, text=None),
        promoted.drop_function(schema, other),
        promoted.fill(made, fields, 0, 9, code=False),
        promoted.note_field(made, fields[0]),
        promoted.create_field_index(made, fields[0], fields, code=False, concurrently=True),
        correlation.sample_values(made, fields, 1.0),
        dml.count(selection),
        dml.delete(made, conditions(selection)),
        select.by_ids(selection, ["a"], frozenset()),
        search(selection, EXACT, extras=frozenset()),
    ]


@given(NAMES, NAMES, NAMES, NAMES, NAMES)
def test_names_change_nothing_outside_of_quotes(schema, name, column, field, other):
    column, field = column[:20], field[:20]
    key = field.replace("\\", "").replace(".", r"\.")
    key = key if len(key.encode()) <= MAX_IDENTIFIER_BYTES else f"{MARK}k"
    if key in (column, f"c{column}"[:30], f"m{column}"[:30]):
        key = f"{MARK}other"
    plain = of_names("public", "docs", "row_id", "topic", "thing")
    hostile = of_names(schema, name, column, key, other)
    assert [skeleton(statement) for statement in hostile] == [skeleton(statement) for statement in plain]
    assert not any(MARK in skeleton(statement) for statement in hostile)


@given(NAMES.map(lambda name: name[:20]))
def test_the_body_of_a_triggers_function_is_quoted_as_a_whole_and_in_itself(field):
    key = field.replace("\\", "").replace(".", r"\.")
    bodies = []
    for name in (key, "topic"):
        fields = parse_fields({name: str})
        function = promoted.keep_columns(table(fields=fields), "f", fields, BINARY, code=False, text=None)[0]
        (body,) = re.findall(r"AS (E?'.*')$", function.text, re.DOTALL)
        # Read it as PostgreSQL does.
        text = body[body.index("'") + 1 : -1].replace("''", "'")
        text = text.replace("\\\\", "\\") if body.startswith("E") else text
        bodies.append(QUOTED.sub("¤", text))
    assert bodies[0] == bodies[1]
    assert MARK not in bodies[0]


# --- numbers, and limits ------------------------------------------------------------------------


BAD_NUMBERS = ["1; DROP TABLE docs", "10", 1.5, True, None, -1, 0, 2**70, float("nan"), [1], b"1"]


@pytest.mark.parametrize("bad", BAD_NUMBERS, ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        lambda bad: HNSW(m=bad),
        lambda bad: HNSW(ef_construction=bad),
        lambda bad: IVFFlat(lists=0 if bad is None else bad),
        lambda bad: SearchOptions(ef_search=0 if bad is None else bad),
        lambda bad: SearchOptions(probes=0 if bad is None else bad),
        lambda bad: SearchOptions(overfetch=0 if bad is None else bad),
        lambda bad: SearchOptions(max_scan_tuples=0 if bad is None else bad),
        lambda bad: CollectionConfig(name="docs", dimensions=0 if bad is None else bad),
        lambda bad: CollectionConfig(name="docs", min_rows_for_index=bad),
        lambda bad: PoolConfig(max_size=bad),
        lambda bad: RetryConfig(attempts=bad),
        lambda bad: PoolConfig(acquire_timeout=-1 if bad in (None, 1.5, 2**70) else bad),
        lambda bad: RetryConfig(max_delay=-1 if bad in (1.5, 2**70) else bad),
    ],
)
def test_what_is_no_number_in_range_is_refused_as_a_parameter(make, bad):
    with pytest.raises(ConfigError):
        make(bad)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_choices_take_no_text_of_their_own(hostile):
    for make in (
        lambda: HNSW(quantization=hostile),
        lambda: SearchOptions(access=hostile),
        lambda: CollectionConfig(name="docs", distance=hostile),
        lambda: CollectionConfig(name="docs", vector_type=hostile),
        lambda: CollectionConfig(name="docs", id_type=hostile),
        lambda: CollectionConfig(name="docs", index=hostile),
        lambda: CollectionConfig(name="docs", fields={"a": hostile}),
        lambda: CollectionConfig(name="docs", setup=hostile),
        lambda: parse({"a": {f"${hostile}": 1}}),
        lambda: parse({f"${hostile}": 1}),
        lambda: PoolConfig(retry=hostile),
    ):
        with pytest.raises((PGRecallError, ValueError)):
            make()


def nested(depth):
    node = Equals(Key(("a",)), b"1")
    for _ in range(depth):
        node = Not(node)
    return node


def deep(depth):
    filter = {"a": 1}
    for _ in range(depth):
        filter = {"$not": filter}
    return filter


@pytest.mark.parametrize(
    ("filter", "says"),
    [
        (deep(21), "nested deeper than 20 levels"),
        (deep(100_000), "nested deeper than 20 levels"),
        (nested(81), "nested deeper than 80 nodes"),
        (nested(100_000), "nested deeper than 80 nodes"),
        ({"a": {"$in": list(range(10_001))}}, "10001 values; at most 10000"),
        ({f"k{n}": {"$in": list(range(10_000))} for n in range(11)}, "more than 100000 values in all"),
        ({f"k{n}": {"$containsAny": list(range(1_000))} for n in range(31)}, "ask with fewer"),
        (In(Key(("a",)), tuple(b"1" for _ in range(MAX_VALUES_IN_ALL + 1))), "values in all"),
        (And(tuple(Equals(Key(("a",)), b"1") for _ in range(MAX_OPERANDS + 1))), f"{MAX_OPERANDS} values in all"),
        (And((Equals(Key(("a",)), b"1"), "1=1")), "a str among its nodes"),
        ({f"k{n}": n for n in range(1_001)}, "at most 1000"),
        ({"a": {"$containsAll": ["x"] * 1_001}}, "1001 values; at most 1000"),
    ],
    ids=range(12),
)
def test_filters_beyond_a_limit_say_which(filter, says):
    with pytest.raises(FilterError, match=says):
        parse(filter)


@pytest.mark.parametrize("filter", [deep(20), nested(79), {f"k{n}": {"$in": list(range(9_990))} for n in range(3)}])
def test_filters_at_a_limit_are_parsed(filter):
    assert parse(filter) is not None


def test_records_are_shown_without_running_anything():
    for hostile in HOSTILE:
        assert MARK in repr(Record(id=hostile, content=hostile))
