"""The verbs of `Collection` for changing the embedding model; see `models`, which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pgrecall import portal
from pgrecall.collection.blocking.mirror import Mirror
from pgrecall.collection.models.reembed_report import ReembedOptions, ReembedReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.collection.ingesting.embedding_calls import EmbedLike
    from pgrecall.collection.models.model_columns import EmbeddingModel
    from pgrecall.collection.models.reembed_report import ReembedProgressLike

_DEFAULT = ReembedOptions()


class Models(Mirror):
    """What `Collection` does with the embeddings of several models."""

    def model(self, name: str) -> Self:
        """See `AsyncCollection.model`."""
        return type(self)(self.asynchronous.model(name))

    def models(self) -> list[EmbeddingModel]:
        """See `AsyncCollection.models`."""
        return portal.call(self.asynchronous.models())

    def current(self) -> Self:
        """See `AsyncCollection.current`."""
        return type(self)(portal.call(self.asynchronous.current()))

    def reembed(
        self,
        embed: EmbedLike,
        *,
        model: str,
        dimensions: int | None = None,
        options: ReembedOptions = _DEFAULT,
        on_progress: ReembedProgressLike = None,
    ) -> ReembedReport:
        """See `AsyncCollection.reembed`; *on_progress* is called in pgrecall's own thread."""
        return portal.call(
            self.asynchronous.reembed(
                embed, model=model, dimensions=dimensions, options=options, on_progress=on_progress
            )
        )

    def keep_models(
        self,
        embeds: Mapping[str, EmbedLike],
        *,
        seconds: float | None = None,
        every: float = 1.0,
        options: ReembedOptions = _DEFAULT,
    ) -> int:
        """See `AsyncCollection.keep_models`."""
        return portal.call(self.asynchronous.keep_models(embeds, seconds=seconds, every=every, options=options))

    def switch_model(self, name: str, *, max_missing: int | None = 0) -> str:
        """See `AsyncCollection.switch_model`."""
        return portal.call(self.asynchronous.switch_model(name, max_missing=max_missing))

    def drop_model(self, name: str) -> None:
        """See `AsyncCollection.drop_model`."""
        portal.call(self.asynchronous.drop_model(name))
