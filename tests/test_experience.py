"""What searches took: kept apart by search and way, cleared of how fast the machine is."""

import pytest

from pgrecall.plan import Access, Plan
from pgrecall.planner import Experience

OTHERS = ((Access.COVERING, 2_000.0), (Access.EXACT, 9_000.0))


def plan(access=Access.ITERATIVE, cost=1_000.0, considered=OTHERS):
    return Plan(access=access, reason="x", k=10, fetch=20, cost=cost, considered=considered)


def observe(experience, times, microseconds, key="key", chosen=None):
    return [experience.observe(key, chosen or plan(), microseconds) for _ in range(times)]


@pytest.fixture
def experience():
    """What many searches that took just what was expected have left."""
    made = Experience()
    observe(made, 500, 1_000, key="others")
    return made


def test_nothing_is_known_at_first():
    assert Experience().of("key") == {}


def test_a_few_searches_say_nothing_yet(experience):
    observe(experience, 3, 5_000)
    assert experience.of("key") == {}


def test_what_several_searches_took_is_known(experience):
    observe(experience, 4, 1_000)
    assert experience.of("key") == {Access.ITERATIVE: pytest.approx(1_000)}


def test_a_search_that_takes_longer_than_another_way_would_is_to_be_planned_anew(experience):
    assert any(observe(experience, 10, 6_000))


def test_a_search_is_not_planned_anew_again_and_again(experience):
    assert sum(observe(experience, 100, 6_000)) < 10


def test_a_search_that_takes_longer_than_was_expected_but_less_than_any_other_way_is_left_alone(experience):
    assert not any(observe(experience, 20, 1_800))


def test_a_search_that_takes_what_was_expected_is_left_alone(experience):
    assert not any(observe(experience, 20, 1_000))


def test_one_slow_search_among_others_is_no_reason(experience):
    slow = [*observe(experience, 10, 1_000), *observe(experience, 1, 1e6), *observe(experience, 20, 1_000)]
    assert not any(slow)


def test_a_search_that_had_no_other_way_is_left_alone(experience):
    assert not any(observe(experience, 10, 9_000, chosen=plan(considered=())))
    assert experience.of("key") == {}


def test_a_plan_without_an_estimate_teaches_nothing(experience):
    assert not any(observe(experience, 10, 9_000, chosen=plan(cost=None)))
    assert experience.fell_short("key", plan(cost=None)) is False
    assert experience.of("key") == {}


def test_searches_are_kept_apart(experience):
    observe(experience, 4, 1_000, key="one")
    observe(experience, 3, 1_000, key="other")
    assert experience.of("other") == {}
    assert experience.of("one").keys() == {Access.ITERATIVE}


def test_ways_are_kept_apart(experience):
    observe(experience, 4, 2_000)
    observe(experience, 4, 3_000, chosen=plan(Access.COVERING, cost=2_000.0))
    found = experience.of("key")
    assert found[Access.ITERATIVE] == pytest.approx(2_000, rel=0.2)
    assert found[Access.COVERING] == pytest.approx(3_000, rel=0.2)


def test_what_one_way_is_known_to_take_is_what_another_is_held_against(experience):
    observe(experience, 4, 1_000, chosen=plan(Access.EXACT, cost=9_000.0, considered=((Access.ITERATIVE, 1_000.0),)))
    assert any(observe(experience, 8, 1_900))  # comparing all rows was expected to take much longer, and did not


def test_the_newest_searches_count_most(experience):
    observe(experience, 10, 4_000)
    observe(experience, 60, 1_000)
    assert experience.of("key")[Access.ITERATIVE] < 1_500


def test_a_slow_machine_is_no_reason_to_plan_anew():
    experience = Experience()
    for number in range(400):
        observe(experience, 1, 6_000, key=f"other {number}")
    assert not any(observe(experience, 10, 6_000))
    assert experience.of("key")[Access.ITERATIVE] == pytest.approx(1_000, rel=0.2)


def test_a_machine_that_had_one_hiccup_is_not_taken_for_a_slow_one(experience):
    observe(experience, 1, 1e9, key="hiccup")
    observe(experience, 4, 1_000)
    assert experience.of("key")[Access.ITERATIVE] == pytest.approx(1_000, rel=0.25)


def test_a_way_that_gave_too_few_rows_is_dearer_than_all_others(experience):
    assert experience.fell_short("key", plan()) is True
    assert experience.of("key")[Access.ITERATIVE] > 1.5 * max(cost for _, cost in OTHERS)


def test_a_way_that_gave_too_few_rows_is_taken_again_where_there_is_no_other(experience):
    assert experience.fell_short("key", plan(considered=())) is False
    assert experience.of("key") == {}


def test_memory_is_bounded():
    experience = Experience()
    for number in range(10_000):
        experience.observe(number, plan(), 1_000)
    assert len(experience._seen) <= 4_096


def test_memory_is_bounded_also_where_every_search_falls_short():
    experience = Experience()
    for number in range(10_000):
        experience.fell_short(number, plan())
    assert len(experience._seen) <= 4_096
