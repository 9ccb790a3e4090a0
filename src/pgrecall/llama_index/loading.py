"""Taking in whole sources as LlamaIndex has them: nodes and documents, embedded several calls at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from pgrecall.checks import check_instance
from pgrecall.collection.ingesting.ingestion import IngestOptions
from pgrecall.collection.keywords import in_domain
from pgrecall.llama_index.loops import on_this_loop
from pgrecall.llama_index.passing import PassingNodes, embedded_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable

    from pgrecall.collection import Collection, IngestReport
    from pgrecall.collection.ingesting.loading_progress import IngestProgressLike
    from pgrecall.collection.namespaces.runs import IngestFailure

_DEFAULT: Final = IngestOptions()


class LoadingMethods(BasePydanticVectorStore):
    """Takes in sources of any length, in the store's domain or in the one that a call passes as ``domain``."""

    _collection: Collection = PrivateAttr()

    def ingest(
        self,
        source: Iterable[Any] | AsyncIterable[Any] | Callable[[int], Any],
        *,
        embed_model: BaseEmbedding | None = None,
        run: str | None = None,
        options: IngestOptions = _DEFAULT,
        on_progress: IngestProgressLike = None,
        on_failure: Callable[[IngestFailure], object] | None = None,
        **kwargs: Any,
    ) -> IngestReport:
        """Take in nodes of any number: embed those without embedding, write them batch by batch, and report.

        Unlike `add`, it takes a stream, has several embedding calls made at a time, makes those again that fail
        for a while, leaves alone what is stored just so, sets aside what cannot be stored, and goes on behind the
        last batch where a *run* was killed. What is embedded of a node is what an index embeds: its content and
        metadata, as its templates say.

        Args:
            source: The nodes, or documents, each of which is stored whole; a function that is given a position and
                returns them from there on; or a stream. Texts are nodes without metadata.
            embed_model: The model, for nodes that bring no embedding.
            run: A name under which the run can be gone on with.
            options: Batches, retries, and what to do with what is unchanged or bad. ``convert`` makes a `Record`
                of items that are neither nodes nor texts.
            on_progress: Called with an `IngestProgress` after each batch; `True` shows a progress bar.
            on_failure: Called with each `IngestFailure` once the batch that it stood in is written.
            **kwargs: Only ``domain``.

        Raises:
            TooManyFailures: More nodes than ``IngestOptions.max_failures`` could not be stored.
            RunTakenOver: The run was begun again meanwhile.
            DimensionMismatch: The model's embeddings are of another length than the collection's.
            ConfigError: *source* is nothing that could be taken in, or a keyword is not known.
            Exception: What the model raised, after the last attempt.
        """
        return in_domain(self._collection, kwargs).ingest(
            source,
            embed=None if embed_model is None else _checked(embed_model).get_text_embedding_batch,
            run=run,
            options=self._understanding(options),
            on_progress=on_progress,
            on_failure=on_failure,
        )

    async def aingest(
        self,
        source: Iterable[Any] | AsyncIterable[Any] | Callable[[int], Any],
        *,
        embed_model: BaseEmbedding | None = None,
        run: str | None = None,
        options: IngestOptions = _DEFAULT,
        on_progress: IngestProgressLike = None,
        on_failure: Callable[[IngestFailure], object] | None = None,
        **kwargs: Any,
    ) -> IngestReport:
        """Take in nodes of any number, with the model's ``aget_text_embedding_batch``; see `ingest`."""
        return await on_this_loop(in_domain(self._collection, kwargs)).ingest(
            source,
            embed=None if embed_model is None else _checked(embed_model).aget_text_embedding_batch,
            run=run,
            options=self._understanding(options),
            on_progress=on_progress,
            on_failure=on_failure,
        )

    def _understanding(self, options: IngestOptions) -> IngestOptions:
        """Return *options* that understand nodes, and know what of them is embedded."""
        check_instance(options, "options", IngestOptions, "IngestOptions")
        convert = options.convert or PassingNodes(self._collection.config.columns)
        text = options.text or (embedded_text if options.convert is None else None)
        return replace(options, convert=convert, text=text, optional=options.optional | {"chunk_index"})


def _checked(model: BaseEmbedding) -> BaseEmbedding:
    check_instance(model, "embed_model", BaseEmbedding, "an embedding model of LlamaIndex's")
    return model
