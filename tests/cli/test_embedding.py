import pytest

from pgrecall.cli.embedding import load_embeddings
from pgrecall.cli.errors import BadUsage, CommandError

MODULE = """
class LangChain:
    def __init__(self, length=3, key=None):
        if key is not None:
            raise ValueError(f"no good: {key}")
        self.length = length
    def embed_documents(self, texts):
        return [[1.0] * self.length for _ in texts]
    def embed_query(self, text):
        return [2.0] * self.length

class LlamaIndex:
    def get_text_embedding_batch(self, texts):
        return [[1.0] for _ in texts]
    def get_query_embedding(self, text):
        return [2.0]

class Encoder:
    def encode(self, texts):
        return [[float(len(text))] for text in texts]

class Outer:
    Inner = Encoder

def function(texts):
    return [[float(len(text))] for text in texts]

async def later(texts):
    return function(texts)

def broken(texts):
    raise OSError("no network")

made = LangChain(5)
number = 1
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "embeddings_of_the_command_line.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "embeddings_of_the_command_line"


@pytest.mark.parametrize(
    ("name", "question", "text"),
    [
        ("LangChain", [2.0] * 3, [1.0] * 3),
        ('LangChain={"length": 1}', [2.0], [1.0]),
        ("made", [2.0] * 5, [1.0] * 5),
        ("LlamaIndex", [2.0], [1.0]),
        ("Encoder", [3.0], [3.0]),
        ("Outer.Inner", [3.0], [3.0]),
        ("function", [3.0], [3.0]),
    ],
)
def test_a_model_of_any_kind_embeds(module, name, question, text):
    model = load_embeddings(f"{module}:{name}")

    assert (model.ask("abc"), model.texts(["abc"])) == (question, [text])
    assert model.name == f"{module}:{name.partition('=')[0]}"


def test_a_model_that_is_awaited_is_asked_too(module):
    assert load_embeddings(f"{module}:later").ask("abc") == [3.0]


def test_the_demos_own_has_a_short_name():
    assert len(load_embeddings("lexical").ask("a lock")) == 512


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Nothing", "has no Nothing"),
        ("number", "is a int, and neither a function of texts"),
        ('made={"length": 1}', "is no class"),
        ('LangChain={"key": "s3cret"}', "cannot be made with key: ValueError: no good: …"),
        ('?={"key": "s3cret"}', "cannot be read"),
        ("LangChain=[1]", "must be a JSON object"),
    ],
)
def test_what_is_no_model_is_bad_usage(module, name, message):
    with pytest.raises(BadUsage, match=message) as caught:
        load_embeddings(f"{module}:{name}")
    assert "s3cret" not in str(caught.value)


def test_a_model_that_fails_is_named(module):
    with pytest.raises(CommandError, match="broken does not embed: OSError: no network"):
        load_embeddings(f"{module}:broken").ask("abc")
