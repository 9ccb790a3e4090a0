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


def translate(error: BaseException) -> PGRecallError:
    """Return the error of ours that says what *error* means."""
    if isinstance(error, PGRecallError):
        return error
    said = _said(error)
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


def is_lost(error: BaseException) -> bool:
    """Whether *error* means that the connection is gone, and another may work."""
    if isinstance(error, asyncpg.InternalClientError):
        return True  # the protocol was cut off in the middle of something
    if isinstance(error, asyncpg.InterfaceError):
        return any(word in str(error) for word in ("closed", "closing"))
    return isinstance(error, (*_LOST, OSError)) and not isinstance(error, TimeoutError)


def is_conflict(error: BaseException) -> bool:
    """Whether *error* only means that the transaction must be run once more."""
    return isinstance(error, _CONFLICT)


def _said(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    detail = getattr(error, "detail", None)
    return f"{text} ({detail})" if detail else text
