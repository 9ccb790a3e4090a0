"""What the benchmarks compute themselves, and hold against what the engine answers."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import corpus, crossover, filters, report, samples, soak_worker
from benchmarks.calibrate import Samples
from benchmarks.figures import Findings, Target
from benchmarks.report import Grid
from benchmarks.truth import Oracle


@pytest.fixture(scope="module")
def rows():
    return samples.prepare(None, [300, 700], queries=20)


@pytest.fixture(scope="module")
def asked(rows):
    return filters.ask(rows)


def test_prepare_smaller_sizes_are_the_first_rows(rows):
    first = samples.prepare(None, [300], queries=20)
    part = rows.part(0, 300)
    assert part.ids == first.ids
    assert part.metadatas == first.metadatas
    assert np.array_equal(part.vectors, first.vectors)
    assert len(rows) == len(set(rows.ids)) == 700
    assert len(rows.queries) == 20


def test_enlarged_copies_lie_about_the_noise_away(rows):
    distances = np.linalg.norm(rows.vectors[300:600] - rows.vectors[:300], axis=1)
    # The noise is Gaussian, and unit length is restored: a vector of length 1.12 comes back by a little.
    assert abs(float(distances.mean()) - samples.COPY_NOISE) < 0.05
    assert np.allclose(np.linalg.norm(rows.vectors, axis=1), 1, atol=1e-5)


def test_widened_keeps_the_distances(rows):
    wide = samples.widened(rows.part(0, 100), 1_024)
    assert wide.vectors.shape == (100, 1_024)
    before, after = (vectors @ vectors.T for vectors in (rows.vectors[:100], wide.vectors))
    assert float(np.corrcoef(before.ravel(), after.ravel())[0, 1]) > 0.95


def test_ask_every_filter_is_asked_once(asked):
    assert len({each.key for each in asked}) == len(asked)
    steady = [each.filter for each in asked]
    assert all(fresh not in steady for each in asked for fresh in each.fresh)


def test_ask_shares_of_random_attributes(rows, asked):
    by_key = {each.key: each for each in asked}
    assert filters.mask(by_key["none"].filter, rows).all()
    assert not filters.mask(by_key["nothing"].filter, rows).any()
    assert 0.4 < filters.mask(by_key["half"].filter, rows).mean() < 0.6
    assert 0.05 < filters.mask(by_key["tenth"].filter, rows).mean() < 0.15


@pytest.mark.parametrize(
    ("filter", "passing"),
    [
        (None, [True, True, True]),
        ({"a": 1}, [True, False, False]),
        ({"a": True}, [False, True, False]),
        ({"year": {"$in": [2001, 5]}}, [True, False, False]),
        ({"year": {"$gte": 2000, "$lte": 2001}}, [True, False, False]),
        ({"$content": {"$contains": "b"}}, [False, True, True]),
        ({"$content": {"$contains": "b"}, "year": {"$gte": 0, "$lte": 9999}}, [False, True, False]),
    ],
)
def test_mask_is_what_a_filter_means(filter, passing):
    small = corpus.Corpus(
        name="small",
        ids=["1", "2", "3"],
        contents=["a", "abc", "b"],
        metadatas=[{"a": 1, "year": 2001}, {"a": True, "year": 2002}, {}],
        vectors=np.eye(3, dtype=np.float32),
        queries=np.eye(3, dtype=np.float32),
    )
    assert filters.mask(filter, small).tolist() == passing


def test_judge_right_answers(rows):
    oracle = Oracle(rows, 10)
    answers = [sorted(ids) for ids in rows.nearest(10)]
    judgement = oracle.judge(None, answers)
    assert (judgement.matches, judgement.recall, judgement.short, judgement.wrong) == (700, 1.0, 0, 0)


def test_judge_counts_short_and_wrong_answers(rows):
    oracle = Oracle(rows, 10)
    passing = filters.mask({"tenth": 3}, rows)
    outside = [row_id for row_id, passes in zip(rows.ids, passing, strict=True) if not passes]
    judgement = oracle.judge({"tenth": 3}, [outside[:10]] * 15 + [outside[:9]] * 5)
    assert (judgement.recall, judgement.short, judgement.wrong) == (0.0, 5, 15 * 10 + 5 * 9)


def test_judge_the_same_row_twice_counts_once(rows):
    oracle = Oracle(rows, 2)
    nearest = [next(iter(ids)) for ids in rows.nearest(1)]
    judgement = oracle.judge(None, [[row_id, row_id] for row_id in nearest])
    assert (judgement.recall, judgement.wrong) == (0.5, 20)


def test_judge_nothing_to_find(rows):
    judgement = Oracle(rows, 10).judge({"tenth": 11}, [[]] * 20)
    assert (judgement.matches, judgement.recall, judgement.short) == (0, 1.0, 0)


def test_table_shows_targets_in_grids():
    findings = Findings()
    findings.add("p50.a", "a", "ms", [2.0], targets=[Target(bound=3, at_least=False)])
    findings.add("p95.a", "a, p95", "ms", [6.0], targets=[Target(bound=2.5, at_least=False, against="p50.a")])
    grid = Grid(title="all", labels=("filter",), rows=[("a", ("a",)), ("b", ("b",))], columns={"p50": "p", "p95": "q"})
    shown = report.table(findings, [grid])
    assert "2.000 <=3 yes" in shown
    assert "6.000 (3.00x) <=2.5x NO" in shown
    assert report.summary(findings).startswith("1 of 2 targets are met, but not:\n  a, p95: 3.00 x p50.a")


def test_slopes_of_exact_measurements():
    work = [(n, f) for n in (10.0, 200.0, 3_000.0) for f in (100.0, 400.0)]
    taken = Samples(work, [150 + 0.3 * n + 9 * f for n, f in work])
    assert taken.slopes() == pytest.approx([150, 0.3, 9])


def test_soak_knows_a_row_by_its_version():
    row = soak_worker.record("0-0-00001", 7)
    assert soak_worker.fault(row, 7) is None
    assert "content" in soak_worker.fault(row, 8)
    assert "deleted" in soak_worker.fault(row, None)
    other = replace(row, embedding=soak_worker.record("0-0-00001", 8).embedding)
    assert "embedding" in soak_worker.fault(other, 7)


def test_soak_after_a_call_that_failed_either_version_is_right():
    diary = soak_worker.Diary()
    diary.acknowledged("a", 1)
    diary.unknown("a", 2)
    diary.unknown("b", 1)
    assert diary.possible == {"a": [1, 2], "b": [None, 1]}
    diary.acknowledged("a", None)
    assert diary.possible["a"] == [None]


def test_numbered_keeps_as_many_rows_as_asked_for(rows):
    made = crossover.numbered(rows)
    for kind in crossover.KINDS:
        assert sorted(metadata[kind] for metadata in made.metadatas) == list(range(700))
    alike = [metadata["likeness"] < 50 for metadata in made.metadatas]
    likeness = rows.vectors @ rows.vectors[0]
    assert likeness[alike].min() >= np.delete(likeness, np.flatnonzero(alike)).max()
    assert [made.metadatas[0]["likeness"], made.ids, crossover.kept(700)] == [0, rows.ids, [50, 150, 500]]


def test_crossover_is_drawn_from_what_a_run_wrote(tmp_path):
    pytest.importorskip("matplotlib")
    kept, figures = [50, 150], []
    for kind in crossover.KINDS:
        for way in crossover.WAYS:
            keys = [f"{quantity}.{way}.{kind}.{count}" for quantity in ("ms", "recall") for count in kept]
            figures += [{"key": key, "median": 0.5} for key in keys]
    (tmp_path / "run.json").write_text(
        json.dumps({"figures": figures, "settings": {"rows": 500, "k": 10, "kept": kept}})
    )
    options = argparse.Namespace(draw=tmp_path / "run.json", plot=tmp_path / "plot.svg")
    assert crossover.main(options) == 0
    drawn = (tmp_path / "plot.svg").read_text()
    assert all(
        text in drawn
        for text in ("exact", "iterative", "covering", "rows that pass, of 500", *crossover.KINDS.values())
    )
