"""What a table needs, by what the statistics say."""

from datetime import UTC, datetime

import pytest

from pgrecall.collection.indexes.maintenance import Facts, Kind, MaintenanceAction, MaintenanceReport, steps
from pgrecall.postgres.statistics import TableFigures
from pgrecall.sql import upkeep
from tests.tables import index, table

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WELL = {"rows": 10_000, "pages": 1_000, "analyzed_at": NOW}


def needed(**changes):
    facts = {name: changes.pop(name) for name in ("broken", "indexes", "buffers") if name in changes}
    return [(step.kind.name, step.index) for step in steps(Facts(figures=TableFigures(**{**WELL, **changes}), **facts))]


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, []),
        ({"rows": 0, "pages": 0, "analyzed_at": None}, []),
        ({"analyzed_at": None}, ["ANALYZE"]),
        ({"changed": 550}, []),
        ({"changed": 551}, ["ANALYZE"]),
        ({"dead": 199}, []),
        ({"dead": 210}, ["VACUUM"]),
        ({"dead": 40, "rows": 1_000}, []),
        ({"dead": 2_000, "changed": 5_000}, ["VACUUM"]),
        ({"visible": 0.5}, ["VACUUM"]),
        ({"visible": 0.5, "pages": 63}, []),
        ({"visible": 0.0, "pages": 0}, []),
    ],
)
def test_steps_without_an_index(changes, kinds):
    assert [kind for kind, _ in needed(**changes)] == kinds


def test_indexes_are_built_anew_before_the_vacuum_where_a_tenth_is_dead():
    assert needed(dead=1_200, indexes=(index(name="a"), index(name="b"))) == [
        ("REINDEX", "a"),
        ("REINDEX", "b"),
        ("VACUUM", None),
    ]
    assert needed(dead=1_000, indexes=(index(),)) == [("VACUUM", None)]


def test_what_dead_builds_left_is_dropped_first():
    assert needed(broken=("x", "y"), analyzed_at=None) == [("DROP", "x"), ("DROP", "y"), ("ANALYZE", None)]


def test_indexes_are_read_into_half_of_the_memory():
    indexes = (index(name="a", size=40), index(name="b", size=20), index(name="c", size=10), index(name="d"))
    assert needed(indexes=indexes, buffers=100) == [("PREWARM", "a"), ("PREWARM", "c")]
    assert needed(indexes=indexes) == []


def test_every_step_says_why():
    everything = Facts(figures=TableFigures(rows=10, dead=90), broken=("x",), indexes=(index(size=1),), buffers=1_000)
    chosen = steps(everything)
    assert {step.kind for step in chosen} == set(Kind) - {Kind.ANALYZE}
    assert all(step.why for step in chosen)


def test_report_prints_figures_and_actions():
    figures = TableFigures(rows=10, dead=3, changed=2, pages=4, visible=0.25)
    action = MaintenanceAction(what="VACUUM public.docs", why="3 rows are dead", seconds=1.25)
    report = MaintenanceReport(table="public.docs", figures=figures, actions=(action,))
    assert str(report).splitlines() == [
        "public.docs: 10 rows, 3 dead, 2 changed since the last ANALYZE, 25% of 4 pages visible to all; done:",
        "  VACUUM public.docs (1.2 s): 3 rows are dead",
    ]
    assert str(MaintenanceReport(table="public.docs")).endswith("; nothing to do")
    assert "to do:" in str(MaintenanceReport(table="public.docs", actions=(action,), dry_run=True))


def test_names_are_quoted_in_every_statement():
    assert upkeep.vacuum(table(name='a"b')).text == 'VACUUM (ANALYZE, TRUNCATE FALSE) "public"."a""b"'
    assert upkeep.reindex("s", "A b").text == 'REINDEX INDEX CONCURRENTLY "s"."A b"'
    warm = upkeep.prewarm("Ext", "s", 'i"')
    assert (warm.text, warm.args) == ('SELECT "Ext"."pg_prewarm"($1::text::regclass)', ('"s"."i"""',))


def test_the_rows_of_an_index_are_noted_on_it():
    statement = upkeep.note_rows("s", "i", 12)
    note = statement.text.partition(" IS ")[2].strip("'")
    assert statement.text.startswith('COMMENT ON INDEX "s"."i" IS ')
    assert upkeep.noted_rows(note) == 12


@pytest.mark.parametrize("note", ["", "theirs", "pgrecall", "pgrecall {", "pgrecall 5", 'pgrecall {"rows": "x"}'])
def test_a_note_that_says_nothing_of_rows(note):
    assert upkeep.noted_rows(note) is None
