"""A cache of what language models have answered, which knows a question again when it is put differently."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from langchain_core.caches import BaseCache

from pgrecall.checks import is_number
from pgrecall.collection.keywords import refuse_unknown
from pgrecall.collection.lifetime import Closing
from pgrecall.collection.opening import open_collection
from pgrecall.errors import ConfigError
from pgrecall.jsonb import storable
from pgrecall.langchain import generations
from pgrecall.records import Record
from pgrecall.scope import UNSET, Unset

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.outputs import Generation

    from pgrecall.collection import Collection
    from pgrecall.collection.opening import ClientLike, CollectionLike
    from pgrecall.records import Match

DEFAULT_CACHE: Final = "llm_cache"
# Keys of the metadata: which model and settings, the same with all that must be equal, when it was written.
_LLM: Final = "llm_hash"
_ASKED: Final = "asked_hash"
_WRITTEN: Final = "cached_at"
_ANSWER: Final = "generations"
_EXTRAS: Final = ("envelope",)
_REMEMBERED: Final = 256
_TAIL: Final = 1_000


class PGRecallSemanticCache(BaseCache, Closing):
    """LangChain's cache of answers over a pgrecall collection.

    A prompt that was asked before in the same words is found by its id, without a call of the embedding
    model. Otherwise the nearest prompt that was put to the same model with the same settings
    (``llm_string``) answers, if it is similar enough. Of a chat only the text of the last message may
    differ, and only where it is a human's: the messages before it, and whatever is not text in it, have to be
    the same, since the same words are another question after another conversation.

    An empty prompt, or one of white space, is not cached: no embedding model has an answer to it. NUL and
    lone surrogates, which PostgreSQL cannot store, are replaced by U+FFFD in what is stored and embedded; the
    prompt is still told from others by its own characters. An answer that holds objects of other classes
    than LangChain's messages and generations is not cached, and an entry that cannot be read is none; both
    are logged. An error of the database or of the embedding model is raised.

    Args:
        embedding: The model for prompts; ``embed_query`` is used for both sides.
        collection: Name of the table, a `CollectionConfig`, or a collection that is open already.
        score_threshold: The lowest score at which another prompt answers; see `Distance`. A wrong answer costs
            more than a call of the language model, and to an embedding model questions that differ in one
            name or number are much alike. So the default, under cosine, is little below 1, the score of the
            same words; lower it only after a look at prompts of your own.
        ttl: How long an entry answers after it was last written, by the callers' clocks; `None` for ever.
            Old entries stay in the table until `prune` removes them.
        url: Where the database is; see `AsyncClient`.
        client: A client that is open already, instead of *url*.
        domain: The domain (tenant) whose entries these are; ``"default"`` unless given.

    Raises:
        ConfigError: The arguments contradict each other, or one is out of range.

    Example:
        >>> set_llm_cache(PGRecallSemanticCache(embedding, ttl=timedelta(days=7)))
    """

    def __init__(
        self,
        embedding: Embeddings,
        collection: CollectionLike = DEFAULT_CACHE,
        *,
        score_threshold: float = 0.95,
        ttl: timedelta | None = None,
        url: str | None = None,
        client: ClientLike | None = None,
        domain: str | Unset = UNSET,
    ) -> None:
        if not is_number(score_threshold):
            msg = f"score_threshold must be a finite number, not {score_threshold!r}"
            raise ConfigError(msg)
        if ttl is not None and not (isinstance(ttl, timedelta) and ttl > timedelta()):
            msg = f"ttl must be a positive timedelta or None, not {ttl!r}"
            raise ConfigError(msg)
        self._embedding = embedding
        self._threshold = score_threshold
        self._ttl = ttl
        self._vectors = _Vectors()
        self._collection, self._client = open_collection(collection, url=url, client=client, domain=domain)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self._collection!r}>"

    @property
    def collection(self) -> Collection:
        """The collection; ``collection.asynchronous`` is its asynchronous form."""
        return self._collection

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """Return what was answered to *prompt*, or to one much like it; `None` where nothing was."""
        question = _Question.of(prompt, llm_string)
        if question is None:
            return None
        [record] = self._collection.get([question.id], include=_EXTRAS)
        if record is not None and (answer := self._answer(record)) is not None:
            return answer
        if question.is_unique:
            return None
        vector = self._embedding.embed_query(question.text)
        self._vectors.put(question.id, vector)
        matches = self._collection.search(
            vector, 1, filter=self._like(question), score_threshold=self._threshold, include=_EXTRAS
        )
        return _read(matches[0]) if matches else None

    async def alookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """Return what was answered; see `lookup`."""
        question = _Question.of(prompt, llm_string)
        if question is None:
            return None
        collection = self._collection.asynchronous
        [record] = await collection.get([question.id], include=_EXTRAS)
        if record is not None and (answer := self._answer(record)) is not None:
            return answer
        if question.is_unique:
            return None
        vector = await self._embedding.aembed_query(question.text)
        self._vectors.put(question.id, vector)
        matches = await collection.search(
            vector, 1, filter=self._like(question), score_threshold=self._threshold, include=_EXTRAS
        )
        return _read(matches[0]) if matches else None

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep *return_val* as the answer to *prompt*, in place of what was there."""
        question = _Question.of(prompt, llm_string)
        answer = generations.write(return_val)
        if question is not None and answer is not None:
            vector = self._vectors.take(question.id)
            if vector is None:
                vector = self._embedding.embed_query(question.text)
            self._collection.upsert([question.record(vector, answer)])

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep *return_val* as the answer to *prompt*; see `update`."""
        question = _Question.of(prompt, llm_string)
        answer = generations.write(return_val)
        if question is not None and answer is not None:
            vector = self._vectors.take(question.id)
            if vector is None:
                vector = await self._embedding.aembed_query(question.text)
            await self._collection.asynchronous.upsert([question.record(vector, answer)])

    def clear(self, *, llm_string: str | None = None, **kwargs: Any) -> None:
        """Remove all entries of this domain, or those of one model and its settings.

        Args:
            llm_string: Whose entries; `None` for all of them.
            **kwargs: None are known.

        Raises:
            ConfigError: A keyword is not known.
        """
        self._collection.delete(filter=_entries(llm_string, kwargs))

    async def aclear(self, *, llm_string: str | None = None, **kwargs: Any) -> None:
        """Remove entries of this domain; see `clear`."""
        await self._collection.asynchronous.delete(filter=_entries(llm_string, kwargs))

    def prune(self) -> int:
        """Remove the entries of this domain that are too old to answer, and return how many there were."""
        old = self._old()
        return 0 if old is None else self._collection.delete(filter=old)

    async def aprune(self) -> int:
        """Remove the entries that are too old to answer; see `prune`."""
        old = self._old()
        return 0 if old is None else await self._collection.asynchronous.delete(filter=old)

    def _oldest(self) -> float | None:
        return None if self._ttl is None else time.time() - self._ttl.total_seconds()

    def _old(self) -> dict[str, Any] | None:
        oldest = self._oldest()
        return None if oldest is None else {_WRITTEN: {"$lt": oldest}}

    def _like(self, question: _Question) -> dict[str, Any]:
        oldest = self._oldest()
        return {_ASKED: question.asked} | ({} if oldest is None else {_WRITTEN: {"$gte": oldest}})

    def _answer(self, row: Record | Match) -> list[Generation] | None:
        oldest = self._oldest()
        written_at = row.metadata.get(_WRITTEN)
        if oldest is not None and not (isinstance(written_at, int | float) and written_at >= oldest):
            return None
        return _read(row)


@dataclass(frozen=True, slots=True)
class _Question:
    """A prompt, as it is looked for.

    Attributes:
        id: Tells it from all others.
        llm: Tells the model and its settings from others.
        asked: The same, with all of the prompt that has to be equal.
        text: The part that may be put differently.
        prompt: The whole, as it is stored.
        is_unique: Whether nothing may be put differently.
    """

    id: str
    llm: str
    asked: str
    text: str
    prompt: str
    is_unique: bool

    @classmethod
    def of(cls, prompt: str, llm_string: str) -> _Question | None:
        """Return *prompt*; `None` where there is nothing in it that could be embedded."""
        if not prompt.strip():
            return None
        text, frame = _taken_apart(prompt)
        return cls(
            id=_hash(prompt, llm_string),
            llm=_hash(llm_string),
            asked=_hash(llm_string, frame),
            text=storable(text),
            prompt=storable(prompt),
            is_unique=frame == prompt,
        )

    def record(self, vector: Sequence[float], answer: str) -> Record:
        # The time is in the metadata because `created_at` stays what it was when an entry is written anew.
        metadata = {_LLM: self.llm, _ASKED: self.asked, _WRITTEN: time.time()}
        return Record(id=self.id, embedding=vector, content=self.prompt, metadata=metadata, envelope={_ANSWER: answer})


class _Vectors:
    """Embeddings of prompts that were looked up and not found, which are about to be written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vectors: dict[str, Sequence[float]] = {}

    def put(self, question_id: str, vector: Sequence[float]) -> None:
        with self._lock:
            self._vectors[question_id] = vector
            while len(self._vectors) > _REMEMBERED:
                del self._vectors[next(iter(self._vectors))]

    def take(self, question_id: str) -> Sequence[float] | None:
        with self._lock:
            return self._vectors.pop(question_id, None)


def _taken_apart(prompt: str) -> tuple[str, str]:
    """Return the part of *prompt* that may be put differently, and the rest.

    What a chat model is asked arrives here as LangChain's JSON of its messages.
    """
    try:
        messages = json.loads(prompt) if prompt.startswith("[{") else None
        last = messages[-1]["kwargs"] if messages and messages[-1]["lc"] else None
        content = last["content"] if last else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return prompt, ""
    if last is None:
        return prompt, ""
    texts: list[str] = []
    last["content"] = _without_text(content, texts)
    text = "\n".join(texts)
    if last.get("type") != "human" or not text.strip():
        # Tools answer with numbers and names, of which similar ones are not the same. Nothing is found by this
        # embedding, so a part of a long conversation will do.
        return prompt[-_TAIL:], prompt
    return text, json.dumps(messages, sort_keys=True)


def _without_text(content: Any, texts: list[str]) -> Any:
    """Return the content of a message without what is text in it, which is added to *texts*."""
    if isinstance(content, str):
        texts.append(content)
        return None
    if isinstance(content, list):
        return [_without_text(block, texts) for block in content]
    if isinstance(content, dict) and content.get("type") == "text" and isinstance(content.get("text"), str):
        texts.append(content["text"])
        return {**content, "text": None}
    return content


def _hash(*parts: str) -> str:
    # As JSON, so that no two lists of parts are written the same; it escapes what is not valid Unicode.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _read(row: Record | Match) -> list[Generation] | None:
    return generations.read((row.envelope or {}).get(_ANSWER))


def _entries(llm_string: str | None, keywords: dict[str, Any]) -> dict[str, Any]:
    refuse_unknown(keywords, ("llm_string",))
    # Only what a cache has written, whatever else is in the table.
    return {_LLM: {"$exists": True} if llm_string is None else _hash(llm_string)}
