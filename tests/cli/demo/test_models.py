import json

import pytest

from pgrecall.cli.demo.models import load_model
from pgrecall.cli.errors import BadUsage, CommandError

MODULE = """
from langchain_core.embeddings import Embeddings

class Good(Embeddings):
    def __init__(self, length=3):
        self.length = int(length)
    def embed_documents(self, texts):
        return [[1.0] * self.length for _ in texts]
    def embed_query(self, text):
        return [1.0] * self.length

class Broken(Good):
    def embed_query(self, text):
        raise OSError("no network")

number = 1
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_embeddings_for_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "my_embeddings_for_test"


def test_without_a_name_it_is_the_demos_own():
    model = load_model(None)

    assert (model.slug, model.dimensions) == ("lexical", 512)
    assert "no download" in model.title


def test_a_class_is_made_with_its_arguments(module):
    plain = load_model(f"{module}:Good")
    long = load_model(f"{module}:Good={json.dumps({'length': 5})}")

    assert (plain.slug, plain.dimensions) == ("good", 3)
    assert long.dimensions == 5
    assert long.slug.startswith("good_")


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ("nonsense", "cannot be read"),
        ("no_such_module_here:X", "cannot import no_such_module_here"),
        ("{module}:Missing", "has no Missing"),
        ("{module}:number", "has something else as number"),
        ("{module}:Good=[1]", "must be a JSON object"),
        ("{module}:Good={{oops", "are not JSON"),
        ('{module}:Good={{"no_such": 1}}', "cannot be made"),
    ],
)
def test_what_cannot_be_loaded_is_bad_usage(module, specification, message):
    with pytest.raises(BadUsage, match=message):
        load_model(specification.format(module=module))


def test_a_model_that_does_not_embed_is_an_error(module):
    with pytest.raises(CommandError, match="Broken does not embed: OSError: no network") as caught:
        load_model(f"{module}:Broken")

    assert caught.value.exit_code == 1
