"""A step that makes vectors of texts, with a model of sentence-transformers."""

from __future__ import annotations

import importlib
from itertools import islice
from typing import TYPE_CHECKING, Any

from pgrecall.checks import check_range
from pgrecall.vecs.adapter.steps import AdapterContext, AdapterStep
from pgrecall.vecs.exc import MissingDependency, translated

if TYPE_CHECKING:
    from pgrecall.vecs.adapter.steps import RecordsIn, RecordsOut

TextEmbeddingModel = str
"""Name of a model of sentence-transformers, such as ``"all-MiniLM-L6-v2"``."""

_MAX_BATCH = 100_000


class TextEmbedding(AdapterStep):
    """Makes vectors, of length 1, of texts.

    Args:
        model: Name of the model.
        batch_size: Texts that are embedded at a time.
        use_auth_token: Token for a model that is not public.

    Raises:
        MissingDependency: sentence-transformers is not installed.
        ArgError: *batch_size* is out of range.
    """

    def __init__(self, *, model: TextEmbeddingModel, batch_size: int = 8, use_auth_token: str | None = None) -> None:
        with translated():
            self.batch_size = check_range(batch_size, "batch_size", 1, _MAX_BATCH)
        try:
            library: Any = importlib.import_module("sentence_transformers")
        except ImportError as error:
            msg = "TextEmbedding needs sentence-transformers; install it with: pip install sentence-transformers"
            raise MissingDependency(msg) from error
        given = {} if use_auth_token is None else {"token": use_auth_token}
        self.model: Any = library.SentenceTransformer(model, **given)
        self._exported_dimension: int | None = self.model.get_sentence_embedding_dimension()

    @property
    def exported_dimension(self) -> int | None:
        """Length of the vectors."""
        return self._exported_dimension

    def __call__(self, records: RecordsIn, adapter_context: AdapterContext) -> RecordsOut:
        """Return *records* with vectors in the place of their texts."""
        remaining = iter(records)
        while batch := list(islice(remaining, self.batch_size)):
            vectors = self.model.encode([text for _, text, _ in batch], normalize_embeddings=True)
            for (row_id, _, metadata), vector in zip(batch, vectors, strict=True):
                yield row_id, vector, metadata or {}
