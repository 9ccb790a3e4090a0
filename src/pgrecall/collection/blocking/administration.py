"""The verbs of `Collection` for whoever looks after a collection; see `administration`, which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall import portal
from pgrecall.collection.blocking.mirror import Mirror
from pgrecall.collection.writing import copying

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from pgrecall.build import BuildOptions, ProgressLike
    from pgrecall.collection.blocking.collection import Collection
    from pgrecall.collection.collection import AsyncCollection
    from pgrecall.collection.indexes.maintenance import MaintenanceReport
    from pgrecall.collection.measuring.recall import RecallReport
    from pgrecall.collection.measuring.tuning_report import TuningReport
    from pgrecall.collection.writing.copying import CopyProgressLike, CopyReport
    from pgrecall.config import Index, SearchOptions
    from pgrecall.filters import Filter
    from pgrecall.findings import Finding
    from pgrecall.promoted import PromotedField
    from pgrecall.records import Embedding, Record
    from pgrecall.table import SparseColumn, VectorIndex
    from pgrecall.table_columns import TextColumn
    from pgrecall.text_search import TextSearch


class Administration(Mirror):
    """What `Collection` does beside reading and writing."""

    def copy_to(
        self,
        target: AsyncCollection | Collection,
        *,
        batch_size: int = copying.DEFAULT_PAGE,
        after: str | None = None,
        verify: bool = True,
        convert: Callable[[Record], Record] | None = None,
        progress: CopyProgressLike = None,
    ) -> CopyReport:
        """See `AsyncCollection.copy_to`; *convert* and *progress* are called in pgrecall's own thread."""
        copied = self.asynchronous.copy_to(
            target, batch_size=batch_size, after=after, verify=verify, convert=convert, progress=progress
        )
        return portal.call(copied)

    def recall(
        self,
        k: int = 10,
        *,
        sample: int = 100,
        filter: Filter | Mapping[str, Any] | None = None,
        queries: NDArray[Any] | Sequence[Embedding] | None = None,
        options: SearchOptions | None = None,
    ) -> RecallReport:
        """See `AsyncCollection.recall`."""
        return portal.call(self.asynchronous.recall(k, sample=sample, filter=filter, queries=queries, options=options))

    def tune(
        self,
        target: float = 0.98,
        *,
        k: int = 10,
        sample: int = 100,
        queries: NDArray[Any] | Sequence[Embedding] | None = None,
        plot: str | os.PathLike[str] | None = None,
    ) -> TuningReport:
        """See `AsyncCollection.tune`."""
        return portal.call(self.asynchronous.tune(target, k=k, sample=sample, queries=queries, plot=plot))

    def add_fields(self, fields: Mapping[str, Any]) -> tuple[PromotedField, ...]:
        """See `AsyncCollection.add_fields`."""
        return portal.call(self.asynchronous.add_fields(fields))

    def add_text_search(
        self, text_search: TextSearch | str = "english", *, progress: ProgressLike = None
    ) -> TextColumn:
        """See `AsyncCollection.add_text_search`."""
        return portal.call(self.asynchronous.add_text_search(text_search, progress=progress))

    def indexes(self) -> tuple[VectorIndex, ...]:
        """See `AsyncCollection.indexes`."""
        return portal.call(self.asynchronous.indexes())

    def build_due_index(self) -> None:
        """See `AsyncCollection.build_due_index`."""
        portal.call(self.asynchronous.build_due_index())

    def add_sparse_embeddings(self, dimensions: int) -> SparseColumn:
        """See `AsyncCollection.add_sparse_embeddings`."""
        return portal.call(self.asynchronous.add_sparse_embeddings(dimensions))

    def create_index(
        self,
        index: Index | None = None,
        *,
        replace: bool = False,
        progress: ProgressLike = None,
        options: BuildOptions | None = None,
    ) -> VectorIndex:
        """See `AsyncCollection.create_index`; *progress* is called in pgrecall's own thread."""
        return portal.call(self.asynchronous.create_index(index, replace=replace, progress=progress, options=options))

    def drop_index(self) -> tuple[str, ...]:
        """See `AsyncCollection.drop_index`."""
        return portal.call(self.asynchronous.drop_index())

    def wait_for_index(self, timeout: float | None = None) -> VectorIndex | None:
        """See `AsyncCollection.wait_for_index`."""
        return portal.call(self.asynchronous.wait_for_index(timeout))

    def check(self, *, k: int = 10, sample: int = 20) -> tuple[Finding, ...]:
        """See `AsyncCollection.check`."""
        return portal.call(self.asynchronous.check(k=k, sample=sample))

    def maintain(self, *, dry_run: bool = False) -> MaintenanceReport:
        """See `AsyncCollection.maintain`."""
        return portal.call(self.asynchronous.maintain(dry_run=dry_run))
