from dataclasses import replace

import pytest

from pgrecall.collection.indexes.maintenance import Facts
from pgrecall.collection.measuring.recall import RecallReport
from pgrecall.collection.server_checks import judge_server
from pgrecall.collection.table_checks import Condition, judge_table
from pgrecall.distance import Distance
from pgrecall.findings import Verdict
from pgrecall.plan import Access, Plan
from pgrecall.postgres.condition import ServerCondition
from pgrecall.postgres.statistics import Limits, TableFigures
from pgrecall.server import Server
from pgrecall.table import FieldIndex, VectorIndex
from pgrecall.table_columns import TextColumn
from tests.tables import table

GB = 1 << 30
SERVER = Server(
    version=180_006,
    vector_version=(0, 8, 6),
    vector_schema="public",
    read_only=False,
    can_create_schema=True,
    user="app",
    database="db",
    pooled=False,
    random_page_cost=1.1,
)
LIMITS = Limits(memory=GB, buffers=GB, cache=4 * GB, workers=2, parallel=8, processes=8)
CONDITION = ServerCondition(available_vector="0.8.6")
INDEX = VectorIndex(name="docs_idx", method="hnsw", distance=Distance.COSINE, valid=True)
SHAPE = table(indexes=(INDEX,), rows=20_000)
FIGURES = TableFigures(rows=20_000, analyzed_at="2026-01-01")
WELL = Condition(table=SHAPE, user="app", facts=Facts(figures=FIGURES))
PLAN = Plan(access=Access.INDEX, reason="of the test", k=10, fetch=10, index="docs_idx")
RECALL = RecallReport(
    recall=1.0,
    worst=1.0,
    k=10,
    queries=20,
    drawn=True,
    short=0,
    live_p50=1,
    live_p95=1,
    exact_p50=1,
    exact_p95=1,
    plans=(),
)


def bad(findings):
    """Return the findings that are not ok; each of them says what to do."""
    found = [finding for finding in findings if finding.verdict is not Verdict.OK]
    assert all(finding.advice and finding.found for finding in found)
    return [(finding.check, finding.verdict.value) for finding in found]


def test_a_good_server_has_nothing_to_say():
    assert bad(judge_server(SERVER, CONDITION, LIMITS, "public")) == []


@pytest.mark.parametrize(
    ("server", "condition", "limits", "expected"),
    [
        ({"version": 130_010}, {}, {}, ("PostgreSQL", "fail")),
        ({"vector_version": None}, {}, {}, ("pgvector", "fail")),
        ({"vector_version": None}, {"available_vector": None}, {}, ("pgvector", "fail")),
        ({"vector_version": (0, 5, 1)}, {}, {}, ("pgvector", "fail")),
        ({"vector_version": (0, 7, 4)}, {}, {}, ("pgvector", "warn")),
        ({"vector_version": (0, 8, 0)}, {}, {}, ("pgvector", "warn")),
        ({"read_only": True}, {}, {}, ("rights", "warn")),
        ({}, {"can_create_table": False}, {}, ("rights", "warn")),
        ({"can_create_schema": False}, {"can_create_table": None}, {}, ("rights", "warn")),
        ({"pooled": True}, {}, {}, ("pooler", "warn")),
        ({"random_page_cost": 4.0}, {}, {}, ("planner", "warn")),
        ({}, {"encoding": "SQL_ASCII"}, {}, ("encoding", "fail")),
        ({}, {"connections": 90}, {}, ("connections", "warn")),
        ({}, {"index_bytes": 5 * GB}, {}, ("memory", "warn")),
        ({}, {"index_bytes": 2 * GB}, {}, ("memory", "warn")),
        ({}, {"largest_index": 5 * GB}, {}, ("builds", "warn")),
        ({}, {}, {"workers": 0}, ("builds", "warn")),
        ({}, {"autovacuum": False}, {}, ("autovacuum", "warn")),
        ({}, {"fsync": False}, {}, ("durability", "warn")),
        ({}, {"full_page_writes": False}, {}, ("durability", "warn")),
        ({}, {"statement_timeout": 2.0}, {}, ("timeout", "warn")),
        ({}, {"oldest_transaction": 3_600.0}, {}, ("transactions", "warn")),
    ],
)
def test_each_fault_of_a_server_is_found_by_itself(server, condition, limits, expected):
    found = judge_server(
        replace(SERVER, **server), replace(CONDITION, **condition), replace(LIMITS, **limits), "public"
    )

    assert bad(found) == [expected]


def test_a_good_collection_has_nothing_to_say():
    assert (
        bad(judge_table(replace(WELL, plan=replace(PLAN, postgres=("Index Scan using docs_idx",)), recall=RECALL)))
        == []
    )
    few = replace(WELL, table=replace(SHAPE, indexes=()), facts=Facts(figures=replace(FIGURES, rows=100)))
    assert bad(judge_table(few)) == []


@pytest.mark.parametrize(
    ("shape", "condition", "expected"),
    [
        ({"writable": False}, {}, ("rights", "warn")),
        ({"unfilled": ("tenant",)}, {}, ("columns", "fail")),
        ({"key": ()}, {}, ("key", "warn")),
        ({"policed": True, "secured": False}, {}, ("security", "warn")),
        ({"indexes": ()}, {}, ("index", "warn")),
        ({"indexes": (replace(INDEX, distance=Distance.L2),)}, {}, ("index", "warn")),
        ({"dimensions": None}, {}, ("index", "warn")),
        ({}, {"facts": Facts(figures=FIGURES, broken=("old_idx",))}, ("index", "fail")),
        ({}, {"built_for": 1_000}, ("index", "warn")),
        ({}, {"plan": replace(PLAN, postgres=("Seq Scan on docs",))}, ("index", "fail")),
        ({}, {"facts": Facts(figures=replace(FIGURES, dead=1_000))}, ("upkeep", "warn")),
        ({}, {"facts": Facts(figures=replace(FIGURES, analyzed_at=None))}, ("upkeep", "warn")),
        ({}, {"vacuumed": False}, ("upkeep", "warn")),
        ({}, {"recall": replace(RECALL, recall=0.9)}, ("recall", "warn")),
        ({}, {"recall": replace(RECALL, recall=0.5)}, ("recall", "fail")),
        ({}, {"recall": replace(RECALL, short=1)}, ("recall", "warn")),
        ({"text": TextColumn(column="words", language="english")}, {}, ("words", "warn")),
        (
            {"field_indexes": (FieldIndex(name="f_idx", column="year", valid=False, covering=False),)},
            {},
            ("fields", "warn"),
        ),
    ],
)
def test_each_fault_of_a_collection_is_found_by_itself(shape, condition, expected):
    assert bad(judge_table(replace(WELL, table=replace(SHAPE, **shape), **condition))) == [expected]


def test_a_finding_is_a_line():
    (finding,) = [
        one for one in judge_server(replace(SERVER, pooled=True), CONDITION, LIMITS, "s") if one.check == "pooler"
    ]

    assert str(finding).startswith("warn  pooler: a pooler stands in between: for pgrecall index")
