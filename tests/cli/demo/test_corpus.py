import pytest

from pgrecall.cli.demo.corpus import slug
from pgrecall.cli.demo.folder import read_folder
from pgrecall.cli.demo.python_docs import read_python_docs
from pgrecall.cli.errors import BadUsage

PARAGRAPH = "Some words that fill a line. " * 20


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_folder_is_read_recursively_without_what_is_hidden(tmp_path):
    write(tmp_path, a_md="# Title\n\nText.", deep__er__b_txt="More.", c_csv="1,2", deep__d_py="x = 1")
    write(tmp_path / ".git", e_md="Hidden.")
    write(tmp_path / "__pycache__", f_py="Compiled.")
    (tmp_path / ".hidden.md").write_text("Hidden.")

    corpus = read_folder(tmp_path)

    assert [passage.metadata for passage in corpus.passages.values()] == [
        {"path": "a.md", "kind": "md", "title": "Title", "chunk": 0},
        {"path": "deep/d.py", "kind": "py", "title": "d.py", "chunk": 0},
        {"path": "deep/er/b.txt", "kind": "txt", "title": "b.txt", "chunk": 0},
    ]
    assert (corpus.files, corpus.skipped) == (3, ())


def test_a_later_chunk_of_a_section_says_what_it_is_about(tmp_path):
    write(tmp_path, a_md=f"# Title\n\n{PARAGRAPH}\n\n{PARAGRAPH}")

    first, second = read_folder(tmp_path).passages.values()

    assert first.text.startswith("# Title\n\nSome words")
    assert second.text.startswith("Title\n\nSome words")
    assert second.metadata["chunk"] == 1


def test_files_that_cannot_be_read_are_reported(tmp_path):
    write(tmp_path, a_md="Text.", b_txt="NUL \0 here")
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "d.md").symlink_to(tmp_path / "nowhere")

    corpus = read_folder(tmp_path)

    assert corpus.files == 1
    assert [line.partition(": ")[2] for line in corpus.skipped] == [
        "contains NUL bytes",
        "not UTF-8",
        "No such file or directory",
    ]


def test_ids_depend_on_path_and_text_alone(tmp_path):
    write(tmp_path, a_md="Text.", b_md="Text.")
    ids = list(read_folder(tmp_path).passages)
    assert len(set(ids)) == 2

    write(tmp_path, b_md="Other text.")
    same, changed = read_folder(tmp_path).passages
    assert same == ids[0]
    assert changed != ids[1]


def test_each_folder_has_a_table_of_its_own(tmp_path):
    write(tmp_path, one__docs__a_md="Text.", two__docs__a_md="Text.")

    slugs = {read_folder(tmp_path / name / "docs").slug for name in ("one", "two")}

    assert len(slugs) == 2
    assert all(name.startswith("docs_") for name in slugs)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no file below it ends in .md, .rst, .txt, .py"),
        ({"a_csv": "1"}, "no file below it ends in"),
        ({"a_md": " \n"}, "are empty"),
        ({"a_md": "\0"}, "no file could be read"),
    ],
)
def test_a_folder_without_texts_is_an_error(tmp_path, files, message):
    write(tmp_path, **files)

    with pytest.raises(BadUsage, match=message):
        read_folder(tmp_path)


def test_what_is_no_folder_is_an_error(tmp_path):
    write(tmp_path, a_md="Text.")

    with pytest.raises(BadUsage, match="does not exist"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(BadUsage, match="is not a folder"):
        read_folder(tmp_path / "a.md")


def test_the_standard_library_is_documented():
    corpus = read_python_docs(limit=600)

    names = {passage.metadata["name"] for passage in corpus.passages.values()}
    assert len(corpus.passages) == 600
    assert {passage.metadata["kind"] for passage in corpus.passages.values()} == {
        "module",
        "class",
        "function",
        "method",
    }
    assert {"abc", "abc.ABCMeta", "abc.ABCMeta.register"} <= names
    own_names = [p.metadata["name"].removeprefix(p.metadata["module"]) for p in corpus.passages.values()]
    assert not any(part.startswith("_") and not part.endswith("__") for name in own_names for part in name.split("."))
    text = next(p.text for p in corpus.passages.values() if p.metadata["name"] == "abc.ABCMeta.register")
    assert text.startswith("abc.ABCMeta.register(subclass)\n\nRegister a virtual subclass")


def test_a_slug_fits_a_table_name():
    assert slug("My Docs (2024)") == "my_docs_2024"
    assert slug("文書") == "text"
    assert len(slug("x" * 100)) <= 24
