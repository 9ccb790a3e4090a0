"""The verbs of `AsyncCollection` for changing the embedding model while everybody carries on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from pgrecall.checks import check_instance, check_range
from pgrecall.collection.handle import Bound
from pgrecall.collection.models import model_columns
from pgrecall.collection.models.reembed_report import ReembedOptions, ReembedReport
from pgrecall.collection.models.reembedding import Reembedding
from pgrecall.config import check_model
from pgrecall.errors import ConfigError
from pgrecall.progress import listener

if TYPE_CHECKING:
    from pgrecall.collection.ingesting.embedding_calls import EmbedLike
    from pgrecall.collection.models.model_columns import EmbeddingModel
    from pgrecall.collection.models.reembed_report import ReembedProgressLike

_DEFAULT = ReembedOptions()
_ANY: int = -1


class Models(Bound):
    """What `AsyncCollection` does with the embeddings of several models."""

    def model(self, name: str) -> Self:
        """Return a handle on the same collection that searches and writes the embeddings of another model.

        A handle stays with its model, whatever others switch to: its queries are of that model. Nothing is asked
        of the server; using the handle is an error while there are no embeddings of the model.

        Args:
            name: The model's name; ``"original"`` for the one that the collection was made with.

        Raises:
            ConfigError: It cannot be a model's name.
        """
        return type(self)(model_columns.of_model(self._handle, check_model(name)))

    async def models(self) -> list[EmbeddingModel]:
        """Return the models whose embeddings the collection has, as they are now."""
        return await self._handle.run(lambda session: model_columns.listed(self._handle, session))

    async def current(self) -> Self:
        """Return a handle on the embeddings of the model that was switched to last, as it is now.

        Its ``config.model`` says which that is (`None` for the original one), so that queries can be embedded with
        the model that answers them.
        """
        found = await self.models()
        return self.model(next(model.name for model in found if model.current))

    async def reembed(
        self,
        embed: EmbedLike,
        *,
        model: str,
        dimensions: int | None = None,
        options: ReembedOptions = _DEFAULT,
        on_progress: ReembedProgressLike = None,
    ) -> ReembedReport:
        """Embed the content of all records, of all domains, with another model, beside readers and writers.

        The new embeddings get a column of their own, which is filled a few blocks at a time, indexed and compared.
        Nobody's answers change: handles go on with the model that they are of. Records that are written meanwhile
        are embedded too, and so are those whose content changes. A call that was interrupted is finished by
        calling again: what is embedded stays. Calling again later embeds what was written since.

        Args:
            embed: The model: takes a list of texts and returns an embedding for each, at once or to be awaited.
            model: Its name, by which handles choose it.
            dimensions: Length of its embeddings; found out by embedding a word where it is not given.
            options: Batches, how much of the server's time to take, the index, the comparison.
            on_progress: Called with a `ReembedProgress` after each write; `True` shows a progress bar.

        Raises:
            SchemaError: The table has no content or no key, or is partitioned.
            DimensionMismatch: *embed* returns another length than the column has.
            PermissionDenied: The role does not own the table.
            Exception: What *embed* raised.
        """
        with listener(on_progress) as told:
            try:
                return await Reembedding(self._handle, model, embed, options, told).run(dimensions)
            finally:
                self._handle.knowledge.forget()

    async def keep_models(
        self,
        embeds: Mapping[str, EmbedLike],
        *,
        seconds: float | None = None,
        every: float = 1.0,
        options: ReembedOptions = _DEFAULT,
    ) -> int:
        """Embed what is written with one model for the others too, until cancelled, and return how many records.

        While processes with different models write to one collection, each record has at first only an embedding
        of its writer's model. Run this in one of them, so that searches by all models find it.

        Args:
            embeds: The models, by their names; ``"original"`` for the one that the collection was made with.
            seconds: For how long, 0 for once; `None` for as long as the task runs.
            every: Seconds from one look to the next.
            options: Batches and retries.

        Raises:
            ConfigError: No model was given.
        """
        check_instance(embeds, "embeds", Mapping, "a mapping of models' names to functions that embed")
        if not embeds or seconds is not None and seconds < 0 or every <= 0:  # noqa: RUF021 - reads as it is meant
            msg = "keep_models() takes at least one model, seconds of 0 or more, and every above 0"
            raise ConfigError(msg)
        ends = None if seconds is None else asyncio.get_running_loop().time() + seconds
        keepers = [Reembedding(self._handle, check_model(name), embed, options) for name, embed in embeds.items()]
        while True:
            for keeper in keepers:
                await keeper.catch_up()
            if ends is not None and asyncio.get_running_loop().time() + every > ends:
                return sum(keeper.embedded for keeper in keepers)
            await asyncio.sleep(every)

    async def switch_model(self, name: str, *, max_missing: int | None = 0) -> str:
        """Make a model the current one, in one moment for everybody, and return which one was it before.

        It changes what `current` gives, and nothing else: handles that were made before go on with their model,
        whose embeddings are there until `drop_model`. Switching back is the same call with what was returned.

        Args:
            name: The model.
            max_missing: How many records may lack its embedding, which searches by it do not find yet; `None` for
                any number, which also saves counting them.

        Raises:
            ModelNotFound: There are no embeddings of it.
            ModelNotReady: They are still being made, or more are missing.
            PermissionDenied: The role does not own the table.
        """
        most = _ANY if max_missing is None else check_range(max_missing, "max_missing", 0, 2**63 - 1)
        return await model_columns.switch(self._handle, check_model(name), most)

    async def drop_model(self, name: str) -> None:
        """Drop the embeddings of a model that is not the current one, with their indexes.

        Handles of that model get errors from then on, and no answers; handles that name no model were of the
        original one.

        Raises:
            ConfigError: It is the current one.
            ModelNotFound: There are no embeddings of it.
            PermissionDenied: The role does not own the table.
        """
        await model_columns.drop(self._handle, check_model(name))
