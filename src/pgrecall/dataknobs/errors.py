"""Errors of ours that are also what callers of dataknobs-data catch: `RuntimeError` and `ImportError`."""

from __future__ import annotations

from pgrecall.errors import CollectionNotFound, ExtensionMissing, PGRecallError


class TableMissing(CollectionNotFound, RuntimeError):
    """The table does not exist, and ``auto_create_table`` is off."""


class ExtensionNotInstalled(ExtensionMissing, RuntimeError):
    """The extension pgvector is not installed in this database, and could not be installed."""


class MissingDependency(PGRecallError, ImportError):
    """A package that the store needs is not installed."""
