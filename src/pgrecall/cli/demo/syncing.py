"""A corpus into its collection: only what is new is embedded and written, what is gone is deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from langchain_core.documents import Document

from pgrecall.cli.demo.corpus import ID_PREFIX, Passage
from pgrecall.config import HNSW
from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from pgrecall.collection import Collection
    from pgrecall.langchain import PGRecallVectorStore

WORTH_AN_INDEX: Final = 1_000
_BATCH: Final = 256
_PAGE: Final = 5_000

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a corpus differs from what the collection holds.

    Attributes:
        new: Passages that are not there; those that have changed are among them, under another id.
        moved: Passages that are there with other metadata, such as another line number.
        unchanged: How many passages are there just so.
        gone: Ids of rows that are no longer in the corpus.
    """

    new: list[Passage]
    moved: list[Passage]
    unchanged: int
    gone: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """How many passages are new, moved and unchanged, and how many rows are gone."""
        new, moved, gone = (len(part) for part in (self.new, self.moved, self.gone))
        return {"new": new, "moved": moved, "unchanged": self.unchanged, "gone": gone}


def compare(collection: Collection, passages: Mapping[str, Passage]) -> Difference:
    """Return what has to be written and deleted, without doing it."""
    there = dict(_stored(collection))
    new = [passage for row_id, passage in passages.items() if row_id not in there]
    moved = [passage for row_id, passage in passages.items() if row_id in there and passage.metadata != there[row_id]]
    return Difference(
        new=new,
        moved=moved,
        unchanged=len(passages) - len(new) - len(moved),
        gone=[row_id for row_id in there if row_id not in passages],
    )


def apply(store: PGRecallVectorStore, difference: Difference, advance: Advance) -> None:
    """Bring the store up to date.

    Args:
        store: Where the passages go.
        difference: What `compare` has found.
        advance: Called with how many passages have been embedded and written since the last call.
    """
    for start in range(0, len(difference.new), _BATCH):
        batch = difference.new[start : start + _BATCH]
        documents = [Document(id=passage.id, page_content=passage.text, metadata=passage.metadata) for passage in batch]
        store.add_documents(documents)
        advance(len(batch))
    if difference.moved:
        # The text is the same, and so is its embedding.
        ids, metadatas = zip(*((passage.id, passage.metadata) for passage in difference.moved), strict=True)
        store.collection.update(ids, metadatas=metadatas, merge=False)
    if difference.gone:
        store.delete(difference.gone)


def wants_index(collection: Collection) -> bool:
    """Tell whether there are enough rows for a vector index, and there is none that works."""
    stats = collection.stats()
    return stats.rows >= WORTH_AN_INDEX and not any(index.valid for index in stats.indexes)


def build_index(collection: Collection) -> str | None:
    """Build the HNSW index.

    Returns:
        Why there is none; `None` where there is.
    """
    try:
        collection.create_index(HNSW())
    except ConfigError as error:
        return str(error)
    return None


def _stored(collection: Collection) -> Iterator[tuple[str, Mapping[str, Any]]]:
    after: str | None = None
    while True:
        page = collection.list(limit=_PAGE, after=after, prefix=ID_PREFIX)
        yield from ((record.id, record.metadata) for record in page.records if record.id is not None)
        after = page.next
        if after is None:
            return
