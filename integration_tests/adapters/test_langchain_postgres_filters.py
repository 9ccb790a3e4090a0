"""The filters of langchain-postgres, as its users have written them, find the same documents here.

What is expected was checked against langchain-postgres 0.0.19 itself. The last table has what means
something else there, or is an error.
"""

import datetime as dt

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from pgrecall.errors import FilterError
from pgrecall.langchain import PGRecallVectorStore

# Instruments of a lending shop. The last three lack some keys.
INSTRUMENTS = {
    "a": {
        "kind": "cello",
        "fee": 42.5,
        "strings": 4,
        "lent": True,
        "since": "2019-03-01",
        "maker": {"town": "Mittenwald"},
    },
    "b": {
        "kind": "violin",
        "fee": 18.0,
        "strings": 4,
        "lent": False,
        "since": "2021-11-15",
        "maker": {"town": "Cremona"},
    },
    "c": {
        "kind": "viola",
        "fee": 22.25,
        "strings": 4,
        "lent": True,
        "since": "2020-06-30",
        "maker": {"town": "Cremona"},
    },
    "d": {
        "kind": "double bass",
        "fee": 60.0,
        "strings": 5,
        "lent": False,
        "since": "2018-01-10",
        "maker": {"town": "Prague"},
    },
    "e": {
        "kind": "lute",
        "fee": 35.0,
        "strings": 15,
        "lent": False,
        "since": "2022-02-02",
        "maker": {"town": "Füssen"},
    },
    "f": {
        "kind": "Violin",
        "fee": 12.5,
        "strings": 4,
        "lent": True,
        "since": "2023-07-07",
        "maker": {"town": "Mirecourt"},
    },
    "g": {
        "kind": "viola da gamba",
        "fee": 48.0,
        "strings": 6,
        "lent": True,
        "since": "2020-06-30",
        "maker": {"town": "London"},
    },
    "h": {
        "kind": "harp",
        "fee": 99.75,
        "strings": 47,
        "lent": False,
        "since": "2017-12-24",
        "maker": {"town": "Paris"},
    },
    "i": {
        "kind": "50% scale_violin",
        "fee": 9.0,
        "strings": 4,
        "lent": False,
        "since": "2024-01-01",
        "maker": {"town": "Paris"},
    },
    "j": {"kind": "banjo", "fee": 15.0, "strings": 5},
    "k": {"kind": "kit", "lent": True, "since": "2016-05-05"},
    "l": {"fee": 0.0, "maker": {"town": "Prague", "year": 1750}},
}

SAME = [
    # equality, and the bare value
    ({"kind": "cello"}, "a"),
    ({"kind": {"$eq": "cello"}}, "a"),
    ({"strings": 4}, "abcfi"),
    ({"strings": {"$eq": 5}}, "dj"),
    ({"fee": 35.0}, "e"),
    ({"lent": True}, "acfgk"),
    ({"lent": {"$eq": False}}, "bdehi"),
    ({"kind": "tuba"}, ""),
    ({"kind": "violin"}, "b"),
    ({"pedals": 7}, ""),
    # several keys, and keys of nested objects
    ({"strings": 4, "lent": True}, "acf"),
    ({"strings": {"$gt": 4}, "lent": False, "fee": {"$lt": 90.0}}, "de"),
    ({"maker.town": "Cremona"}, "bc"),
    ({"maker.town": {"$in": ["Paris", "London"]}}, "ghi"),
    ({"maker.year": {"$lte": 1750}}, "l"),
    ({"maker.town": {"$like": "M%"}, "lent": True}, "af"),
    # order
    ({"strings": {"$lt": 5}}, "abcfi"),
    ({"strings": {"$lte": 5}}, "abcdfij"),
    ({"strings": {"$gt": 6}}, "eh"),
    ({"strings": {"$gte": 6}}, "egh"),
    ({"fee": {"$gt": 42.5}}, "dgh"),
    ({"fee": {"$gte": 42.5}}, "adgh"),
    ({"fee": {"$lte": 0.0}}, "l"),
    ({"fee": {"$lt": 12.5}}, "il"),
    ({"since": {"$gte": "2022-01-01"}}, "efi"),
    ({"since": {"$lt": dt.date(2018, 1, 1)}}, "hk"),
    # ranges and lists
    ({"strings": {"$between": (5, 15)}}, "degj"),
    ({"strings": {"$between": [4, 4]}}, "abcfi"),
    ({"fee": {"$between": [12.5, 18.0]}}, "bfj"),
    ({"since": {"$between": ["2020-01-01", "2020-12-31"]}}, "cg"),
    ({"kind": {"$in": ["lute", "harp", "tuba"]}}, "eh"),
    ({"strings": {"$in": [6, 47]}}, "gh"),
    ({"fee": {"$in": [9.0, 99.75]}}, "hi"),
    # is it there?
    ({"maker": {"$exists": True}}, "abcdefghil"),
    ({"maker": {"$exists": False}}, "jk"),
    ({"maker.year": {"$exists": True}}, "l"),
    ({"kind": {"$exists": False}}, "l"),
    # patterns
    ({"kind": {"$like": "viol%"}}, "bcg"),
    ({"kind": {"$like": "%in"}}, "bfi"),
    ({"kind": {"$like": "_ute"}}, "e"),
    ({"kind": {"$like": "50\\%%"}}, "i"),
    ({"kind": {"$like": "lute"}}, "e"),
    ({"kind": {"$ilike": "VIOL%"}}, "bcfg"),
    ({"maker.town": {"$ilike": "fÜssen"}}, "e"),
    # and, or, not
    ({"$and": [{"strings": 4}, {"fee": {"$gte": 20.0}}]}, "ac"),
    ({"$or": [{"kind": "harp"}, {"strings": {"$gt": 10}}]}, "eh"),
    ({"$and": [{"lent": True}]}, "acfgk"),
    ({"$or": [{"kind": "lute"}, {"$and": [{"lent": False}, {"fee": {"$lt": 10.0}}]}]}, "ei"),
    ({"$and": [{"$or": [{"strings": 4}, {"strings": 5}]}, {"lent": False}]}, "bdi"),
    ({"$AND": [{"lent": True}, {"$OR": [{"strings": 6}, {"kind": "kit"}]}]}, "gk"),
    ({"$and": [{"fee": {"$exists": True}}, {"$not": {"fee": {"$gte": 15.0}}}]}, "fil"),
    ({"$and": [{"strings": {"$exists": True}}, {"strings": {"$ne": 4}}]}, "deghj"),
    ({"$and": [{"kind": {"$exists": True}}, {"$not": [{"kind": {"$like": "%i%"}}, {"kind": "harp"}]}]}, "adej"),
    ({"$not": {"$or": [{"kind": {"$exists": False}}, {"kind": {"$ne": "banjo"}}]}}, "j"),
    ({"$NOT": [{"maker": {"$exists": True}}, {"kind": "kit"}]}, "j"),
    ({"$and": [{"strings": {"$exists": True}}, {"strings": {"$nin": [4, 5]}}]}, "egh"),
    ({"$not": {"$not": {"kind": "cello"}}}, "a"),
    ({}, "abcdefghijkl"),
]

# Negation there leaves out what lacks the key; here it is everything else.
NEGATED = [
    ({"strings": {"$ne": 4}}, "deghj", "kl"),
    ({"lent": {"$ne": True}}, "bdehi", "jl"),
    ({"kind": {"$nin": ["cello", "lute"]}}, "bcdfghijk", "l"),
    ({"$not": {"fee": {"$gte": 15.0}}}, "fil", "k"),
    ({"$not": [{"strings": 4}, {"strings": {"$gt": 5}}]}, "dj", "kl"),
    ({"$not": {"maker.town": "Paris"}}, "abcdefgl", "jk"),
]

# Errors there.
MORE = [
    ({"strings": {"$gt": 4, "$lt": 15}}, "dgj"),
    ({"$or": [{"kind": "harp"}, {"kind": "lute"}], "lent": False}, "eh"),
    ({"kind": {"$in": []}}, ""),
    ({"lent": {"$in": [True]}}, "acfgk"),
    ({"strings": {"$lt": 2**40}}, "abcdefghij"),
    ({"kind": None}, "l"),
    ({"maker": {"town": "London"}}, "g"),
]


@pytest.fixture(scope="module")
def shop(module_database):
    store = PGRecallVectorStore(DeterministicFakeEmbedding(size=4), url=module_database.url)
    store.add_documents(
        [Document(id=each, page_content=f"instrument {each}", metadata=m) for each, m in INSTRUMENTS.items()]
    )
    yield store
    store.close()


def found(store, filter):
    return "".join(sorted(document.id for document in store.similarity_search("?", k=50, filter=filter)))


@pytest.mark.parametrize(("filter", "expected"), SAME, ids=str)
def test_filter_finds_what_it_finds_in_langchain_postgres(shop, filter, expected):
    assert found(shop, filter) == expected


@pytest.mark.parametrize(("filter", "there", "lacking"), NEGATED, ids=str)
def test_negation_finds_what_lacks_the_key_too(shop, filter, there, lacking):
    assert found(shop, filter) == "".join(sorted(there + lacking))


@pytest.mark.parametrize(("filter", "expected"), MORE, ids=str)
def test_filter_that_is_an_error_in_langchain_postgres_is_answered(shop, filter, expected):
    assert found(shop, filter) == expected


def test_types_are_respected(shop):
    # There everything is compared as text, so that "4" is 4, and 15 is like "1%".
    assert found(shop, {"strings": "4"}) == ""
    assert found(shop, {"strings": {"$like": "1%"}}) == ""


def test_null_is_there(shop):
    shop.add_documents([Document(id="m", page_content="m", metadata={"kind": None})])
    try:
        assert "m" in found(shop, {"kind": {"$exists": True}})
    finally:
        shop.delete(["m"])


@pytest.mark.parametrize(
    "filter",
    [
        {"kind": {"$near": "cello"}},
        {"$nor": [{"kind": "cello"}]},
        {"$and": {"kind": "cello"}},
        {"$and": []},
        {"$not": []},
        {"$not": "cello"},
        {"kind": {"$exists": 1}},
        {"strings": {"$between": [1, 2, 3]}},
        {"kind": {"$in": "cello"}},
        "kind = 'cello'",
    ],
    ids=str,
)
def test_what_is_no_filter_is_refused(shop, filter):
    with pytest.raises(FilterError):
        found(shop, filter)
