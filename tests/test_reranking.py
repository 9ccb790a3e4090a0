"""Ordering anew by a model, with nothing but Python."""

import contextvars
import threading

import pytest

from pgrecall import HybridOptions, KeywordOptions, Match, Rerank
from pgrecall.errors import ConfigError


def matches(*contents):
    return [Match(str(n), 0.5, 0.5, content, {}) for n, content in enumerate(contents)]


def by_length(query, texts):
    return [len(text) for text in texts]


def test_matches_are_ordered_by_the_scores_of_the_model():
    found = Rerank(scorer=by_length).apply("q", matches("a", "ccc", None, "bb"), 3)
    assert [(match.content, match.score) for match in found] == [("ccc", 3.0), ("bb", 2.0), ("a", 1.0)]


def test_nothing_found_is_nothing_to_order():
    def scorer(query, texts):
        raise AssertionError

    assert Rerank(scorer=scorer).apply("q", [], 3) == []


async def test_a_coroutine_function_is_awaited_on_the_loop():
    async def scorer(query, texts):
        return by_length(query, texts)

    found = await Rerank(scorer=scorer).aapply("q", matches("a", "bb"), 1)
    assert [match.content for match in found] == ["bb"]


async def test_another_function_runs_in_a_thread_with_the_context_of_the_caller():
    seen = contextvars.ContextVar("seen", default=None)
    seen.set("here")

    def scorer(query, texts):
        assert threading.current_thread() is not threading.main_thread()
        assert seen.get() == "here"
        return by_length(query, texts)

    assert len(await Rerank(scorer=scorer).aapply("q", matches("a", "bb"), 5)) == 2


def test_an_asynchronous_scorer_cannot_be_used_by_blocking_callers():
    async def scorer(query, texts):
        return by_length(query, texts)

    with pytest.raises(ConfigError, match="asynchronous"):
        Rerank(scorer=scorer).apply("q", matches("a"), 1)


@pytest.mark.parametrize("scores", [[1], [1, 2, 3], ["a", "b"], None, [1, float("nan")]])
def test_an_answer_that_is_not_one_number_a_text_is_refused(scores):
    with pytest.raises(ConfigError, match="scorer must return"):
        Rerank(scorer=lambda query, texts: scores).apply("q", matches("a", "b"), 1)


@pytest.mark.parametrize("options", [{"scorer": "model"}, {"scorer": by_length, "top_n": 0}])
def test_what_cannot_order_is_refused(options):
    with pytest.raises(ConfigError):
        Rerank(**options)


def test_more_than_k_are_fetched():
    assert Rerank(scorer=by_length, top_n=20).fetched(5) == 20
    assert Rerank(scorer=by_length, top_n=20).fetched(50) == 50


def test_a_hybrid_search_is_ordered_as_a_whole():
    with pytest.raises(ConfigError, match="rerank"):
        HybridOptions(words=KeywordOptions(rerank=Rerank(scorer=by_length)))


@pytest.mark.parametrize("k", [0, "3", 10_001])
def test_an_impossible_k_is_an_error(k):
    with pytest.raises(ConfigError, match="k must be a whole number from 1 to 10000"):
        Rerank(scorer=by_length).fetched(k)
