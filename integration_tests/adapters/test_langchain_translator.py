"""Structured queries, against their evaluation in Python, and through LangChain's own retriever."""

# ruff: noqa: DTZ001, DTZ901 - metadata holds times without a zone too

import datetime as dt
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import FakeListLLM
from langchain_core.runnables import RunnableLambda
from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery

from pgrecall import CollectionConfig
from pgrecall.errors import FilterError
from pgrecall.langchain import PGRecallTranslator, PGRecallVectorStore
from tests.evaluation import contains, equal, fits, kind

UTC = dt.UTC
MODEL = DeterministicFakeEmbedding(size=8)
METADATAS = [
    {"n": 1, "lang": "en", "tags": ["a", "b"], "when": dt.date(2024, 1, 1), "a.b": 1},
    {"n": 2.5, "lang": "de", "tags": ["b"], "when": dt.datetime(2024, 1, 1), "$d": "x"},
    {"n": -3, "lang": "English", "tags": "abc", "when": dt.datetime(2024, 1, 1, 10, tzinfo=UTC), "a": {"b": 1}},
    {"n": "1", "lang": None, "tags": [], "when": dt.datetime(2024, 1, 1, 23, 59, 59, 999_999), "ok": True},
    {"n": True, "lang": "", "tags": ["2024-01-01"], "when": dt.datetime(2024, 1, 2, tzinfo=UTC), "ok": False},
    {"n": 10**20, "lang": "100%", "tags": {"a": 1}, "when": dt.date(2024, 1, 2)},
    {"n": None, "lang": "e_n", "tags": ["1", 1], "when": dt.datetime(2023, 12, 31, 23, 59, 59)},
    {"lang": "e\\n", "when": "2024-01-01T10:00:00Z"},
    {"n": [1, 2], "when": dt.datetime(2024, 2, 29, 12, 30, 1, 5)},
    {"n": 0, "lang": "de", "tags": ["a"], "when": "unknown"},
    {"n": 1.0, "lang": ["en"], "tags": [None], "when": None},
    {"when": dt.date(9999, 12, 31), "n": 7},
    {},
]
KEYS = ["n", "lang", "tags", "when", "a.b", "$d", "a", "ok", "missing"]
DAYS = ["2024-01-01", "2024-01-02", "2023-12-31", "2024-02-29", "9999-12-31", "0001-01-01"]
TIMES = ["2024-01-01T00:00:00", "2024-01-01T10:00:00Z", "2024-01-01T10:00:00", "2024-01-01T23:59:59"]
TIMES += ["2024-02-29T12:30:01", "2024-01-02T00:00:00Z", "9999-12-31T23:59:59"]
POINTS = st.sampled_from(DAYS).map(lambda text: {"date": text, "type": "date"}) | st.sampled_from(TIMES).map(
    lambda text: {"datetime": text, "type": "datetime"}
)
TEXTS = st.sampled_from(["en", "de", "", "1", "a", "English", "100%", "x", "2024-01-01"])
NUMBERS = st.sampled_from([1, 2.5, -3, 0, 10**20, 1.0])
SCALARS = TEXTS | NUMBERS | st.booleans() | POINTS
PATTERNS = st.sampled_from(["%", "e%", "%n", "e_n", "e\\_n", "100\\%", "en", "e\\\\n", ""])
ORDERS = [Comparator.GT, Comparator.GTE, Comparator.LT, Comparator.LTE]


def comparisons(comparators, values):
    return st.builds(Comparison, st.sampled_from(comparators), st.sampled_from(KEYS), values)


LEAVES = (
    comparisons([Comparator.EQ, Comparator.NE], SCALARS | st.none() | st.just([1, 2]))
    | comparisons(ORDERS, TEXTS | NUMBERS | POINTS)
    | comparisons([Comparator.IN, Comparator.NIN], st.lists(SCALARS, max_size=3) | TEXTS)
    | comparisons([Comparator.CONTAIN], SCALARS | st.lists(TEXTS, max_size=2))
    | comparisons([Comparator.LIKE], PATTERNS)
)
DIRECTIVES = st.recursive(
    LEAVES,
    lambda inner: st.builds(Operation, st.sampled_from(Operator), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=6,
)


def spans(value):
    """The first moment of a date or time, and the first one after it."""
    if not (isinstance(value, dict) and value.get("type") in ("date", "datetime")):
        return None
    moment = dt.datetime.fromisoformat(value[value["type"]]).replace(tzinfo=None)
    step = dt.timedelta(days=1) if value["type"] == "date" else dt.timedelta(seconds=1)
    try:
        return moment, moment + step
    except OverflowError:
        return moment, dt.datetime.max


def moment(value):
    """What is stored, as a time; None where it is none."""
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, dt.date):
        return dt.datetime.combine(value, dt.time())
    try:
        return dt.datetime.fromisoformat(value).replace(tzinfo=None)
    except (TypeError, ValueError):
        # What begins with a digit is in the order of its characters: "1" and "100%" come before the year 1000.
        return dt.datetime(999, 12, 31) if isinstance(value, str) and value[:1].isdigit() else None


def same(stored, value):
    span = spans(value)
    if span is None:
        return equal(as_json(stored), value)
    stored = moment(stored)
    return stored is not None and span[0] <= stored < span[1]


def ordered(stored, comparator, value):
    span = spans(value)
    if span is None:
        stored = as_json(stored)
        if kind(stored) != kind(value):
            return False
        span = (value, value)
    else:
        stored = moment(stored)
    if stored is None:
        return False
    start, end = span
    match comparator:
        case Comparator.LT:
            return stored < start
        case Comparator.GTE:
            return stored >= start
        case Comparator.LTE:
            return stored < end or stored == start
        case Comparator.GT:
            return stored >= end and stored != start


def as_json(value):
    return value.isoformat() if isinstance(value, dt.date) else value


def holds(stored, value):
    return contains(as_json(stored), value[value["type"]] if spans(value) else value)


def true_of(directive, metadata):
    if isinstance(directive, Operation):
        answers = [true_of(argument, metadata) for argument in directive.arguments]
        return {"and": all(answers), "or": any(answers), "not": not any(answers)}[directive.operator.value]
    stored, value = metadata.get(directive.attribute), directive.value
    match directive.comparator:
        case Comparator.EQ:
            return same(stored, value)
        case Comparator.NE:
            return not same(stored, value)
        case Comparator.IN | Comparator.NIN:
            values = value if isinstance(value, list) else [value]
            return any(same(stored, each) for each in values) == (directive.comparator is Comparator.IN)
        case Comparator.CONTAIN if isinstance(value, list):
            return directive.attribute in metadata and all(holds(stored, each) for each in value)
        case Comparator.CONTAIN:
            return holds(stored, value)
        case Comparator.LIKE:
            return isinstance(as_json(stored), str) and fits(as_json(stored), "like", value, fold=False)
        case comparator:
            return ordered(stored, comparator, value)


def translated(directive):
    return PGRecallTranslator().visit_structured_query(StructuredQuery("q", directive))[1]["filter"]


@pytest.fixture(scope="module", params=[{}, {"when": dt.datetime, "n": float}], ids=["json", "fields"])
def store(request, module_database):
    config = CollectionConfig(name=f"docs_{len(request.param)}", fields=request.param)
    store = PGRecallVectorStore(MODEL, config, url=module_database.url)
    store.add_texts(
        [f"text {n}" for n in range(len(METADATAS))], METADATAS, ids=[str(n) for n in range(len(METADATAS))]
    )
    yield store
    store.close()


def found(store, directive):
    return {record.id for record in store.collection.list(limit=100, filter=translated(directive)).records}


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(directives=st.lists(DIRECTIVES, min_size=1, max_size=4))
def test_a_query_finds_what_its_evaluation_in_python_finds(store, directives):
    for directive in directives:
        expected = {str(n) for n, metadata in enumerate(METADATAS) if true_of(directive, metadata)}
        assert found(store, directive) == expected, directive


VALUES = {Comparator.IN: ["en", "de"], Comparator.NIN: ["en", "de"], Comparator.LIKE: "%e%"}


@pytest.mark.parametrize("operator", Operator)
@pytest.mark.parametrize("comparator", Comparator)
def test_every_comparator_under_every_operator(store, comparator, operator):
    one = Comparison(comparator, "lang", VALUES.get(comparator, "de"))
    other = Comparison(comparator, "when", VALUES.get(comparator, {"date": "2024-01-01", "type": "date"}))
    directive = Operation(operator, [one, other])
    expected = {str(n) for n, metadata in enumerate(METADATAS) if true_of(directive, metadata)}
    assert found(store, directive) == expected


@pytest.mark.parametrize(
    ("comparator", "expected"),
    [
        ("eq", {"0", "1", "2", "3", "7"}),
        ("ne", {"4", "5", "6", "8", "9", "10", "11", "12"}),
        ("gt", {"4", "5", "8", "11"}),
        ("gte", {"0", "1", "2", "3", "4", "5", "7", "8", "11"}),
        ("lt", {"6"}),
        ("lte", {"0", "1", "2", "3", "6", "7"}),
    ],
)
def test_a_date_means_its_whole_day(store, comparator, expected):
    assert found(store, Comparison(Comparator(comparator), "when", {"date": "2024-01-01", "type": "date"})) == expected
    assert found(store, Comparison(Comparator(comparator), "when", dt.date(2024, 1, 1))) == expected


def test_dates_in_a_list_mean_their_whole_days(store):
    days = [{"date": "2023-12-31", "type": "date"}, {"date": "2024-02-29", "type": "date"}]
    assert found(store, Comparison(Comparator.IN, "when", days)) == {"6", "8"}


@pytest.mark.parametrize("text", ["2024-01-01T10:00:00Z", "2024-01-01T12:00:00+02:00", "2024-01-01T10:00:00"])
def test_a_time_with_an_offset_is_taken_to_utc(store, text):
    assert found(store, Comparison(Comparator.EQ, "when", {"datetime": text, "type": "datetime"})) == {"2", "7"}


# -- LangChain's retriever ------------------------------------------------------------------------------

TALKS = [
    Document(id="1", page_content="pgvector at scale", metadata={"year": 2024, "lang": "en", "day": "2024-05-28"}),
    Document(id="2", page_content="vacuum for everyone", metadata={"year": 2023, "lang": "en", "day": "2023-12-12"}),
    Document(
        id="3", page_content="indexe verstehen", metadata={"year": 2024, "lang": "de", "day": "2024-05-28T14:00:00"}
    ),
]
ATTRIBUTES = [
    {"name": "year", "description": "the year of the talk", "type": "integer"},
    {"name": "lang", "description": "the language", "type": "string"},
    {"name": "day", "description": "when it was", "type": "date"},
]


@pytest.fixture
def talks(url):
    store = PGRecallVectorStore.from_documents(TALKS, MODEL, url=url)
    yield store
    store.close()


def retriever(store, filter, limit=None, **keywords):
    """LangChain's retriever, with a model that has this filter in mind."""
    pytest.importorskip("lark", reason="langchain-classic parses what the model writes with lark")
    from langchain_classic.retrievers.self_query.base import SelfQueryRetriever

    answer = {"query": "vacuum", "filter": filter} | ({"limit": limit} if limit else {})
    llm = FakeListLLM(responses=[f"```json\n{json.dumps(answer)}\n```"])
    translator = PGRecallTranslator()
    return SelfQueryRetriever.from_llm(
        llm, store, "talks", ATTRIBUTES, structured_query_translator=translator, **keywords
    )


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("NO_FILTER", {"1", "2", "3"}),
        ('eq("year", 2024)', {"1", "3"}),
        ('and(eq("year", 2024), not(eq("lang", "en")))', {"3"}),
        ('or(lt("year", 2024), in("lang", ["de", "fr"]))', {"2", "3"}),
        ('eq("day", "2024-05-28")', {"1", "3"}),
        ('gt("day", "2024-05-28T10:00:00")', {"3"}),
        ('in("day", ["2023-12-12"])', {"2"}),
        ('like("lang", "e%")', {"1", "2"}),
        ('nin("lang", ["en"])', {"3"}),
        ('contain("lang", "e")', {"1", "2", "3"}),
        ('eq("year", "2024")', set()),
    ],
)
async def test_self_query_retriever_finds_what_the_model_asks_for(talks, filter, expected):
    assert {document.id for document in retriever(talks, filter).invoke("?")} == expected
    assert {document.id for document in await retriever(talks, filter).ainvoke("?")} == expected


def test_self_query_retriever_with_a_limit_takes_so_many(talks):
    found = retriever(talks, "NO_FILTER", limit=2, enable_limit=True).invoke("?")
    assert len(found) == 2


@pytest.mark.parametrize("keywords", [{"fetch_k": 3}, {"fetch_k": 2, "lambda_mult": 0.0}])
async def test_self_query_retriever_finds_varied_documents(talks, keywords):
    asked = retriever(talks, 'eq("lang", "en")', search_type="mmr", search_kwargs=keywords)
    assert {document.id for document in asked.invoke("?")} == {"1", "2"}
    assert {document.id for document in await asked.ainvoke("?")} == {"1", "2"}


def test_self_query_retriever_keeps_its_own_filter_where_the_model_writes_none(talks):
    own = {"filter": {"lang": "de"}}
    assert [document.id for document in retriever(talks, "NO_FILTER", search_kwargs=own).invoke("?")] == ["3"]


def test_self_query_retriever_stays_in_its_domain(talks):
    own = {"domain": "other"}
    assert retriever(talks, 'eq("year", 2024)', search_kwargs=own).invoke("?") == []


def test_self_query_retriever_that_is_given_queries_needs_no_parser(talks):
    from langchain_classic.retrievers.self_query.base import SelfQueryRetriever

    query = StructuredQuery("vacuum", Comparison(Comparator.LT, "year", 2024), limit=1)
    asked = SelfQueryRetriever(
        vectorstore=talks,
        query_constructor=RunnableLambda(lambda _: query),
        structured_query_translator=PGRecallTranslator(),
    )
    assert [document.id for document in asked.invoke("?")] == ["2"]


# -- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comparison", "message"),
    [
        (Comparison(Comparator.GT, "n", True), "have an order"),
        (Comparison(Comparator.GT, "n", None), "have an order"),
        (Comparison(Comparator.LT, "n", [1]), "have an order"),
        (Comparison(Comparator.LIKE, "n", 1), "a pattern is a text"),
        (Comparison(Comparator.LIKE, "n", "a\\"), "backslash"),
        (Comparison(Comparator.LIKE, "n", "a\x00"), "NUL"),
        (Comparison(Comparator.EQ, "n", "a\x00"), "NUL"),
        (Comparison(Comparator.EQ, "n\x00", 1), "NUL"),
        (Comparison(Comparator.EQ, "n", float("nan")), "NaN"),
        (Comparison(Comparator.CONTAIN, "n", {"a": 1}), "single values"),
        (Comparison(Comparator.EQ, "n", {"date": "2024-02-30", "type": "date"}), "no date in ISO 8601"),
        (Comparison(Comparator.EQ, "n", {"type": "date"}), "no date in ISO 8601"),
        (Comparison(Comparator.IN, "n", [{"datetime": 3, "type": "datetime"}]), "no datetime in ISO 8601"),
        (Comparison(Comparator.LT, "n", {"datetime": "0001-01-01T00:00:00+02:00", "type": "datetime"}), "years"),
        (Comparison.model_construct(comparator="near", attribute="n", value=1), "known are eq, ne, gt"),
        (Operation(Operator.AND, []), "at least one condition"),
        (Operation.model_construct(operator="xor", arguments=[]), "known are and, or, not"),
    ],
)
def test_what_is_not_understood_is_an_error_that_says_so(comparison, message):
    with pytest.raises(FilterError, match=re.escape(message)):
        translated(comparison)


def test_the_error_names_attribute_and_comparator():
    with pytest.raises(FilterError, match=r"gt\('size', …\)"):
        translated(Comparison(Comparator.GT, "size", False))


def test_a_comparator_that_a_subclass_does_not_allow_is_refused():
    class Narrow(PGRecallTranslator):
        allowed_comparators = (Comparator.EQ,)

    with pytest.raises(ValueError, match="disallowed"):
        Narrow().visit_structured_query(StructuredQuery("q", Comparison(Comparator.LIKE, "a", "b")))


def test_a_query_without_a_filter_adds_no_keyword():
    assert PGRecallTranslator().visit_structured_query(StructuredQuery("q", None)) == ("q", {})
