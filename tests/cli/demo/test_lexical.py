import os
import subprocess
import sys

import numpy as np
import pytest

from pgrecall.cli.demo.lexical import DIMENSIONS, LexicalEmbeddings

EMBEDDINGS = LexicalEmbeddings()


def embed(text):
    return np.array(EMBEDDINGS.embed_query(text))


@pytest.mark.parametrize("text", ["a queue", "", "  \n", "the", "…!?", "日本語の文書", "x" * 5_000, "\ud800"])
def test_every_text_has_a_vector_of_length_one(text):
    vector = embed(text)

    assert vector.shape == (DIMENSIONS,)
    assert np.linalg.norm(vector) == pytest.approx(1.0)


def test_documents_and_questions_are_embedded_alike():
    assert EMBEDDINGS.embed_documents(["a queue", "a lock"]) == [
        EMBEDDINGS.embed_query("a queue"),
        EMBEDDINGS.embed_query("a lock"),
    ]
    assert EMBEDDINGS.embed_documents([]) == []


def test_other_processes_give_the_same_vectors():
    script = (
        "from pgrecall.cli.demo.lexical import LexicalEmbeddings as E; print(E().embed_query('wait for the queue'))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}

    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    ).stdout

    assert printed.strip() == str(EMBEDDINGS.embed_query("wait for the queue"))


@pytest.mark.parametrize(
    ("question", "near", "far"),
    [
        ("how is output captured?", "capture_output: whether to capture what is printed", "open a socket"),
        ("thread pool executor", "class ThreadPoolExecutor", "class ZipFile"),
        ("decompress gzip data", "decompression of gzipped files", "send a message over SMTP"),
        ("how do I do it with the queue?", "queues", "how do I do it with the lock?"),
    ],
)
def test_texts_that_share_words_are_nearer(question, near, far):
    assert embed(question) @ embed(near) > embed(question) @ embed(far) + 0.1


def test_unlike_words_hardly_resemble_each_other():
    words = ["queue", "mailbox", "median", "socket", "archive", "thread", "parser", "window", "cookie", "signal"]
    vectors = np.array(EMBEDDINGS.embed_documents(words))

    assert np.abs(vectors @ vectors.T - np.eye(len(words))).max() < 0.3
