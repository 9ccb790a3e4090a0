import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall.cli.demo.chunks import CHUNK, split

PARAGRAPH = "Some words that fill a line. " * 12


def test_a_short_text_is_one_chunk():
    assert [chunk.text for chunk in split("One.\n\nTwo.\n", ".txt")] == ["One.\n\nTwo."]


def test_nothing_gives_no_chunk():
    assert split(" \n\n", ".md") == []


def test_paragraphs_are_packed_up_to_the_size():
    chunks = split("\n\n".join([PARAGRAPH] * 6), ".txt")

    assert [len(chunk.text) <= CHUNK for chunk in chunks] == [True] * 3
    assert all(chunk.text.count("\n\n") == 1 for chunk in chunks)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".md", f"# One thing\n\n{PARAGRAPH}\n\n## Another ##\n\n{PARAGRAPH}"),
        (".rst", f"One thing\n=========\n\n{PARAGRAPH}\n\nAnother\n-------\n\n{PARAGRAPH}"),
    ],
)
def test_headings_begin_chunks_and_name_them(suffix, text):
    assert [chunk.title for chunk in split(text, suffix)] == ["One thing", "Another"]


def test_definitions_begin_chunks_of_python():
    text = f"import os\n\n\ndef one():\n    '''{PARAGRAPH}'''\n\n\nclass Two:\n    '''{PARAGRAPH}'''\n"

    assert [chunk.title for chunk in split(text, ".py")] == ["one", "Two"]


def test_a_comment_in_a_fence_is_no_heading():
    text = f"# Title\n\n{PARAGRAPH}\n\n```sh\n# not a heading\nls\n```\n"

    assert [chunk.title for chunk in split(text, ".md")] == ["Title"]


def test_a_heading_without_text_joins_what_follows():
    chunks = split(f"# Book\n\n## Chapter\n\n{PARAGRAPH}", ".md")

    assert [(chunk.title, chunk.text[:6]) for chunk in chunks] == [("Chapter", "# Book")]


@given(st.text(alphabet="ab .\n#=-`", max_size=4_000), st.sampled_from([".md", ".rst", ".py", ".txt"]))
def test_nothing_is_lost_and_nothing_too_long(text, suffix):
    chunks = split(text, suffix, size=200)

    assert "".join("".join(chunk.text for chunk in chunks).split()) == "".join(text.split())
    assert all(0 < len(chunk.text) <= 200 for chunk in chunks)
