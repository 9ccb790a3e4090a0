"""What can go wrong, as one tree: catching `PGRecallError` is enough.

::

    PGRecallError
    ├── ConfigError (ValueError)           wrong before anything was sent
    │   ├── FilterError                    a filter that is not one
    │   └── RecordError                    a record that cannot be stored; names it
    ├── ConnectionFailed (ConnectionError) no server answered, or the connection was lost
    ├── SchemaError                        the database is not what the configuration says
    │   ├── CollectionNotFound
    │   ├── CollectionExists
    │   ├── ModelNotFound                  the collection has no embeddings of this model (any more)
    │   ├── ModelNotReady                  the embeddings of this model are still being made
    │   ├── DimensionMismatch (ValueError) a vector of another length than the column
    │   └── ExtensionMissing               pgvector is not installed in this database
    ├── PermissionDenied                   the role, or a read-only server, does not allow it
    ├── CopyMismatch                       what was copied is not what was read; carries the ids
    ├── TooManyFailures                    a source has more bad records than allowed; carries them
    ├── RunTakenOver                       another process goes on with this run
    ├── IndexBuildError                    an index could not be built; carries its name
    ├── EmbeddedServerError (RuntimeError) the server from the wheel could not be started
    ├── PortalError (RuntimeError)         a blocking call where it would wait for itself
    └── DatabaseError                      anything else PostgreSQL said; ``__cause__`` has it

Beside it stand two kinds of `UserWarning`: `PerformanceWarning`, for what works but could be much faster, and
`SecurityWarning`, for what works but protects less than was asked for.
"""

from __future__ import annotations


class PGRecallError(Exception):
    """Base of every error that pgrecall raises."""


class ConfigError(PGRecallError, ValueError):
    """An argument or a setting is wrong; nothing was sent to the server."""


class FilterError(ConfigError):
    """A filter is malformed; the message names the offending part."""


class RecordError(ConfigError):
    """A record cannot be stored; the message names it by position and id."""


class ConnectionFailed(PGRecallError, ConnectionError):
    """No server could be reached, it refused the login, or the connection was lost."""


class SchemaError(PGRecallError):
    """The database does not fit the configuration."""


class CollectionNotFound(SchemaError):
    """There is no such table."""


class CollectionExists(SchemaError):
    """There is such a table already."""


class ModelNotFound(SchemaError):
    """The collection has no embeddings of this model, or none any more."""


class ModelNotReady(SchemaError):
    """The embeddings of this model are not complete yet; later they will be."""


class DimensionMismatch(SchemaError, ValueError):
    """A vector has another number of dimensions than the column that it meets."""


class ExtensionMissing(SchemaError):
    """The extension pgvector is not installed in this database."""


class PermissionDenied(PGRecallError):
    """The role may not do this, or the server is read-only."""


class CopyMismatch(PGRecallError):
    """Records that were copied are not stored as they were read.

    Attributes:
        ids: Their ids in the target.
    """

    def __init__(self, message: str, *, ids: tuple[str, ...]) -> None:
        super().__init__(message)
        self.ids = ids


class TooManyFailures(PGRecallError):
    """More records of a source could not be stored than were allowed.

    Attributes:
        failures: The records that were set aside, with their reasons, in the order of the source.
    """

    def __init__(self, message: str, *, failures: tuple[object, ...]) -> None:
        super().__init__(message)
        self.failures = failures


class RunTakenOver(PGRecallError):
    """A named run was begun a second time, and the second one goes on with it."""


class IndexBuildError(PGRecallError):
    """An index could not be built.

    Attributes:
        index: What was to be built, such as ``HNSW on public.docs``.
    """

    def __init__(self, message: str, *, index: str) -> None:
        super().__init__(message)
        self.index = index


class EmbeddedServerError(PGRecallError, RuntimeError):
    """The embedded server is not installed or could not be started."""


class PortalError(PGRecallError, RuntimeError):
    """A blocking call was made where it would wait for itself for ever."""


class DatabaseError(PGRecallError):
    """PostgreSQL refused a statement; the driver's own error is ``__cause__``."""


class PerformanceWarning(UserWarning):
    """Something works, and would be much faster otherwise; the message says how."""


class SecurityWarning(UserWarning):
    """Something works, and protects less than was asked for; the message says why, and what to do."""
