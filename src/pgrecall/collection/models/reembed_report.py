"""How a collection is embedded with another model, and what came of it, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pgrecall.checks import check_instance, check_range, is_number
from pgrecall.collection.ingesting.embedding_calls import EmbeddingRetry
from pgrecall.config import Index, check_index
from pgrecall.distance import VectorType
from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from pgrecall.collection.measuring.comparing import Comparison
    from pgrecall.collection.namespaces.runs import IngestFailure

_MOST: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReembedOptions:
    """How a collection is embedded with another model.

    Attributes:
        vector_type: Type of the new column; that of the first one unless given.
        embed_batch: Texts of one embedding call.
        embed_calls: Embedding calls that are made at a time.
        load: Share of the time, above 0 and up to 1, in which the server is kept busy: after each write as much is
            waited for as makes up the rest, so that a server that gets slow is left alone for longer. To catch up
            with others that write faster than this allows, more is taken: all of it, and at last by four
            connections.
        index: The index to build; like the one that serves searches now unless given, and none where none does.
        sample: Records whose neighbours are compared; 0 compares nothing.
        k: Neighbours of each.
        retry: When embedding calls are made again.
    """

    vector_type: VectorType | None = None
    embed_batch: int = 64
    embed_calls: int = 4
    load: float = 0.5
    index: Index | None = None
    sample: int = 100
    k: int = 10
    retry: EmbeddingRetry = field(default_factory=EmbeddingRetry)

    def __post_init__(self) -> None:
        check_range(self.embed_batch, "embed_batch", 1, _MOST)
        check_range(self.embed_calls, "embed_calls", 1, 1_000)
        check_range(self.sample, "sample", 0, _MOST)
        check_range(self.k, "k", 1, 1_000)
        if not is_number(self.load) or not 0 < self.load <= 1:
            msg = f"load must be a number above 0 and up to 1, not {self.load!r}"
            raise ConfigError(msg)
        if self.vector_type is not None:
            object.__setattr__(self, "vector_type", VectorType.parse(self.vector_type))
        check_instance(self.retry, "retry", EmbeddingRetry, "an EmbeddingRetry")
        if self.index is not None:
            check_index(self.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReembedProgress:
    """How far a re-embedding has come.

    Attributes:
        title: What is embedded, and with which model.
        phase: ``embedding``, ``indexing``, ``catching up``, ``comparing`` and ``done``.
        done: Records that this call has embedded.
        fraction: Share of the table that has been gone through, or of the index, 0 to 1; `None` where not known.
        seconds: Since the beginning.
    """

    title: str
    phase: str
    done: int
    fraction: float | None
    seconds: float


ReembedProgressLike = Callable[[ReembedProgress], object] | bool | None
"""Who is told how far a re-embedding has come: a function, a progress bar (`True`), or nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReembedReport:
    """What a re-embedding did.

    Attributes:
        model: The model.
        dimensions: Length of its embeddings.
        embedded: Records that this call embedded.
        missing: Records that have no embedding of this model at the end: written in this moment by others, or
            among *failed*.
        failed: Records that the model refused, with its reasons; the first thousand of them.
        comparison: Recall of both models' searches, and how far their answers agree; `None` where nothing was
            compared.
        seconds: How long it took.
    """

    model: str
    dimensions: int
    embedded: int
    missing: int
    failed: tuple[IngestFailure, ...]
    comparison: Comparison | None
    seconds: float

    def __str__(self) -> str:
        counted = f"{self.embedded} embedded, {self.missing} missing, {len(self.failed)} failed"
        first = f"{self.model}, {self.dimensions} dimensions: {counted}, {self.seconds:.1f} s"
        return first if self.comparison is None else f"{first}\n{self.comparison}"
