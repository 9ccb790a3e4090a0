"""The page that one run of all benchmarks makes of its figures."""

import argparse
import importlib
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import results, suite
from benchmarks.figures import Findings, Target
from benchmarks.page import charts, markdown, side, text
from benchmarks.page.document import Document, read
from benchmarks.peers import worker

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "benchmarks" / "results.json"
PEERS = ("vecs", "langchain_postgres", "llama_index_postgres")
MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "memory_gb": 8,
    "system": "Linux",
    "architecture": "x86_64",
    "load": 0.25,
}
HNSW = {"m": 16, "ef_construction": 64, "ef_search": 141}


def foundation():
    findings = Findings(notes=["peers write 5,000 rows"])
    add = findings.add
    for name, rates in {"raw": [44_100], "engine": [29_149, 28_000, 30_000], "langchain": [20_400]}.items():
        targets = [Target(bound=0.7, at_least=True, against="load.raw")] if name == "engine" else []
        add(f"load.{name}", f"load, {name}", "rows/s", rates, targets=targets)
        add(f"search.{name}", f"search p50, {name}", "ms", [1.72, 1.70, 1.75])
        add(f"recall.{name}", f"recall@10, {name}", "", [0.977])
    add("upsert.changed", "upsert, all changed", "rows/s", [18_100.0])
    for peer in PEERS:
        add(f"load.{peer}", f"load, {peer}", "rows/s", [1_903.2], against="load.engine", apart=True)
        for setting, (time, recall) in {"default": (2.47, 0.954), "141": (3.81, 0.974)}.items():
            add(f"search.{peer}.{setting}", f"search p50, {peer}", "ms", [time])
            add(f"recall.{peer}.{setting}", f"recall@10, {peer}", "", [recall])
    add("upsert.vecs", "upsert, vecs", "rows/s", [1_500.0], against="upsert.changed", apart=True)
    add("search.vecs.matched", "search p50, vecs, equal recall", "ms", [4.02])
    add("recall.vecs.matched", "recall@10, vecs, equal recall", "", [0.978])
    add("ef_search.vecs.matched", "ef_search for equal recall, vecs", "", [160])
    return findings, {"corpus": "docs", "rows": 50_000, "dimensions": 384, "queries": 500, "k": 10, "hnsw": HNSW}


def filtered():
    findings = Findings()
    filters = {"none": ("none", 1_000), "tenth": ("tenth = 3", 100), "nothing": ("language = none there is", 0)}
    for key, (_, matches) in filters.items():
        findings.add(f"matches.1000.{key}", key, "rows", [matches])
        for store in ("", *(f"{peer}." for peer in PEERS)):
            findings.add(f"{store}recall.1000.{key}", key, "", [0.36 if store else 1.0])
            findings.add(f"{store}p50.1000.{key}", key, "ms", [1.5])
            findings.add(f"{store}short.1000.{key}", key, "", [93 if store else 0])
    for size in (500, 1_000):
        for way in ("exact", "iterative", "planned"):
            note = "exact scan because it is cheap"
            findings.add(f"growth.p50.{way}.{size}.tenth", "tenth", "ms", [size / 500], note=note)
            findings.add(f"growth.recall.{way}.{size}.tenth", "tenth", "", [0.99])
        findings.add(f"growth.matches.{size}.tenth", "tenth", "rows", [size // 10])
    titles = {key: title for key, (title, _) in filters.items()}
    kinds = {"none": "none", "tenth": "uncorrelated", "nothing": "correlated"}
    return findings, {"sizes": [1_000], "queries": 200, "k": 10, "titles": titles, "kinds": kinds}


def quality():
    findings = Findings()
    answers = {"dense": 0.42, "ts_rank": 0.31, "hybrid": 0.44, "langchain_postgres.weighted sum": 0.40}
    for key, ndcg in answers.items():
        findings.add(f"ndcg.{key}", f"nDCG@10, {key}", "", [ndcg], against="ndcg.dense")
    findings.add("p50.hybrid", "p50, hybrid", "ms", [5.5])
    return findings, {"corpus": "cisi", "rows": 1_460, "k": 10}


def tenants():
    findings = Findings()
    for layout, time in {"shared": 0.8, "list": 0.5}.items():
        for name in ("inside", "first", "index", "across", "drop", "build"):
            findings.add(f"{name}.{layout}.1000", f"{name}: {layout}", "ms", [time])
        findings.add(f"inside_recall.{layout}.1000", f"recall: {layout}", "", [0.99])
    findings.add("isolate", "isolate_domain()", "s", [0.25])
    return findings, {"rows": 10_000}


def other(question):
    findings = Findings()
    findings.add("before", "what was before", "docs/s", [100.0, 200.0])
    findings.add("after", f"  what {question} takes", "docs/s", [300.0, 400.0], against="before")

    def found():
        return findings, {"corpus": "docs", "rows": 5_000}

    found.__name__ = question
    return found


OTHERS = [other(question) for question in ("keyword", "langchain", "llama_index", "pipeline")]


def weather():
    findings = Findings()
    findings.add("rain", "how long it rains", "ms", [0.8, 0.9, 1.0])
    return findings, {}


def content(*questions):
    runs = []
    for question in questions or (foundation, filtered, quality, tenants, *OTHERS, weather):
        findings, settings = question()
        answer = {"question": question.__name__, "figures": findings.as_json(), "notes": findings.notes}
        run = {"question": question.__name__, "arguments": ["--data", "DIR"], "seconds": 61.0, "failed": None}
        runs.append({**run, "answer": {**answer, "settings": settings}})
    return json.loads(
        json.dumps(
            {
                "format": 1,
                "command": "python -m benchmarks results --data DIR",
                "started": "2026-01-02T03:04:05Z",
                "seconds": 1_200,
                "peers": {"vecs": "0.4.5", "langchain-postgres": "0.0.19"},
                "versions": {"python": "3.11.9", "postgresql": "18.6", "pgvector": "0.8.6", "git": "abcdef"},
                "machine": MACHINE,
                "server_settings": {"shared_buffers": "2GB"},
                "runs": runs,
            }
        )
    )


@pytest.fixture(scope="module")
def document():
    return Document(content())


def test_overview_stands_every_store_side_by_side(document):
    lines = side.overview(document).splitlines()
    assert lines[3] == (
        "| **pgrecall** | 29,100 | 18,100 | 1.72 ms (ef_search 141) | .977 | 1.72 ms (ef_search 141) | .977 |"
    )
    assert lines[5:] == [
        "| vecs 0.4.5 | 1,900 | 1,500 | 2.47 ms (ef_search 40) | .954 | 4.02 ms (ef_search 160) | .978 |",
        "| langchain-postgres 0.0.19 | 1,900 | has no upsert | 2.47 ms (ef_search 40) | .954 | never reached | - |",
        "| llama-index-vector-stores-postgres | 1,900 | has no upsert | 2.47 ms (ef_search 40) | .954 | never reached | - |",
    ]


def test_page_says_with_what_it_was_measured(document):
    page = text.page(document, ["writing"])
    for said in ("2026-01-02T03:04:05Z", "shared_buffers = 2GB", "pgvector 0.8.6", "a processor", "ef_construction=64"):
        assert said in page
    assert "- peers write 5,000 rows" in page
    assert "`python -m benchmarks filtered --data DIR` | 61 s" in page
    assert "(plots/writing.svg)" in page
    assert "(plots/growth.svg)" not in page
    for question in ("keyword", "langchain", "llama_index", "pipeline"):
        assert page.count(f"| what {question} takes | 350 docs/s | 300 to 400 docs/s | 2.50x of what was before |") == 1
    assert "| list | 1,000 | 0.50 (.990) | 0.50 | 0.50 | 0.50 | 0.50 | 0.50 |" in page
    assert "| language = none there is | 0 | 1.000 | 1.50 | 0 | .360 | 1.50 | 93 |" in page
    assert "0 of 1 bounds that the figures are held against are met" in page


def test_page_shows_all_figures_of_a_question_it_does_not_know(document):
    page = text.page(document, [])
    assert "## Weather\n\n| what | median | repetitions | ratio | wanted |" in page
    assert "| how long it rains | 0.90 ms | 0.80 to 1.00 ms | - | - |" in page


def test_tables_of_page_have_as_many_cells_in_every_line(document):
    for table in re.findall(r"(?:^\|.*\n)+", text.page(document, []), re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_plots_are_the_same_whenever_they_are_drawn(document, tmp_path):
    drawn = charts.draw(document, tmp_path / "one")
    assert drawn == ["writing", "searching", "filters", "growth", "hybrid", "tenants"]
    files = {each.name: each.read_bytes() for each in (tmp_path / "one").iterdir()}
    for name in ("searching", "growth"):
        assert charts.CHARTS[name](document, tmp_path / "again.svg")
        assert (tmp_path / "again.svg").read_bytes() == files[f"{name}.svg"]
    assert all(b"date" not in content for content in files.values())
    words = {name: "".join(ET.fromstring(content).itertext()) for name, content in files.items()}
    assert "4.02 ms, recall .978" in words["searching.svg"]
    assert "what the planner chose" in words["growth.svg"]
    assert "rows that pass lie together" in words["filters.svg"]
    assert "langchain-postgres 0.0.19, weighted sum" in words["hybrid.svg"]


def test_plots_are_left_out_where_nothing_was_measured(tmp_path):
    (tmp_path / "old.svg").touch()
    assert charts.draw(Document(content(weather)), tmp_path) == []
    assert not list(tmp_path.iterdir())


def test_results_are_made_from_the_file_alone(tmp_path, capsys):
    found = content(foundation, weather)
    found["runs"][1] |= {"failed": "MemoryError: no more", "answer": None}
    (tmp_path / "results.json").write_text(json.dumps(found))
    arguments = ["results", "--from", str(tmp_path / "results.json"), "--to", str(tmp_path)]
    assert command.main(arguments) == 1
    assert "MISSING: weather failed: MemoryError: no more" in capsys.readouterr().out
    page = (tmp_path / "RESULTS.md").read_text()
    assert page == text.page(Document(found), ["writing", "searching"])
    assert "- It **failed**: MemoryError: no more" in page
    assert (tmp_path / "plots" / "writing.svg").exists()


def test_read_figures_of_another_format(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(content() | {"format": 0}))
    with pytest.raises(ValueError, match="measure again"):
        read(tmp_path / "results.json")


def test_number_has_three_digits():
    cases = [(29_149.2, ""), (1.7249, "ms"), (0.9771, "recall"), (1.0, "recall"), (0.131, "ms"), (93, ""), (None, "")]
    assert [markdown.number(*case) for case in cases] == ["29,100", "1.72 ms", ".977", "1.000", "0.13 ms", "93", "-"]


def test_ratio_of_what_was_measured_apart_is_that_of_the_medians():
    findings = Findings()
    findings.add("ours", "ours", "ms", [1.0, 2.0, 4.0])
    findings.add("turn", "in turn", "ms", [3.0, 2.0, 4.0])
    findings.add("apart", "apart", "ms", [3.0, 2.0, 4.0], apart=True)
    assert findings.ratio(findings.figures["turn"], "ours") == {"median": 1.0, "min": 1.0, "max": 3.0}
    assert findings.ratio(findings.figures["apart"], "ours") == {"median": 1.5, "min": 1.5, "max": 1.5}


@pytest.mark.parametrize("data", [None, Path("/somewhere/docs")])
def test_every_question_of_the_run_understands_its_arguments(data):
    options = argparse.Namespace(rows=50_000, repeats=3, data=data, judged=data, only=None, no_peers=False)
    for question, arguments in suite.QUESTIONS.items():
        parser = argparse.ArgumentParser()
        importlib.import_module(f"benchmarks.{question}").add_arguments(parser)
        parsed = parser.parse_args([*arguments(options), "--url", "postgresql://", "--out", "out.json"])
        assert getattr(parsed, "data", None) == (data if hasattr(parsed, "data") else None)
    assert "somewhere" not in suite.command(options)


def test_question_that_fails_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(suite, "QUESTIONS", {"weather": lambda options: ["--data", str(options.data)]})
    options = argparse.Namespace(data=tmp_path, judged=None)
    run = suite.ask("weather", options, "postgresql://", tmp_path)
    assert (run["arguments"], run["answer"]) == (["--data", "DIR"], None)
    assert "invalid choice: 'weather'" in run["failed"]
    assert run["failed"] in capsys.readouterr().out


def test_matched_is_the_least_ef_search_that_finds_enough(tmp_path):
    truth = [[f"{query}-{rank}" for rank in range(10)] for query in range(10)]
    (tmp_path / "nearest.json").write_text(json.dumps(truth))
    asked = []

    class Peer:
        def searcher(self, k, ef_search):
            asked.append(ef_search)
            found = [ids[: 10 if ef_search >= 250 else 9] for ids in truth]
            return lambda queries: ([1.0] * len(queries), found)

    job = {"directory": str(tmp_path), "k": 10, "repeats": 2, "recall": 1.0}
    matched = worker.matched(job, Peer(), np.zeros((10, 4)).tolist())
    assert (matched["ef_search"], matched["p50"]) == (250, [1.0, 1.0])
    assert len(asked) < 8
    assert worker.matched(job | {"recall": 1.1}, Peer(), np.zeros((10, 4)).tolist()) is None
    assert worker.matched(job | {"recall": 0.9}, Peer(), np.zeros((10, 4)).tolist())["ef_search"] == 10


def test_rows_too_few_are_refused():
    parser = argparse.ArgumentParser(exit_on_error=False)
    results.add_arguments(parser)
    with pytest.raises(argparse.ArgumentError, match="2,000 or more"):
        parser.parse_args(["--rows", "100"])


@pytest.mark.skipif(not COMMITTED.exists(), reason="no run is committed")
def test_readme_shows_the_committed_run():
    document = read(COMMITTED)
    readme = (ROOT / "README.md").read_text()
    assert side.overview(document) in readme
    assert side.setting(document) in readme.replace("\n", " ")


@pytest.mark.skipif(not COMMITTED.exists(), reason="no run is committed")
def test_committed_page_is_that_of_the_committed_figures():
    plots = [name for name in charts.CHARTS if (COMMITTED.parent / "plots" / f"{name}.svg").exists()]
    assert (COMMITTED.parent / "RESULTS.md").read_text() == text.page(read(COMMITTED), plots)
