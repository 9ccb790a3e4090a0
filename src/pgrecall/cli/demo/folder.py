"""A folder of the user's own as a corpus."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pgrecall.cli.demo.chunks import split
from pgrecall.cli.demo.corpus import Corpus, Passage, Question, by_id, slug
from pgrecall.cli.errors import BadUsage

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIXES: Final = (".md", ".rst", ".txt", ".py")
_NOT_TEXTS: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
_TITLES_ASKED: Final = 2
_TELLING: Final = 6


def read_folder(folder: Path, limit: int | None = None) -> Corpus:
    """Return the texts below *folder*; hidden files and directories are passed over.

    Args:
        folder: Where they are.
        limit: Most chunks to take.

    Raises:
        BadUsage: It is no folder, cannot be read, or holds no text of a kind that is read.
    """
    root = folder.expanduser().resolve()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise BadUsage(f"--docs {folder} {what}")
    skipped: list[str] = []
    passages: list[Passage] = []
    files = 0
    for path in text_files(root, skipped):
        name = path.relative_to(root).as_posix()
        text = read_text(path, name, skipped)
        if text is not None:
            files += 1
            passages += passages_of(name, text)
    if not passages:
        raise BadUsage(_nothing_in(folder, files, skipped))
    place = blake2b(os.fsencode(root), digest_size=3).hexdigest()
    cut = "" if limit is None else f"_first_{limit}"
    return Corpus(
        slug=f"{slug(root.name)}_{place}{cut}",
        title=str(folder),
        passages=by_id(passages, limit),
        questions=_questions(passages),
        filter_key="path",
        name_key="path",
        files=files,
        skipped=tuple(skipped),
    )


def text_files(root: Path, skipped: list[str]) -> Iterator[Path]:
    """Return the files of text below *root*, in an order that stays the same; what cannot be read is noted.

    Args:
        root: The folder.
        skipped: Where folders that cannot be read are noted, with the reason.
    """

    def report(error: OSError) -> None:
        skipped.append(f"{error.filename}: {error.strerror}")

    for directory, names, files in os.walk(root, onerror=report):
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in _NOT_TEXTS)
        for name in sorted(files):
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield Path(directory, name)


def read_text(path: Path, name: str, skipped: list[str]) -> str | None:
    """Return the text of a file; `None` where it is none, which is noted in *skipped* under its *name*."""
    try:
        text = path.read_text("utf-8-sig")
        name.encode()
    except UnicodeError:
        skipped.append(f"{name!a}: not UTF-8")
    except OSError as error:
        skipped.append(f"{name}: {error.strerror}")
    else:
        if "\0" not in text:
            return text
        skipped.append(f"{name}: contains NUL bytes")
    return None


def passages_of(name: str, text: str) -> Iterator[Passage]:
    """Return the text of the file *name* in pieces, each headed by what it is about."""
    suffix = Path(name).suffix.lower()
    for index, chunk in enumerate(split(text, suffix)):
        title = chunk.title or Path(name).name
        # A chunk from the middle of a section would not say what it is about.
        headed = chunk.text if title in chunk.text.partition("\n")[0] else f"{title}\n\n{chunk.text}"
        metadata = {"path": name, "kind": suffix.lstrip("."), "title": title, "chunk": index}
        yield Passage(origin=name, text=headed, metadata=metadata)


def _questions(passages: list[Passage]) -> tuple[Question, ...]:
    """Return questions that the texts answer: the headings of theirs that say most."""
    titles = dict.fromkeys(f"{passage.metadata['title']}" for passage in passages)
    telling = sorted(titles, key=lambda title: sum(len(word) >= _TELLING for word in title.split()))
    return tuple(Question(text=title) for title in reversed(telling[-_TITLES_ASKED:]))


def _nothing_in(folder: Path, files: int, skipped: list[str]) -> str:
    if skipped:
        return f"--docs {folder}: no file could be read ({'; '.join(skipped[:3])})"
    if files:
        return f"--docs {folder}: the files there are empty"
    return f"--docs {folder}: no file below it ends in {', '.join(SUFFIXES)}"
