"""The exceptions of vecs, each of which is the engine's error of the same meaning too.

::

    VecsException (PGRecallError)
    ├── CollectionAlreadyExists
    ├── CollectionNotFound
    ├── ArgError (ConfigError)
    │   └── MismatchedDimension (DimensionMismatch)
    ├── FilterError
    ├── IndexNotFound
    ├── Unreachable
    └── MissingDependency (ImportError)
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pgrecall import errors

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = [
    "ArgError",
    "CollectionAlreadyExists",
    "CollectionNotFound",
    "FilterError",
    "IndexNotFound",
    "MismatchedDimension",
    "MissingDependency",
    "Unreachable",
    "VecsException",
]


class VecsException(errors.PGRecallError):
    """Base of all exceptions of this module."""


class CollectionAlreadyExists(VecsException, errors.CollectionExists):
    """There is a collection of this name."""


class CollectionNotFound(VecsException, errors.CollectionNotFound):
    """There is no collection of this name."""


class ArgError(VecsException, errors.ConfigError):
    """An argument is wrong; nothing was sent to the server."""


class MismatchedDimension(ArgError, errors.DimensionMismatch):
    """Dimensions do not agree: of the collection, its adapter, its table or a vector."""


class FilterError(VecsException, errors.FilterError):
    """A filter is malformed; the message names the offending part."""


class IndexNotFound(VecsException):
    """There is no such index."""


class Unreachable(VecsException):
    """What cannot happen has happened."""


class MissingDependency(VecsException, ImportError):
    """A feature needs a package that is not installed."""


@contextmanager
def translated() -> Generator[None]:
    """Raise the engine's errors as those of this module that mean the same; others as they are."""
    try:
        yield
    except VecsException:
        raise
    except errors.PGRecallError as error:
        for theirs, ours in _OURS:
            if isinstance(error, theirs):
                raise ours(str(error)) from error
        raise


# The narrower ones first.
_OURS: tuple[tuple[type[errors.PGRecallError], type[VecsException]], ...] = (
    (errors.CollectionExists, CollectionAlreadyExists),
    (errors.CollectionNotFound, CollectionNotFound),
    (errors.DimensionMismatch, MismatchedDimension),
    (errors.FilterError, FilterError),
    (errors.ConfigError, ArgError),
)
