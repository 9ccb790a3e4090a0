"""The planner: situations in, plans out."""

import pytest

from pgrecall import SearchOptions
from pgrecall.plan import Access, Plan
from pgrecall.planner import Situation, choose, exact_limit
from tests.tables import index, table


def situation(**changes):
    """Return a search for ten rows of a million, unfiltered, with an HNSW index, but for *changes*."""
    facts = {
        "k": 10,
        "index": index(),
        "iterative": True,
        "rows": 1_000_000,
        "matches": 1_000_000,
        "filtered": False,
        "lists": 100,
        "options": SearchOptions(),
    }
    return Situation(**{**facts, **changes})


FILTERED = {"filtered": True, "matches": 100_000}


@pytest.mark.parametrize(
    ("changes", "access", "why"),
    [
        ({}, Access.INDEX, "nothing is filtered"),
        ({"options": SearchOptions(exact=True)}, Access.EXACT, "asked for"),
        ({"index": None}, Access.EXACT, "vector index"),
        ({"rows": 1_000, "matches": 1_000}, Access.EXACT, "1000 rows"),
        ({"filtered": True, "matches": 2_000}, Access.EXACT, "2000 rows pass"),
        ({"filtered": True, "matches": 0}, Access.EXACT, "0 rows pass"),
        (FILTERED, Access.ITERATIVE, "100000 of 1000000"),
        ({**FILTERED, "iterative": False}, Access.EXACT, "before 0.8"),
        ({"k": 1_000}, Access.INDEX, "nothing is filtered"),
        ({"k": 1_001}, Access.ITERATIVE, "more than one index scan returns"),
        ({"k": 1_001, "iterative": False}, Access.EXACT, "before 0.8"),
        ({"k": 5_000, "index": index(method="ivfflat")}, Access.INDEX, "nothing is filtered"),
    ],
)
def test_choose_takes_the_way_that_fits(changes, access, why):
    plan = choose(situation(**changes))
    assert plan.access is access
    assert why in plan.reason


def test_choose_without_a_filter_fetches_no_more_than_k():
    assert choose(situation(k=10)).fetch == 10


def test_choose_under_a_filter_fetches_more_than_k():
    assert choose(situation(k=10, **FILTERED)).fetch == 20


def test_choose_takes_the_callers_overfetch():
    assert choose(situation(options=SearchOptions(overfetch=7), **FILTERED)).fetch == 70


@pytest.mark.parametrize(
    ("k", "asked", "candidates"), [(10, None, 100), (10, 40, 40), (200, 40, 200), (500, None, 500), (1_000, 10, 1_000)]
)
def test_choose_looks_at_no_fewer_candidates_than_k(k, asked, candidates):
    assert choose(situation(k=k, options=SearchOptions(ef_search=asked))).candidates == candidates


def test_choose_keeps_ef_search_within_pgvectors_limit():
    assert choose(situation(k=5_000)).candidates == 1_000


def test_choose_probes_the_square_root_of_the_lists():
    assert choose(situation(index=index(method="ivfflat"), lists=400)).candidates == 20


def test_choose_takes_the_callers_probes():
    chosen = choose(situation(index=index(method="ivfflat"), options=SearchOptions(probes=3)))
    assert chosen.candidates == 3


@pytest.mark.parametrize(
    ("k", "matches", "most"), [(10, 500_000, 20_000), (1_000, 100_000, 80_000), (1_000, 95_000, 84_211)]
)
def test_choose_scans_four_times_what_it_expects_to_need(k, matches, most):
    assert choose(situation(k=k, filtered=True, matches=matches)).max_scan_tuples == most


def test_choose_never_scans_more_than_its_limit():
    assert choose(situation(k=10_000, filtered=True, matches=300_000)).max_scan_tuples == 200_000


def test_choose_takes_the_callers_limit_of_the_scan():
    chosen = choose(situation(options=SearchOptions(max_scan_tuples=123), **FILTERED))
    assert chosen.max_scan_tuples == 123


def test_choose_gives_a_long_scan_the_memory_that_it_needs():
    short = choose(situation(options=SearchOptions(max_scan_tuples=1_000), **FILTERED))
    long = choose(situation(options=SearchOptions(max_scan_tuples=200_000), **FILTERED))
    assert short.scan_memory == 1
    assert long.scan_memory == 10


@pytest.mark.parametrize("rows", [0, 1, 10_000, 10_000_000])
def test_exact_limit_is_never_below_two_thousand(rows):
    assert exact_limit(1, rows, SearchOptions()) >= 2_000


def test_exact_limit_grows_with_the_square_root_of_the_table():
    small, large = (exact_limit(10, rows, SearchOptions()) for rows in (1_000_000, 4_000_000))
    assert large == pytest.approx(2 * small, rel=0.01)


def test_usable_index_needs_validity_and_the_same_distance():
    assert table(indexes=(index(valid=False), index(distance=None))).usable_index() is None


def test_usable_index_prefers_hnsw():
    both = (index(name="i", method="ivfflat"), index(name="h"))
    assert table(indexes=both).usable_index().name == "h"


def test_plan_prints_what_and_why():
    text = str(choose(situation(k=10, **FILTERED)))
    assert text == (
        "iterative on docs_hnsw (ef_search=100) fetching 20 for k=10 because about 100000 of 1000000 rows pass"
    )


def test_plan_prints_that_it_fell_back():
    assert "fell back" in str(Plan(access=Access.EXACT, reason="x", k=1, fetch=1, fell_back=True))
