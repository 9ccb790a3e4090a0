"""The driver's errors to ours, in one place."""

from __future__ import annotations

from typing import Final

import asyncpg
from asyncpg import exceptions as pg

from pgrecall.errors import (
    CollectionNotFound,
    ConnectionFailed,
    DatabaseError,
    DimensionMismatch,
    FilterError,
    PermissionDenied,
    PGRecallError,
    SchemaError,
)

_LOST: Final = (
    pg.PostgresConnectionError,
    pg.AdminShutdownError,
    pg.CrashShutdownError,
    pg.CannotConnectNowError,
    pg.IdleSessionTimeoutError,
)
_REFUSED: Final = (
    pg.InvalidAuthorizationSpecificationError,
    pg.InvalidCatalogNameError,
    pg.TooManyConnectionsError,
)
_CONFLICT: Final = (pg.DeadlockDetectedError, pg.SerializationError, pg.InvalidCachedStatementError)
_DENIED: Final = (pg.InsufficientPrivilegeError, pg.ReadOnlySQLTransactionError)

CANNOT_INSTALL: Final = (pg.InsufficientPrivilegeError, pg.UndefinedFileError, pg.FeatureNotSupportedError)
"""What CREATE EXTENSION raises where it is not allowed, or the server does not know the extension."""


_STATEMENT_TIMEOUT: Final = (
    "the server's statement_timeout is too short for it: raise it for this client with "
    "PoolConfig(server_settings={'statement_timeout': ...}), or do less at once"
)
_ADVICE: Final[tuple[tuple[type[asyncpg.PostgresError], str], ...]] = (
    (
        pg.TooManyConnectionsError,
        "lower max_size of the PoolConfig, put PgBouncer in between, or raise the server's max_connections",
    ),
    (
        pg.DiskFullError,
        "the server has no room left, and the transaction wrote nothing: free some, or give it more, and call again",
    ),
    (
        pg.ConfigurationLimitExceededError,
        "the transaction wrote nothing: raise the limit, give the session more work_mem, or do less at once",
    ),
    (
        pg.OutOfMemoryError,
        "the server ran out of memory, and the transaction wrote nothing: do less at once, or give the server more",
    ),
    (pg.LockNotAvailableError, "somebody else holds the table: call again later, or raise lock_timeout"),
    (
        pg.DeadlockDetectedError,
        "others write the same rows in another order: call again, or raise RetryConfig.attempts",
    ),
    (pg.SerializationError, "others write the same rows: call again, or raise RetryConfig.attempts"),
)
"""What to do about errors of the server, under the heading of their class."""


def translate(error: BaseException, *, tries: int = 1) -> PGRecallError:
    """Return the error of ours that says what *error* means, and what to do about it.

    Args:
        error: The driver's.
        tries: How often it was tried.
    """
    if isinstance(error, PGRecallError):
        return error
    said = "; ".join([_said(error), *([f"tried {tries} times"] if tries > 1 else []), *_advice(error)])
    if isinstance(error, TimeoutError):
        return DatabaseError("the statement took longer than command_timeout allows and was cancelled")
    if isinstance(error, _REFUSED):
        return ConnectionFailed(f"the server refused the connection: {said}")
    if is_lost(error):
        return ConnectionFailed(f"the connection to the server was lost: {said}")
    if isinstance(error, pg.UndefinedTableError):
        return CollectionNotFound(f"{said}; was it dropped or renamed meanwhile?")
    if isinstance(error, pg.UndefinedColumnError):
        return SchemaError(f"{said}; was it dropped meanwhile?")
    if isinstance(error, _DENIED):
        return PermissionDenied(f"the server does not allow it: {said}")
    if isinstance(error, pg.InvalidRegularExpressionError):
        return FilterError(f"PostgreSQL cannot read the regular expression: {said}")
    if isinstance(error, pg.DataError) and "dimensions" in said:
        return DimensionMismatch(said)
    return DatabaseError(said)


def _advice(error: BaseException) -> list[str]:
    if isinstance(error, pg.QueryCanceledError) and "statement timeout" in str(error):
        return [_STATEMENT_TIMEOUT]
    return [advice for kind, advice in _ADVICE if isinstance(error, kind)]


def without_secrets(error: BaseException) -> BaseException:
    """Return *error*, met while connecting, without the driver's frames: their variables hold the password.

    Reporters of errors show the variables of all frames.
    """
    left: list[BaseException | None] = [error]
    while left:
        seen = left.pop()
        if seen is not None and seen.__traceback__ is not None:
            seen.with_traceback(None)
            left += [seen.__cause__, seen.__context__]
    return error


def is_lost(error: BaseException) -> bool:
    """Whether *error* means that the connection is gone, and another may work."""
    if isinstance(error, asyncpg.InternalClientError):
        return True  # the protocol was cut off in the middle of something
    if isinstance(error, asyncpg.InterfaceError):
        return any(word in str(error) for word in ("closed", "closing"))
    return isinstance(error, (*_LOST, OSError)) and not isinstance(error, TimeoutError)


def is_unready(error: BaseException | None) -> bool:
    """Whether *error* means that the server takes no connection at the moment."""
    return isinstance(error, (pg.CannotConnectNowError, pg.TooManyConnectionsError))


def is_conflict(error: BaseException) -> bool:
    """Whether *error* only means that the transaction must be run once more."""
    return isinstance(error, _CONFLICT)


def _said(error: BaseException) -> str:
    # The driver's own text has detail and hint on lines of their own.
    text = str(error.args[0] if isinstance(error, asyncpg.PostgresError) and error.args else error)
    text = text or type(error).__name__
    more = [part.rstrip(".") for name in ("detail", "hint") if (part := getattr(error, name, None))]
    return f"{text} ({'; '.join(more)})" if more else text
