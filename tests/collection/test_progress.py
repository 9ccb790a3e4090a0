"""Which share of a build is done, and what is told of it."""

import pytest

from pgrecall.collection.indexes.progress import Reporter, fraction
from pgrecall.postgres.statistics import BuildState
from pgrecall.progress import ProgressFailed, own_errors

# As pgvector and PostgreSQL report them, in their order.
HNSW = [
    ("initializing", 0, 0),
    ("waiting for writers before build", 0, 1),
    ("building index: initializing", 0, 0),
    ("building index: loading tuples", 7, 2143),
    ("building index: loading tuples", 2143, 2143),
    ("waiting for writers before validation", 0, 1),
    ("index validation: scanning index", 0, 0),
    ("index validation: sorting tuples", 0, 0),
    ("index validation: scanning table", 35, 2143),
    ("waiting for old snapshots", 1, 2),
]
IVFFLAT = [
    ("building index: performing k-means", 0, 0),
    ("building index: assigning tuples", 144, 2143),
    ("building index: loading tuples", 1438, 15000),
    ("index validation: scanning index", 0, 0),
]
BTREE = [
    ("building index: scanning table", 1, 9),
    ("building index: sorting live tuples", 0, 9),
    ("building index: loading tuples in tree", 3, 9),
    ("index validation: scanning index", 0, 0),
]


def state(phase, done=0, total=0):
    return BuildState(phase=phase, done=done, total=total)


@pytest.mark.parametrize(("method", "phases"), [("hnsw", HNSW), ("ivfflat", IVFFLAT), ("", BTREE)])
def test_fraction_grows_from_phase_to_phase(method, phases):
    shares = [fraction(state(*phase), method) for phase in phases]
    assert shares == sorted(shares)
    assert shares[0] >= 0
    assert shares[-1] <= 1


def test_fraction_is_mostly_building():
    assert 0.4 < fraction(state("building index: loading tuples", 5, 10), "hnsw") < 0.6


def test_fraction_of_what_is_not_known_here():
    assert fraction(state("building index: something new"), "hnsw") == 0.01
    assert fraction(state("building index: loading tuples", 5, 10), "") == 0.01
    assert fraction(state("something new"), "hnsw") is None


def test_fraction_of_more_than_there_was_is_whole():
    assert fraction(state("building index: loading tuples", 20, 10), "hnsw") == 0.95


def test_what_is_told_never_falls():
    told = []
    reporter = Reporter("it", "hnsw", told.append)
    for share in (None, 0.2, 0.1, None, 0.3):
        reporter.tell("building", fraction=share)
    assert [progress.fraction for progress in told] == [None, 0.2, 0.2, 0.2, 0.3]
    assert {progress.index for progress in told} == {"it"}


def test_what_a_listener_raises_comes_out_as_it_is():
    def fail(_):
        raise BrokenPipeError("nobody reads")

    with pytest.raises(ProgressFailed):
        Reporter("it", "", fail).tell("building")
    with pytest.raises(BrokenPipeError, match="nobody reads"), own_errors():
        Reporter("it", "", fail).tell("building")
