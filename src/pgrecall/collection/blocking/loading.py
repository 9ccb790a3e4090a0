"""The verbs of `Collection` for whole sources; see `loading`, which they run."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pgrecall import portal
from pgrecall.collection.blocking.mirror import Mirror
from pgrecall.collection.ingesting.feeding import Feed
from pgrecall.collection.ingesting.ingestion import IngestOptions, IngestReport
from pgrecall.records import RecordBatch

if TYPE_CHECKING:
    from pgrecall.collection.ingesting.embedding_calls import EmbedLike
    from pgrecall.collection.ingesting.loading_progress import IngestProgressLike
    from pgrecall.collection.namespaces.runs import IngestFailure

_DEFAULT = IngestOptions()


class Loading(Mirror):
    """What `Collection` does with whole sources."""

    def ingest(
        self,
        source: Iterable[Any] | AsyncIterable[Any] | RecordBatch | Callable[[int], Any],
        *,
        embed: EmbedLike | None = None,
        run: str | None = None,
        options: IngestOptions = _DEFAULT,
        on_progress: IngestProgressLike = None,
        on_failure: Callable[[IngestFailure], object] | None = None,
    ) -> IngestReport:
        """See `AsyncCollection.ingest`.

        An iterable is run in the caller's own thread. An *embed* that is to be awaited, and the callbacks, run in
        pgrecall's own thread.
        """
        made = isinstance(source, RecordBatch | AsyncIterable | list | tuple | str | bytes)
        if made or not (callable(source) or isinstance(source, Iterable)):
            return portal.call(
                self.asynchronous.ingest(
                    source, embed=embed, run=run, options=options, on_progress=on_progress, on_failure=on_failure
                )
            )
        if options.total is None and hasattr(source, "__len__"):
            options = replace(options, total=len(source))  # pyright: ignore[reportArgumentType] - it has a length
        feed = Feed(source)
        return feed.serve(
            self.asynchronous.ingest(
                feed.items, embed=embed, run=run, options=options, on_progress=on_progress, on_failure=on_failure
            )
        )
