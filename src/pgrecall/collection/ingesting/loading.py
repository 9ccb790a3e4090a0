"""The verbs of `AsyncCollection` for whole sources: taking them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall.checks import check_function, check_instance
from pgrecall.collection.handle import Bound
from pgrecall.collection.ingesting.ingestion import IngestOptions, IngestReport
from pgrecall.collection.ingesting.loading_progress import Announcer
from pgrecall.collection.ingesting.pipeline import Pipeline
from pgrecall.progress import listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable

    from pgrecall.collection.ingesting.embedding_calls import EmbedLike
    from pgrecall.collection.ingesting.loading_progress import IngestProgressLike
    from pgrecall.collection.namespaces.runs import IngestFailure
    from pgrecall.records import RecordBatch

_DEFAULT = IngestOptions()


class Loading(Bound):
    """What `AsyncCollection` does with whole sources."""

    async def ingest(
        self,
        source: Iterable[Any] | AsyncIterable[Any] | RecordBatch | Callable[[int], Any],
        *,
        embed: EmbedLike | None = None,
        run: str | None = None,
        options: IngestOptions = _DEFAULT,
        on_progress: IngestProgressLike = None,
        on_failure: Callable[[IngestFailure], object] | None = None,
    ) -> IngestReport:
        """Take in a source of any length: embed what has no embedding, write it batch by batch, and report.

        Items are texts, documents (anything with ``page_content`` and ``metadata``), mappings of a `Record`'s
        fields, or `Record`; ``IngestOptions.convert`` makes records of anything else. Rows come in the order of
        the source, and memory does not grow with it. What cannot be stored is set aside, with the reason.

        A named run that was killed goes on behind the last batch that it committed: its checkpoint is in the
        same transaction as the rows. It is given the same source once more, whose items it passes over until
        then, or a function that returns the items from a position on. A run that has finished begins anew.

        Args:
            source: The items, or a function that is given a position and returns the items from there on.
            embed: The model: takes a list of texts and returns an embedding for each, at once (it is called in
                a thread, in the caller's context, several times at once) or to be awaited.
            run: A name under which the run can be gone on with; see above.
            options: Batches, retries, and what to do with what is unchanged or bad.
            on_progress: Called with an `IngestProgress`, a dict with ``processed``, ``total``, ``percent`` and so
                on, after each batch; `True` shows a progress bar. What it raises ends the run, and is raised.
            on_failure: Called with each `IngestFailure` once the batch that it stood in is written.

        Raises:
            TooManyFailures: More records than ``IngestOptions.max_failures`` could not be stored.
            RunTakenOver: The run was begun again meanwhile.
            DimensionMismatch: *embed* returns another length than the collection's.
            ConfigError: The handle is one of all domains, or an argument is not what it should be.
            Exception: What *embed* or the source raised.
        """
        handle = self._handle
        check_instance(options, "options", IngestOptions, "IngestOptions")
        if on_failure is not None:
            check_function(on_failure, "on_failure", "takes an IngestFailure")
        total = options.total
        if total is None and hasattr(source, "__len__"):
            total = len(source)  # pyright: ignore[reportArgumentType] - it has a length
        # As far as `listener` goes, a function is told whatever it is told.
        progress: Any = on_progress
        with listener(progress) as told:
            title = f"{handle.config.schema}.{handle.config.name}"
            announcer = Announcer(title, total, told, bar=on_progress is True)
            return await Pipeline(handle, embed, options, announcer, on_failure).take_in(source, run)
