"""Adapters, their steps, and the arguments of indexes, which need no server."""

import sys
import types

import numpy as np
import pytest

from pgrecall import HNSW, IVFFlat, errors
from pgrecall.vecs import IndexArgsHNSW, IndexArgsIVFFlat, IndexMeasure, IndexMethod, exc
from pgrecall.vecs.adapter import (
    Adapter,
    AdapterContext,
    AdapterStep,
    MarkdownChunker,
    NoOp,
    ParagraphChunker,
    TextEmbedding,
)
from pgrecall.vecs.indexes import as_index, checked_method

UPSERT, QUERY = AdapterContext.upsert, AdapterContext.query
MARKDOWN = "before\n\n# One\ntext of one\n## Two\ntext of two\n#no heading\n"


class Lengths(AdapterStep):
    """Makes of a text its length, as a vector."""

    @property
    def exported_dimension(self):
        return 1

    def __call__(self, records, adapter_context):
        for row_id, text, metadata in records:
            yield row_id, [len(text)], metadata


def test_adapter_runs_its_steps_in_turn():
    adapter = Adapter([ParagraphChunker(skip_during_query=True), Lengths()])
    assert adapter.exported_dimension == 1
    made = list(adapter([("a", "one\n\nthree", {"n": 1}), ("b", "x", None)], UPSERT))
    assert made == [("a_para_000", [3], {"n": 1}), ("a_para_001", [5], {"n": 1}), ("b_para_000", [1], {})]
    assert list(adapter([("", "one\n\nthree", {})], QUERY)) == [("", [10], {})]


def test_adapter_without_steps_is_refused():
    with pytest.raises(exc.ArgError, match="one step"):
        Adapter([])


def test_chunks_of_a_query_are_made_unless_skipped():
    assert len(list(ParagraphChunker(skip_during_query=False)([("", "a\n\nb", {})], QUERY))) == 2


def test_metadata_of_one_chunk_is_not_that_of_another():
    first, second = ParagraphChunker(skip_during_query=True)([("a", "x\n\ny", {"n": 1})], UPSERT)
    first[2]["n"] = 2
    assert second[2] == {"n": 1}


def test_noop_leaves_records_as_they_are():
    assert NoOp(dimension=3).exported_dimension == 3
    assert list(NoOp(dimension=3)([("a", [1, 2, 3], None)], UPSERT)) == [("a", [1, 2, 3], {})]


def test_markdown_is_cut_at_its_headings():
    made = list(MarkdownChunker(skip_during_query=True)([("a", MARKDOWN, {"n": 1})], UPSERT))
    assert [row_id for row_id, _, _ in made] == ["a_head_000", "a_head_001", "a_head_002"]
    assert "".join(text for _, text, _ in made) == MARKDOWN
    assert [text.split("\n")[0] for _, text, _ in made] == ["before", "# One", "## Two"]
    assert list(MarkdownChunker(skip_during_query=True)([("", MARKDOWN, {})], QUERY)) == [("", MARKDOWN, {})]


def test_long_sections_are_cut_at_spaces():
    assert list(MarkdownChunker.split_by_heading("# a b c d", 2)) == ["# a", "b c", "d"]
    cut = MarkdownChunker(skip_during_query=True, max_tokens=2)
    assert [text for _, text, _ in cut([("a", "# a b", {})], UPSERT)] == ["# a", "b"]
    assert list(MarkdownChunker.split_by_heading(" \n")) == []
    with pytest.raises(exc.ArgError, match="max_tokens"):
        MarkdownChunker(skip_during_query=True, max_tokens=0)


def test_text_embedding_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match="pip install sentence-transformers") as caught:
        TextEmbedding(model="all-MiniLM-L6-v2")
    assert isinstance(caught.value, exc.MissingDependency)


def test_text_embedding_makes_vectors_in_batches(monkeypatch):
    batches, given = [], []

    class Model:
        def __init__(self, name, **words):
            given.append((name, words))

        def get_sentence_embedding_dimension(self):
            return 2

        def encode(self, texts, *, normalize_embeddings):
            assert normalize_embeddings
            batches.append(list(texts))
            return np.array([[len(text), 1] for text in texts], dtype=np.float32)

    library = types.ModuleType("sentence_transformers")
    library.SentenceTransformer = Model
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    step = TextEmbedding(model="some-model", batch_size=2, use_auth_token="token")
    made = list(step(((str(n), "x" * n, {"n": n}) for n in range(3)), UPSERT))
    assert given == [("some-model", {"token": "token"})]
    assert step.exported_dimension == 2
    assert batches == [["", "x"], ["xx"]]
    assert [(row_id, vector.tolist(), metadata) for row_id, vector, metadata in made] == [
        (str(n), [n, 1], {"n": n}) for n in range(3)
    ]
    with pytest.raises(exc.ArgError, match="batch_size"):
        TextEmbedding(model="some-model", batch_size=0)


@pytest.mark.parametrize("name", exc.__all__)
def test_exception_is_one_of_vecs_and_one_of_ours(name):
    kind = getattr(exc, name)
    assert issubclass(kind, exc.VecsException)
    assert issubclass(kind, errors.PGRecallError)
    assert kind.__doc__


def test_dimension_is_an_argument():
    assert issubclass(exc.MismatchedDimension, exc.ArgError)


def test_measures_and_methods_are_those_of_vecs():
    assert [measure.value for measure in IndexMeasure] == [
        "cosine_distance",
        "l2_distance",
        "max_inner_product",
        "l1_distance",
    ]
    assert [method.value for method in IndexMethod] == ["auto", "ivfflat", "hnsw"]
    assert IndexMeasure.of("l2_distance") is IndexMeasure.l2_distance
    with pytest.raises(exc.ArgError, match="cosine_distance"):
        IndexMeasure.of("hamming")


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("auto", IndexArgsHNSW()),
        ("auto", IndexArgsIVFFlat(10)),
        ("ivfflat", IndexArgsHNSW()),
        ("hnsw", IndexArgsIVFFlat(10)),
        ("hnsw", {"m": 16}),
        ("btree", None),
    ],
)
def test_arguments_of_another_method_are_refused(method, arguments):
    with pytest.raises(exc.ArgError):
        checked_method(method, arguments)


@pytest.mark.parametrize(
    ("method", "arguments", "rows", "index"),
    [
        ("auto", None, 0, HNSW(m=16, ef_construction=64)),
        ("hnsw", IndexArgsHNSW(m=8, ef_construction=None), 0, HNSW(m=8, ef_construction=64)),
        ("ivfflat", IndexArgsIVFFlat(n_lists=7), 0, IVFFlat(lists=7)),
        ("ivfflat", None, 10, IVFFlat(lists=30)),
        ("ivfflat", None, 500_000, IVFFlat(lists=500)),
        ("ivfflat", None, 4_000_000, IVFFlat(lists=2_000)),
    ],
)
def test_index_is_as_vecs_would_make_it(method, arguments, rows, index):
    assert as_index(checked_method(method, arguments), arguments, rows) == index


def test_arguments_out_of_range_are_refused():
    with pytest.raises(exc.ArgError, match="m must be"):
        as_index(IndexMethod.hnsw, IndexArgsHNSW(m=1), 0)
