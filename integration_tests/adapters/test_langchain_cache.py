"""The cache of answers: LangChain's own suites, and what they leave out."""

import asyncio
import json
import logging
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import langchain_core
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite
from packaging.version import Version

from pgrecall import Client, Record
from pgrecall.errors import ConfigError, ConnectionFailed
from pgrecall.langchain import PGRecallSemanticCache

LLM = "a model, at temperature 0"
ESCAPING = pytest.mark.skipif(
    Version(langchain_core.__version__) < Version("1.2.5"), reason="older ones do not escape what looks like an object"
)
ANSWER = [Generation(text="42")]


class Angles(Embeddings):
    """Texts that end in a number point in its direction, in degrees; all others in one of their own."""

    def __init__(self):
        self.asked = []

    def embed_query(self, text):
        self.asked.append(text)
        last = text.split()[-1] if text.split() else ""
        degrees = float(last) if last.isdecimal() else sum(map(ord, text)) * 7.7
        return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


@pytest.fixture
def model():
    return Angles()


@pytest.fixture
def cache(model, url):
    cache = PGRecallSemanticCache(model, url=url)
    yield cache
    cache.close()


@pytest.fixture
def globally(cache):
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


class TestBlocking(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, cache):
        return cache


class TestAsynchronous(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, cache):
        return cache


# -- by the same words, and by others --------------------------------------------------------------------


def test_the_same_words_are_found_without_the_embedding_model(cache, model):
    cache.update("how far is 10", LLM, ANSWER)
    model.asked.clear()
    assert cache.lookup("how far is 10", LLM) == ANSWER
    assert model.asked == []


def test_a_prompt_that_was_looked_up_is_not_embedded_again_to_be_written(cache, model):
    assert cache.lookup("how far is 10", LLM) is None
    cache.update("how far is 10", LLM, ANSWER)
    assert model.asked == ["how far is 10"]


@pytest.mark.parametrize(("degrees", "answer"), [("18", ANSWER), ("19", None), ("170", None)])
async def test_a_prompt_that_is_similar_enough_is_answered(cache, degrees, answer):
    # The cosine of 18 degrees is 0.951, that of 19 is 0.946.
    cache.update("turn by 0", LLM, ANSWER)
    assert cache.lookup(f"rotate by {degrees}", LLM) == answer
    assert await cache.alookup(f"rotate by {degrees}", LLM) == answer


def test_the_nearest_of_several_answers(cache):
    for degrees in (0, 8, 14):
        cache.update(f"turn by {degrees}", LLM, [Generation(text=str(degrees))])
    assert cache.lookup("rotate by 7", LLM) == [Generation(text="8")]


def test_the_threshold_is_the_callers(model, url):
    cache = PGRecallSemanticCache(model, url=url, score_threshold=0.5)
    cache.update("turn by 0", LLM, ANSWER)
    assert cache.lookup("rotate by 59", LLM) == ANSWER
    assert cache.lookup("rotate by 61", LLM) is None
    cache.close()


def test_models_and_settings_do_not_answer_for_each_other(cache):
    cache.update("turn by 0", LLM, ANSWER)
    assert cache.lookup("turn by 0", "another") is None
    assert cache.lookup("rotate by 1", "another") is None
    # The hash is of both, and not of both in one string.
    cache.update("ab", "c", ANSWER)
    assert cache.lookup("a", "bc") is None


def test_a_nearer_prompt_of_another_model_does_not_hide_ours(cache):
    cache.update("turn by 10", LLM, ANSWER)
    for degrees in range(20):
        cache.update(f"turn by {degrees}", "another", [Generation(text="wrong")])
    assert cache.lookup("rotate by 12", LLM) == ANSWER


def test_an_answer_is_replaced(cache):
    cache.update("turn by 0", LLM, ANSWER)
    cache.update("turn by 0", LLM, [Generation(text="43")])
    assert cache.lookup("turn by 0", LLM) == [Generation(text="43")]
    assert cache.collection.count() == 1


# -- chats -----------------------------------------------------------------------------------------------


def chat(*messages):
    return dumps(list(messages))


def test_of_a_chat_the_last_question_may_be_put_differently(cache, model):
    cache.update(chat(SystemMessage("be brief"), HumanMessage("turn by 0")), LLM, ANSWER)
    assert model.asked == ["turn by 0"]
    assert cache.lookup(chat(SystemMessage("be brief"), HumanMessage("rotate by 1")), LLM) == ANSWER
    blocks = [{"type": "text", "text": "rotate by 1"}]
    assert cache.lookup(chat(SystemMessage("be brief"), HumanMessage(blocks)), LLM) is None


@pytest.mark.parametrize(
    "before",
    [
        [],
        [SystemMessage("be long")],
        [SystemMessage("be brief"), HumanMessage("hello"), AIMessage("hello")],
    ],
    ids=len,
)
def test_after_another_conversation_it_is_another_question(cache, before):
    cache.update(chat(SystemMessage("be brief"), HumanMessage("turn by 0")), LLM, ANSWER)
    assert cache.lookup(chat(*before, HumanMessage("turn by 0")), LLM) is None
    assert cache.lookup(chat(*before, HumanMessage("rotate by 1")), LLM) is None


def test_about_another_image_it_is_another_question(cache):
    def asked(text, image):
        return chat(HumanMessage([{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": image}}]))

    cache.update(asked("turn by 0", "a.png"), LLM, ANSWER)
    assert cache.lookup(asked("rotate by 1", "a.png"), LLM) == ANSWER
    assert cache.lookup(asked("rotate by 1", "b.png"), LLM) is None


@pytest.mark.parametrize(
    "last",
    [
        lambda degrees: ToolMessage(f"measured {degrees}", tool_call_id="1"),
        lambda degrees: AIMessage(f"turn by {degrees}"),
        lambda degrees: HumanMessage([{"type": "image_url", "image_url": {"url": f"{degrees}.png"}}]),
    ],
)
def test_what_is_no_question_is_found_by_the_same_words_only(cache, last):
    cache.update(chat(HumanMessage("hello"), last(0)), LLM, ANSWER)
    assert cache.lookup(chat(HumanMessage("hello"), last(0)), LLM) == ANSWER
    assert cache.lookup(chat(HumanMessage("hello"), last(1)), LLM) is None


@pytest.mark.parametrize("prompt", ["[{", "[{}]", '[{"lc": 1}]', '[{"lc": 1, "kwargs": 7}]', "[{" * 100_000, "[1, 0"])
def test_a_prompt_that_merely_looks_like_a_chat_is_a_text(cache, prompt):
    assert cache.lookup(prompt, LLM) is None
    cache.update(prompt, LLM, ANSWER)
    assert cache.lookup(prompt, LLM) == ANSWER


def test_a_chat_model_is_asked_once(globally):
    llm = GenericFakeChatModel(messages=iter([AIMessage("forty-two", id="1"), AIMessage("other", id="2")]))
    assert llm.invoke("turn by 0").content == "forty-two"
    assert llm.invoke("turn by 0").content == "forty-two"
    assert llm.invoke("rotate by 3").content == "forty-two"
    assert llm.invoke("rotate by 90").content == "other"


async def test_a_chat_model_is_asked_once_from_a_loop(globally):
    llm = GenericFakeChatModel(messages=iter([AIMessage("forty-two"), AIMessage("other")]))
    assert (await llm.ainvoke("turn by 0")).content == "forty-two"
    assert (await llm.ainvoke("rotate by 3")).content == "forty-two"
    assert (await llm.ainvoke("rotate by 90")).content == "other"


def test_a_language_model_is_asked_once(globally):
    llm = FakeListLLM(responses=["forty-two", "other"])
    assert llm.invoke("turn by 0") == "forty-two"
    assert llm.invoke("rotate by 3") == "forty-two"


# -- time ------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """Where the cache reads the time; tests move it."""
    now = [1_700_000_000.0]
    monkeypatch.setattr("pgrecall.langchain.cache.time.time", lambda: now[0])
    return now


async def test_an_entry_answers_as_long_as_its_ttl(model, url, clock):
    cache = PGRecallSemanticCache(model, url=url, ttl=timedelta(minutes=1))
    cache.update("turn by 0", LLM, ANSWER)
    clock[0] += 59
    assert cache.lookup("turn by 0", LLM) == cache.lookup("rotate by 1", LLM) == ANSWER
    clock[0] += 2
    assert cache.lookup("turn by 0", LLM) is cache.lookup("rotate by 1", LLM) is None
    assert await cache.alookup("turn by 0", LLM) is await cache.alookup("rotate by 1", LLM) is None
    cache.close()


def test_an_entry_that_is_written_anew_is_new(model, url, clock):
    cache = PGRecallSemanticCache(model, url=url, ttl=timedelta(minutes=1))
    for _ in range(3):
        cache.update("turn by 0", LLM, ANSWER)
        clock[0] += 45
        assert cache.lookup("turn by 0", LLM) == cache.lookup("rotate by 1", LLM) == ANSWER
    cache.close()


async def test_prune_removes_what_is_too_old(model, url, clock):
    cache = PGRecallSemanticCache(model, url=url, ttl=timedelta(minutes=1))
    cache.update("turn by 0", LLM, ANSWER)
    clock[0] += 61
    cache.update("turn by 90", LLM, ANSWER)
    assert cache.prune() == 1
    assert await cache.aprune() == 0
    assert cache.lookup("turn by 90", LLM) == ANSWER
    cache.close()


async def test_prune_of_a_cache_without_a_ttl_removes_nothing(cache):
    cache.update("turn by 0", LLM, ANSWER)
    assert cache.prune() == await cache.aprune() == 0
    assert cache.collection.count() == 1


# -- whose entries ---------------------------------------------------------------------------------------


async def test_domains_are_apart(model, url):
    with Client(url) as client:
        ours, theirs = (PGRecallSemanticCache(model, client=client, domain=domain) for domain in ("ours", "theirs"))
        ours.update("turn by 0", LLM, ANSWER)
        assert theirs.lookup("turn by 0", LLM) is theirs.lookup("rotate by 1", LLM) is None
        theirs.update("turn by 0", LLM, [Generation(text="theirs")])
        assert ours.lookup("turn by 0", LLM) == ANSWER
        theirs.clear()
        assert theirs.lookup("turn by 0", LLM) is None
        assert ours.lookup("turn by 0", LLM) == ANSWER


async def test_clear_of_one_model_leaves_the_others(cache):
    for llm in ("a", "b", "c"):
        cache.update("turn by 0", llm, ANSWER)
    cache.clear(llm_string="a")
    await cache.aclear(llm_string="b")
    assert [cache.lookup("turn by 0", llm) for llm in ("a", "b", "c")] == [None, None, ANSWER]


def test_clear_leaves_what_no_cache_has_written(model, url):
    with Client(url) as client:
        docs = client.collection("mixed")
        docs.upsert([Record(id="a", embedding=[1, 0], content="turn by 0")])
        cache = PGRecallSemanticCache(model, docs)
        assert cache.lookup("turn by 0", LLM) is None
        cache.update("turn by 0", LLM, ANSWER)
        cache.clear()
        assert [record.id for record in docs.list().records] == ["a"]


def test_clear_of_what_was_never_written_is_nothing(cache):
    cache.clear()
    assert cache.prune() == 0
    with pytest.raises(ConfigError, match="did you mean 'llm_string'"):
        cache.clear(llm_strings="a")


# -- prompts of all kinds --------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["", " ", "\n\t "])
async def test_a_prompt_without_text_is_not_cached(cache, model, prompt):
    cache.update(prompt, LLM, ANSWER)
    await cache.aupdate(prompt, LLM, ANSWER)
    assert cache.lookup(prompt, LLM) is await cache.alookup(prompt, LLM) is None
    assert model.asked == []
    assert cache.collection.count() == 0


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(prompt=st.text(st.characters(), min_size=1), answer=st.text(st.characters(), max_size=20), llm=st.text())
def test_any_prompt_and_any_answer_come_back(cache, prompt, answer, llm):
    cache.update(prompt, llm, [Generation(text=answer)])
    assert cache.lookup(prompt, llm) == ([Generation(text=answer)] if prompt.strip() else None)


def test_characters_that_postgresql_cannot_store_are_replaced(cache, model):
    cache.update("a\x00b\ud800 0", LLM, [Generation(text="\x00\udfff")])
    assert model.asked == ["a\ufffdb\ufffd 0"]
    assert [record.content for record in cache.collection.list().records] == ["a\ufffdb\ufffd 0"]
    assert cache.lookup("a\x00b\ud800 0", LLM) == [Generation(text="\x00\udfff")]


def test_a_prompt_of_a_million_characters_is_stored_whole(cache):
    prompt = "word " * 200_000 + "0"
    cache.update(prompt, LLM, ANSWER)
    assert cache.lookup(prompt, LLM) == ANSWER
    assert cache.collection.list().records[0].content == prompt


# -- answers of all kinds --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        [ChatGeneration(message=AIMessage("hi", id="run-1", response_metadata={"model": "m", "logprobs": [0.5]}))],
        [
            ChatGeneration(
                message=AIMessage([{"type": "text", "text": "hi"}]), generation_info={"finish_reason": "stop"}
            )
        ],
        [
            ChatGeneration(
                message=AIMessage(
                    "",
                    tool_calls=[{"name": "f", "args": {"a": [1, None]}, "id": "1"}],
                    usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
                )
            )
        ],
        pytest.param(
            [Generation(text="a", generation_info={"lc": 1, "type": "constructor", "id": ["x"], "kwargs": {}})],
            marks=ESCAPING,
        ),
        pytest.param([Generation(text="a", generation_info={"__lc_escaped__": {"lc": 1}})], marks=ESCAPING),
        [Generation(text=""), ChatGeneration(message=HumanMessage("b"))],
        [],
    ],
)
async def test_an_answer_comes_back_as_it_was(cache, answer):
    await cache.aupdate("turn by 0", LLM, answer)
    assert await cache.alookup("turn by 0", LLM) == cache.lookup("rotate by 1", LLM) == answer


class Mine(Generation):
    @classmethod
    def get_lc_namespace(cls):
        return ["mine"]


def test_an_answer_of_other_classes_is_not_cached_and_that_is_logged(cache, caplog):
    with caplog.at_level(logging.WARNING, "pgrecall"):
        cache.update("turn by 0", LLM, [Mine(text="secret")])
    assert cache.lookup("turn by 0", LLM) is None
    assert "not cached" in caplog.text
    assert "secret" not in caplog.text


def test_an_object_that_cannot_be_serialised_comes_back_as_none(cache):
    cache.update("turn by 0", LLM, [Generation(text="a", generation_info={"raw": object(), "n": 1})])
    assert cache.lookup("turn by 0", LLM) == [Generation(text="a", generation_info={"raw": None, "n": 1})]


def constructor(*path, **arguments):
    return json.dumps([{"lc": 1, "type": "constructor", "id": list(path), "kwargs": arguments}])


@pytest.mark.parametrize(
    "stored",
    [
        constructor("langchain_core", "prompts", "prompt", "PromptTemplate", template="{a}"),
        constructor("langchain", "schema", "messages", "AIMessage", content="a message alone"),
        constructor("os", "system", command="true"),
        constructor("langchain", "schema", "output", "Generation", text={"not": "text"}),
        '[{"lc": 1, "type": "secret", "id": ["HOME"]}]',
        '[{"lc": 1, "type": "constructor", "id": "Generation"}]',
        '[{"lc": 1, "type": "constructor", "id": [["a"], {}], "kwargs": {}}]',
        '{"text": "a"}',
        "not JSON",
        "[" * 100_000,
        None,
        7,
    ],
    ids=lambda stored: str(stored)[:70],
)
def test_an_entry_that_holds_anything_else_is_none(cache, stored, caplog):
    cache.update("turn by 0", LLM, ANSWER)
    [record] = cache.collection.list(include=["embedding"]).records
    forged = Record(
        id=record.id, embedding=record.embedding, metadata=record.metadata, envelope={"generations": stored}
    )
    cache.collection.upsert([forged])
    assert cache.lookup("turn by 0", LLM) is None
    assert cache.lookup("rotate by 1", LLM) is None
    assert os.environ.get("HOME", "no home") not in caplog.text
    cache.update("turn by 0", LLM, ANSWER)
    assert cache.lookup("turn by 0", LLM) == ANSWER


# -- loops, threads, errors ------------------------------------------------------------------------------


def test_one_cache_serves_threads_and_loops(cache):
    def work(number):
        prompt = f"number {number} of thread {threading.get_ident()} is"
        if number % 2:
            cache.update(prompt, LLM, [Generation(text=str(number))])
            return cache.lookup(prompt, LLM)[0].text == str(number)

        async def run():
            await cache.aupdate(prompt, LLM, [Generation(text=str(number))])
            return (await cache.alookup(prompt, LLM))[0].text == str(number)

        return asyncio.run(run())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(24)))


async def test_one_prompt_that_is_written_by_many_at_once_is_one_entry(cache):
    await asyncio.gather(*(cache.aupdate("turn by 0", LLM, ANSWER) for _ in range(10)))
    assert await cache.collection.asynchronous.count() == 1


async def test_a_database_that_cannot_be_reached_is_an_error(model):
    cache = PGRecallSemanticCache(model, url="postgresql://nobody@127.0.0.1:1/nowhere")
    with pytest.raises(ConnectionFailed):
        cache.lookup("turn by 0", LLM)
    with pytest.raises(ConnectionFailed):
        await cache.aupdate("turn by 0", LLM, ANSWER)
    await cache.aclose()


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("score_threshold", "0.9"),
        ("score_threshold", True),
        ("score_threshold", math.nan),
        ("ttl", 60),
        ("ttl", timedelta()),
        ("ttl", timedelta(seconds=-1)),
    ],
)
def test_arguments_that_make_no_sense_are_refused(model, argument, value):
    with pytest.raises(ConfigError, match=argument):
        PGRecallSemanticCache(model, url="embedded://", **{argument: value})


def test_the_cache_shows_its_table_and_no_password(model):
    cache = PGRecallSemanticCache(model, url="postgresql://me:secret@host/app")
    assert "llm_cache" in repr(cache)
    assert "secret" not in repr(cache)
