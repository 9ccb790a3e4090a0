"""Taking in whole sources as LangChain has them: documents and texts, embedded several calls at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from langchain_core.vectorstores import VectorStore

from pgrecall.checks import check_instance
from pgrecall.collection.ingesting.ingestion import IngestOptions
from pgrecall.collection.keywords import in_domain
from pgrecall.langchain.documents import OPTIONAL, to_record

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable

    from langchain_core.embeddings import Embeddings

    from pgrecall.chunk_keys import ChunkKeys
    from pgrecall.collection import Collection, IngestReport
    from pgrecall.collection.ingesting.loading_progress import IngestProgressLike
    from pgrecall.collection.namespaces.runs import IngestFailure

_DEFAULT: Final = IngestOptions()


class LoadingMethods(VectorStore):
    """Takes in sources of any length."""

    _embedding: Embeddings
    _collection: Collection
    _keys: ChunkKeys

    def ingest(
        self,
        source: Iterable[Any] | AsyncIterable[Any] | Callable[[int], Any],
        *,
        run: str | None = None,
        options: IngestOptions = _DEFAULT,
        on_progress: IngestProgressLike = None,
        on_failure: Callable[[IngestFailure], object] | None = None,
        **kwargs: Any,
    ) -> IngestReport:
        """Take in documents, or texts, of any number: embed them, write them batch by batch, and report.

        Unlike `add_documents`, it has several embedding calls made at a time, makes those again that fail for a
        while, leaves alone what is stored just so, sets aside what cannot be stored, and goes on behind the last
        batch where a *run* was killed.

        Args:
            source: The documents; a function that is given a position and returns them from there on; or a stream.
            run: A name under which the run can be gone on with.
            options: Batches, retries, and what to do with what is unchanged or bad. ``convert`` makes a `Record`
                of items that are neither documents nor texts.
            on_progress: Called with an `IngestProgress` after each batch; `True` shows a progress bar.
            on_failure: Called with each `IngestFailure` once the batch that it stood in is written.
            **kwargs: Only ``domain``.

        Raises:
            TooManyFailures: More documents than ``IngestOptions.max_failures`` could not be stored.
            RunTakenOver: The run was begun again meanwhile.
            DimensionMismatch: The model's embeddings are of another length than the collection's.
            ConfigError: *source* is nothing that could be taken in, or a keyword is not known.
            Exception: What the model raised, after the last attempt.
        """
        return in_domain(self._collection, kwargs).ingest(
            source,
            embed=self._embedding.embed_documents,
            run=run,
            options=self._understanding(options),
            on_progress=on_progress,
            on_failure=on_failure,
        )

    async def aingest(
        self,
        source: Iterable[Any] | AsyncIterable[Any] | Callable[[int], Any],
        *,
        run: str | None = None,
        options: IngestOptions = _DEFAULT,
        on_progress: IngestProgressLike = None,
        on_failure: Callable[[IngestFailure], object] | None = None,
        **kwargs: Any,
    ) -> IngestReport:
        """Take in documents, or texts, of any number, with the model's ``aembed_documents``; see `ingest`."""
        return await in_domain(self._collection, kwargs).asynchronous.ingest(
            source,
            embed=self._embedding.aembed_documents,
            run=run,
            options=self._understanding(options),
            on_progress=on_progress,
            on_failure=on_failure,
        )

    def _understanding(self, options: IngestOptions) -> IngestOptions:
        """Return *options* that understand documents, and which chunk of which document each is."""
        check_instance(options, "options", IngestOptions, "IngestOptions")
        keys = self._keys
        return replace(
            options,
            convert=options.convert or (lambda item: to_record(item, keys)),
            optional=options.optional | OPTIONAL,
        )
