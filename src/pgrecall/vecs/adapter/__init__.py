"""Adapters: steps that make vectors of texts, on the way into a collection and into its queries."""

from __future__ import annotations

from pgrecall.vecs.adapter.chunks import MarkdownChunker, ParagraphChunker
from pgrecall.vecs.adapter.steps import Adapter, AdapterContext, AdapterStep, NoOp
from pgrecall.vecs.adapter.text import TextEmbedding, TextEmbeddingModel

__all__ = [
    "Adapter",
    "AdapterContext",
    "AdapterStep",
    "MarkdownChunker",
    "NoOp",
    "ParagraphChunker",
    "TextEmbedding",
    "TextEmbeddingModel",
]
