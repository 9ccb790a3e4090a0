"""A test collection: texts, questions, and which texts answer them."""

from __future__ import annotations

import gzip
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.corpus import Corpus, unit

_SEED = 20_260_102


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Texts with embeddings, and questions whose answers are known.

    Attributes:
        corpus: The texts; ``corpus.queries`` are the questions' embeddings.
        questions: q texts.
        relevant: For each question the ids of the texts that answer it.
    """

    corpus: Corpus
    questions: list[str]
    relevant: list[frozenset[str]]

    def ndcg(self, answers: list[list[str]], k: int = 10) -> list[float]:
        """Return, for each question that has an answer, the normalised discounted cumulative gain at *k*.

        Gains are 0 or 1, discounted by log2 of the rank plus one (Järvelin and Kekäläinen, 2002).
        """
        discounts = 1 / np.log2(np.arange(2, k + 2))
        found: list[float] = []
        for answer, relevant in zip(answers, self.relevant, strict=True):
            if not relevant:
                continue
            gains = np.array([row_id in relevant for row_id in answer[:k]], float)
            found.append(float((gains * discounts[: len(gains)]).sum() / discounts[: len(relevant)].sum()))
        return found


def read(directory: Path) -> Judged:
    """Return the test collection in a directory.

    It holds ``docs.jsonl.gz`` (id, content) and ``docs.f16.npy`` in the same order, ``queries.jsonl.gz`` (id, text,
    relevant: ids of texts) and ``queries.f16.npy`` likewise.
    """
    with gzip.open(directory / "docs.jsonl.gz", "rb") as lines:
        texts = [orjson.loads(line) for line in lines]
    with gzip.open(directory / "queries.jsonl.gz", "rb") as lines:
        questions = [orjson.loads(line) for line in lines]
    ids = [str(text["id"]) for text in texts]
    there = set(ids)
    return Judged(
        corpus=Corpus(
            name=directory.name,
            ids=ids,
            contents=[text["content"] for text in texts],
            metadatas=[text.get("metadata") or {} for text in texts],
            vectors=unit(np.load(directory / "docs.f16.npy")),
            queries=unit(np.load(directory / "queries.f16.npy")),
        ),
        questions=[question["text"] for question in questions],
        relevant=[frozenset(there.intersection(map(str, question["relevant"]))) for question in questions],
    )


def make(texts: int = 600, questions: int = 40) -> Judged:
    """Return texts about topics, and questions about the same, the same at every call.

    An embedding tells the topic but not the name that a question asks for; the words tell the name.
    """
    words, numbers = random.Random(_SEED), np.random.default_rng(_SEED)
    topics = 20
    vocabulary = [[f"topic{topic}word{n}" for n in range(30)] for topic in range(topics)]
    centres = numbers.standard_normal((topics, 64))
    about = [position % topics for position in range(texts)]
    names = [f"name{position // 3}" for position in range(texts)]
    asked = [words.randrange(texts) for _ in range(questions)]

    def near(topic: int) -> NDArray[np.float64]:
        return centres[topic] + 0.8 * numbers.standard_normal(64)

    ids = [f"doc{position}" for position in range(texts)]
    return Judged(
        corpus=Corpus(
            name="synthetic",
            ids=ids,
            contents=[
                " ".join([*words.choices(vocabulary[topic], k=25), name])
                for topic, name in zip(about, names, strict=True)
            ],
            metadatas=[{} for _ in range(texts)],
            vectors=unit(np.stack([near(topic) for topic in about])),
            queries=unit(np.stack([near(about[position]) for position in asked])),
        ),
        questions=[f"{names[position]} {words.choice(vocabulary[about[position]])}" for position in asked],
        relevant=[
            frozenset(i for i, topic, name in zip(ids, about, names, strict=True) if name == names[position])
            for position in asked
        ],
    )
