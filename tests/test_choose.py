"""The planner: situations in, plans out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall import SearchOptions
from pgrecall.distance import VectorType
from pgrecall.errors import ConfigError
from pgrecall.filters import And, Equals, In, Key, Not, Or, parse
from pgrecall.plan import Access, Plan
from pgrecall.planner import Situation, choose, exact_limit
from tests.tables import index, table

NEWS = Equals(Key(("category",)), b'"news"')
RECENT = parse({"year": {"$gte": 2020}})


def situation(**changes):
    """Return a search for ten rows of a million, unfiltered, with an HNSW index, but for *changes*."""
    facts = {
        "k": 10,
        "dimensions": 384,
        "index": index(),
        "iterative": True,
        "rows": 1_000_000,
        "matches": 1_000_000,
        "filtered": False,
        "options": SearchOptions(),
    }
    return Situation(**{**facts, **changes})


def part(**changes):
    """Return a vector index of the rows of one category."""
    return index(**{"name": "docs_news", "condition": NEWS, "rows": 100_000, **changes})


FILTERED = {"filtered": True, "matches": 100_000, "filter": NEWS, "correlations": (0.0,)}
ITERATIVE = SearchOptions(access=Access.ITERATIVE)
FEW = {**FILTERED, "matches": 10_000, "options": ITERATIVE}
CORRELATED = {**FILTERED, "correlations": (0.6,)}
# All that add_fields and create_index make.
COVERED = {"covered": True, "code_bits": 4, "visible": 1.0}
EVERYTHING = {**CORRELATED, **COVERED, "partial": (part(),)}


@pytest.mark.parametrize(
    ("changes", "access", "why"),
    [
        ({}, Access.INDEX, "nothing is filtered"),
        ({"options": SearchOptions(exact=True)}, Access.EXACT, "asked for"),
        ({"index": None}, Access.EXACT, "no vector index"),
        ({"index": None, **FILTERED}, Access.EXACT, "no vector index"),
        ({"rows": 1_000, "matches": 1_000}, Access.EXACT, "1000 rows"),
        ({"rows": 1_000, "matches": 900, "index": None, **COVERED}, Access.EXACT, "1000 rows"),
        ({**FILTERED, "matches": 2_000}, Access.EXACT, "only about 2000 rows pass"),
        ({**FILTERED, "matches": 0}, Access.EXACT, "only about 0 rows pass"),
        (FILTERED, Access.ITERATIVE, "100000 of 1000000"),
        ({"filtered": True, "matches": 100_000}, Access.ITERATIVE, "100000 of 1000000"),
        ({**FILTERED, "iterative": False}, Access.EXACT, "before 0.8"),
        ({**FILTERED, "matches": 2_500}, Access.EXACT, "2500 rows that pass takes least"),
        ({"k": 1_000}, Access.INDEX, "nothing is filtered"),
        ({"k": 1_001}, Access.ITERATIVE, "more than a scan returns"),
        ({"k": 1_001, "iterative": False}, Access.EXACT, "before 0.8"),
        ({"k": 5_000, "index": index(method="ivfflat")}, Access.INDEX, "nothing is filtered"),
        (EVERYTHING, Access.PARTIAL, "100000 rows with that value"),
        ({**CORRELATED, **COVERED}, Access.COVERING, "codes of the 100000 rows"),
        ({**CORRELATED, **COVERED, "index": None}, Access.COVERING, "codes of the 100000 rows"),
    ],
)
def test_choose_takes_the_way_that_fits(changes, access, why):
    plan = choose(situation(**changes))
    assert plan.access is access
    assert why in plan.reason


def test_a_filter_that_has_nothing_to_do_with_the_embeddings_is_left_to_an_iterative_scan():
    plan = choose(situation(**{**EVERYTHING, "correlations": (0.05,), "matches": 500_000, "partial": ()}))
    assert plan.access is Access.ITERATIVE


@pytest.mark.parametrize("prepared", [{"partial": (part(),)}, COVERED, {**COVERED, "partial": (part(),)}])
def test_a_filter_that_has_to_do_with_the_embeddings_takes_what_was_made_for_it(prepared):
    assert choose(situation(**CORRELATED, **prepared)).access in (Access.PARTIAL, Access.COVERING)


def test_an_iterative_scan_is_dearer_the_more_the_filter_has_to_do_with_the_embeddings():
    unlike, unknown, alike = (
        choose(situation(**{**FEW, "correlations": known})).cost for known in [(0.0,), (None,), (0.5,)]
    )
    assert unlike < unknown < alike


def test_one_correlated_field_among_several_is_enough():
    one, none = (
        choose(situation(**{**FEW, "correlations": known})).cost for known in [(0.0, 0.9, None), (0.0, 0.05, 0.0)]
    )
    assert one > none


@pytest.mark.parametrize(
    "filter",
    [
        NEWS,
        In(NEWS.field, (NEWS.json,)),
        NEWS & RECENT,
        RECENT & NEWS,
        And((RECENT, And((RECENT, NEWS)))),
    ],
    ids=str,
)
def test_an_index_of_one_value_serves_filters_that_require_it(filter):
    assert choose(situation(**{**EVERYTHING, "filter": filter, "covered": False})).condition == NEWS


@pytest.mark.parametrize(
    "filter",
    [
        None,
        RECENT,
        Not(NEWS),
        NEWS | RECENT,
        Or((NEWS, NEWS & RECENT)),
        In(NEWS.field, (NEWS.json, b'"sport"')),
        Equals(NEWS.field, b'"sport"'),
        Equals(Key(("other",)), NEWS.json),
        Not(NEWS & RECENT),
    ],
    ids=str,
)
def test_an_index_of_one_value_serves_no_filter_that_other_rows_pass(filter):
    plan = choose(situation(**{**EVERYTHING, "filter": filter, "covered": False}))
    assert plan.access is not Access.PARTIAL
    assert plan.condition is None
    with pytest.raises(ConfigError, match="access='partial'"):
        choose(situation(**{**EVERYTHING, "filter": filter, "options": SearchOptions(access="partial")}))


def test_of_several_indexes_that_fit_the_smallest_is_taken():
    small = part(name="small", condition=Equals(Key(("year",)), b"2020"), rows=20_000)
    changes = {"partial": (part(), small), "filter": NEWS & small.condition, "matches": 5_000}
    plan = choose(situation(**{**EVERYTHING, **changes, "options": SearchOptions(access="partial")}))
    assert (plan.index, plan.condition) == ("small", small.condition)


def test_an_index_of_one_value_is_scanned_for_the_share_that_passes_of_its_own_rows():
    alone, among_all = (
        choose(situation(**{**EVERYTHING, "options": SearchOptions(access=access, max_scan_tuples=20_000)}))
        for access in ("partial", "iterative")
    )
    assert alone.cost < among_all.cost
    assert alone.candidates > among_all.candidates


@pytest.mark.parametrize("visible", [0.0, 0.5, 0.79])
def test_covering_needs_pages_that_need_no_look(visible):
    plan = choose(situation(**{**CORRELATED, **COVERED, "visible": visible}))
    assert plan.access is not Access.COVERING
    assert Access.COVERING not in dict(plan.considered)


@pytest.mark.parametrize("missing", [{"covered": False}, {"code_bits": 0}])
def test_covering_needs_codes_and_all_that_is_asked_about(missing):
    plan = choose(situation(**{**CORRELATED, **COVERED, **missing}))
    assert Access.COVERING not in (plan.access, *dict(plan.considered))


def test_covering_fetches_more_the_coarser_the_codes_are():
    fetched = [
        choose(situation(**{**CORRELATED, **COVERED, "code_bits": bits, "options": SearchOptions(access="covering")}))
        for bits in (4, 3, 2, 1)
    ]
    assert [plan.fetch for plan in fetched] == sorted(plan.fetch for plan in fetched)
    assert fetched[0].fetch > 10


def test_covering_takes_more_where_the_index_is_read_from_end_to_end():
    options = SearchOptions(access="covering")
    found, read = (choose(situation(**EVERYTHING, entered=entered, options=options)) for entered in (True, False))
    assert found.fetch == read.fetch
    assert found.cost < read.cost


def test_covering_takes_the_callers_overfetch():
    options = SearchOptions(access="covering", overfetch=5)
    assert choose(situation(**{**EVERYTHING, "options": options})).fetch == 50


@pytest.mark.parametrize("access", [Access.PARTIAL, Access.COVERING, Access.EXACT])
def test_what_was_observed_overturns_the_choice(access):
    observed = {way: 1e9 for way in Access if way is not access}
    assert choose(situation(**EVERYTHING, observed=observed)).access is access


def test_what_was_observed_of_one_way_leaves_the_others_as_they_are():
    cheapest = choose(situation(**EVERYTHING))
    second = choose(situation(**EVERYTHING, observed={cheapest.access: 1e9}))
    assert second.access is min(cheapest.considered, key=lambda way: way[1])[0]
    assert choose(situation(**EVERYTHING, observed={cheapest.access: cheapest.cost})).access is cheapest.access


def test_what_was_observed_gives_no_way_that_there_is_not():
    observed = {Access.COVERING: 1.0, Access.PARTIAL: 1.0}
    assert choose(situation(**FILTERED, observed=observed)).access is Access.ITERATIVE


def test_considered_lists_the_other_ways_and_what_they_take():
    plan = choose(situation(**EVERYTHING))
    others = dict(plan.considered)
    # A scan of the index of all rows would miss some: the filter goes with the embeddings.
    assert {plan.access, *others} == {Access.EXACT, Access.PARTIAL, Access.COVERING}
    assert plan.access not in others
    assert list(others.values()) == sorted(others.values())
    assert plan.cost <= min(others.values())


@pytest.mark.parametrize("changes", [{}, {"options": SearchOptions(exact=True)}, {**FILTERED, "index": None}])
def test_considered_is_empty_where_there_was_no_choice(changes):
    assert choose(situation(**changes)).considered == ()


def test_what_no_index_finds_makes_comparing_dearer():
    found, sought = (
        choose(situation(**FILTERED, indexed=indexed, options=SearchOptions(exact=True))).cost
        for indexed in (True, False)
    )
    assert sought > found


@pytest.mark.parametrize("access", Access)
def test_access_that_is_asked_for_is_taken(access):
    plan = choose(situation(**EVERYTHING, options=SearchOptions(access=access)))
    assert (plan.access, plan.reason) == (access, "it was asked for")


def test_covering_that_is_asked_for_is_taken_whatever_the_pages_say():
    plan = choose(situation(**{**EVERYTHING, "visible": 0.0, "options": SearchOptions(access="covering")}))
    assert plan.access is Access.COVERING


@pytest.mark.parametrize(
    ("access", "changes"),
    [
        ("index", {"index": None}),
        ("iterative", {"index": None}),
        ("iterative", {"iterative": False}),
        ("partial", {"partial": ()}),
        ("partial", {"iterative": False}),
        ("partial", {"filter": RECENT}),
        ("covering", {"code_bits": 0}),
        ("covering", {"covered": False}),
    ],
)
def test_access_that_nothing_serves_is_an_error(access, changes):
    with pytest.raises(ConfigError, match=f"access='{access}'"):
        choose(situation(**{**EVERYTHING, **changes, "options": SearchOptions(access=access)}))


def test_access_that_contradicts_exact_is_an_error():
    with pytest.raises(ConfigError, match="contradict"):
        SearchOptions(exact=True, access=Access.INDEX)


@pytest.mark.parametrize("access", ["", "fast", 3])
def test_access_that_there_is_not_is_an_error(access):
    with pytest.raises(ConfigError, match="access"):
        SearchOptions(access=access)


def test_choose_without_a_filter_fetches_no_more_than_k():
    assert choose(situation(k=10)).fetch == 10
    assert choose(situation(k=2_000)).fetch == 2_000


@pytest.mark.parametrize(("quantized", "fetch"), [(None, 10), (VectorType.HALFVEC, 20), (VectorType.BIT, 150)], ids=str)
def test_an_index_that_is_coarser_than_the_column_fetches_more(quantized, fetch):
    plan = choose(situation(index=index(quantized=quantized)))
    assert (plan.access, plan.quantized, plan.fetch) == (Access.INDEX, quantized, fetch)


@pytest.mark.parametrize("quantized", [VectorType.HALFVEC, VectorType.BIT])
def test_an_index_that_is_coarser_takes_the_callers_overfetch(quantized):
    plan = choose(situation(index=index(quantized=quantized), options=SearchOptions(overfetch=4)))
    assert plan.fetch == 40


def test_choose_under_a_filter_fetches_more_than_k():
    assert choose(situation(k=10, **FILTERED)).fetch == 20


def test_choose_takes_the_callers_overfetch():
    assert choose(situation(options=SearchOptions(overfetch=7), **FILTERED)).fetch == 70


@pytest.mark.parametrize(
    ("k", "asked", "candidates"), [(10, None, 100), (10, 40, 40), (200, 40, 200), (500, None, 500), (1_000, 10, 1_000)]
)
def test_choose_looks_at_no_fewer_candidates_than_k(k, asked, candidates):
    chosen = choose(situation(k=k, rows=20_000, matches=20_000, options=SearchOptions(ef_search=asked)))
    assert chosen.candidates == candidates


def test_choose_looks_at_more_candidates_in_a_larger_table():
    small, large = (choose(situation(rows=rows, matches=rows)).candidates for rows in (20_000, 1_000_000))
    assert small < large


def test_choose_takes_what_was_tuned_unless_the_caller_says_otherwise():
    assert choose(situation(tuned=77)).candidates == 77
    assert choose(situation(tuned=77, options=SearchOptions(ef_search=55))).candidates == 55
    assert choose(situation(tuned=7, index=index(method="ivfflat"))).candidates == 7


def test_choose_under_a_filter_looks_at_no_less_than_without_tuning():
    by_itself = choose(situation(**FILTERED, options=ITERATIVE)).candidates
    assert choose(situation(**FILTERED, options=ITERATIVE, tuned=10)).candidates == by_itself
    assert choose(situation(**FILTERED, options=ITERATIVE, tuned=900)).candidates == 900


def test_choose_keeps_ef_search_within_pgvectors_limit():
    assert choose(situation(k=5_000)).candidates == 1_000
    assert (
        choose(situation(tuned=900, **{**EVERYTHING, "options": SearchOptions(access="partial")})).candidates == 1_000
    )


def test_choose_probes_the_square_root_of_the_lists():
    assert choose(situation(index=index(method="ivfflat", options=(("lists", "400"),)))).candidates == 20


def test_choose_probes_enough_lists_for_what_it_fetches():
    chosen = choose(situation(k=5_000, index=index(method="ivfflat", options=(("lists", "1000"),))))
    assert chosen.candidates == 32
    many = choose(situation(k=10_000, rows=100_000, matches=100_000, index=index(method="ivfflat")))
    assert many.candidates == 20


@given(k=st.integers(1, 10_000), lists=st.integers(1, 32_768), rows=st.integers(1_001, 10_000_000))
def test_choose_never_probes_more_lists_than_there_are(k, lists, rows):
    chosen = choose(
        situation(k=k, rows=rows, matches=rows, index=index(method="ivfflat", options=(("lists", str(lists)),)))
    )
    assert 1 <= chosen.candidates <= lists


def test_choose_takes_the_callers_probes():
    chosen = choose(situation(index=index(method="ivfflat"), options=SearchOptions(probes=3)))
    assert chosen.candidates == 3


@pytest.mark.parametrize(
    ("k", "matches", "most"), [(10, 500_000, 20_000), (1_000, 100_000, 80_000), (1_000, 95_000, 84_211)]
)
def test_choose_scans_four_times_what_it_expects_to_need(k, matches, most):
    assert choose(situation(k=k, filtered=True, matches=matches, options=ITERATIVE)).max_scan_tuples == most


def test_choose_never_scans_more_than_its_limit():
    assert choose(situation(k=10_000, filtered=True, matches=300_000, options=ITERATIVE)).max_scan_tuples == 200_000


def test_choose_takes_the_callers_limit_of_the_scan():
    chosen = choose(situation(options=SearchOptions(max_scan_tuples=123), **FILTERED))
    assert chosen.max_scan_tuples == 123


def test_choose_limits_no_scan_that_ends_by_itself():
    assert choose(situation()).max_scan_tuples is None


def test_choose_gives_a_long_scan_the_memory_that_it_needs():
    short = choose(situation(options=SearchOptions(max_scan_tuples=1_000), **FILTERED))
    long = choose(situation(options=SearchOptions(max_scan_tuples=200_000), **FILTERED))
    assert short.scan_memory == 1
    assert long.scan_memory == 10


SITUATIONS = st.builds(
    situation,
    k=st.integers(1, 10_000),
    dimensions=st.integers(1, 16_000),
    index=st.sampled_from(
        [None, index(), index(method="ivfflat"), index(quantized=VectorType.HALFVEC), index(quantized=VectorType.BIT)]
    ),
    partial=st.sampled_from([(), (part(),), (part(rows=0),)]),
    code_bits=st.integers(0, 4),
    visible=st.floats(0, 1),
    tuned=st.none() | st.integers(1, 1_000),
    iterative=st.booleans(),
    rows=st.integers(0, 10_000_000),
    matches=st.integers(0, 10_000_000),
    filtered=st.booleans(),
    filter=st.sampled_from([None, NEWS, RECENT, NEWS & RECENT, NEWS | RECENT]),
    covered=st.booleans(),
    indexed=st.booleans(),
    correlations=st.lists(st.none() | st.floats(-1, 1), max_size=3).map(tuple),
    observed=st.dictionaries(st.sampled_from(Access), st.floats(0, 1e9)),
    options=st.builds(
        SearchOptions,
        exact=st.booleans(),
        ef_search=st.none() | st.integers(1, 1_000),
        probes=st.none() | st.integers(1, 32_768),
        overfetch=st.none() | st.integers(1, 100),
        max_scan_tuples=st.none() | st.integers(1, 2**31 - 1),
    ),
)


@given(SITUATIONS)
def test_every_plan_can_run_and_find_k_rows(s):
    plan = choose(s)
    assert plan.fetch >= plan.k == s.k
    assert plan.cost > 0
    if plan.access in (Access.EXACT, Access.COVERING):
        assert (plan.index, plan.candidates, plan.max_scan_tuples) == (None, None, None)
        return
    assert plan.index is not None
    assert plan.method == "ivfflat" or 1 <= plan.candidates <= 1_000
    if plan.access is Access.INDEX:
        # What goes on scanning is not limited to its candidates; this is.
        assert plan.method == "ivfflat" or plan.candidates >= plan.k
    else:
        assert s.iterative
        assert 1 <= plan.scan_memory <= 1_000
    assert (plan.condition is not None) == (plan.access is Access.PARTIAL)


@pytest.mark.parametrize("rows", [0, 1, 10_000, 10_000_000])
def test_exact_limit_is_never_below_two_thousand(rows):
    assert exact_limit(1, rows, SearchOptions()) >= 2_000


def test_exact_limit_grows_with_the_square_root_of_the_table():
    small, large = (exact_limit(10, rows, SearchOptions()) for rows in (1_000_000, 4_000_000))
    assert large == pytest.approx(2 * small, rel=0.01)


def test_exact_limit_grows_with_what_is_fetched():
    little, much = (exact_limit(10, 1_000_000, SearchOptions(overfetch=overfetch)) for overfetch in (2, 50))
    assert little < much
    assert exact_limit(10, 1_000_000, SearchOptions()) < exact_limit(1_000, 1_000_000, SearchOptions())


def test_usable_index_needs_validity_and_the_same_distance():
    assert table(indexes=(index(valid=False), index(distance=None))).usable_index() is None


def test_usable_index_prefers_hnsw():
    both = (index(name="i", method="ivfflat"), index(name="h"))
    assert table(indexes=both).usable_index().name == "h"


def test_usable_index_prefers_what_is_finer():
    every = [index(name=str(kind), quantized=kind) for kind in (VectorType.BIT, VectorType.HALFVEC, None)]
    assert table(indexes=tuple(every)).usable_index().name == "None"
    assert table(indexes=tuple(every[:2])).usable_index().name == "halfvec"


def test_usable_index_holds_all_rows():
    assert table(indexes=(part(), index())).usable_index().condition is None
    assert table(indexes=(part(),)).usable_index() is None


def test_partial_indexes_are_those_that_a_search_can_use():
    others = (index(), part(valid=False), part(distance=None))
    assert table(indexes=(*others, part())).partial_indexes() == (part(),)


def test_plan_prints_what_and_why():
    text = str(choose(situation(k=10, rows=20_000, filtered=True, matches=10_000)))
    assert text == "iterative on docs_hnsw (ef_search=100) fetching 20 for k=10 because about 10000 of 20000 rows pass"


@pytest.mark.parametrize(
    ("access", "text"),
    [
        (Access.EXACT, "exact because it was asked for"),
        (Access.INDEX, "index on docs_hnsw (ef_search=120) because it was asked for"),
        (Access.ITERATIVE, "iterative on docs_hnsw (ef_search=120) fetching 50 for k=10 because it was asked for"),
        (Access.PARTIAL, "partial on docs_news (ef_search=120) fetching 50 for k=10 because it was asked for"),
        (Access.COVERING, "covering fetching 50 for k=10 because it was asked for"),
    ],
)
def test_plan_prints_every_way(access, text):
    options = SearchOptions(access=access, overfetch=5, ef_search=120)
    assert str(choose(situation(**EVERYTHING, options=options))) == text


def test_plan_of_an_ivfflat_index_prints_its_probes():
    assert "on docs_hnsw (probes=10)" in str(choose(situation(index=index(method="ivfflat"))))


def test_plan_prints_that_it_fell_back():
    assert "fell back" in str(Plan(access=Access.EXACT, reason="x", k=1, fetch=1, fell_back=True))
