"""Calling an embedding model: sync or async, again after errors that pass, and its answer checked."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from pgrecall.calling import in_thread
from pgrecall.checks import check_number, check_range
from pgrecall.errors import ConfigError, RecordError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tenacity import RetryCallState

EmbedLike = Callable[[list[str]], Any]
"""Takes texts and returns one embedding each, or an awaitable of them."""

RetryableLike = tuple[Any, ...] | Callable[[Exception], bool] | None
"""After which errors to try again: types of errors, or a function of one."""

_DAY: Final = 86_400
_PASSING_STATUS: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
# Errors of clients that derive from none of Python's own, by the name of a class that they derive from.
_PASSING_NAMES: Final = frozenset(
    {
        "APIConnectionError",
        "ConnectionError",
        "InternalServerError",
        "RateLimitError",
        "ResourceExhausted",
        "ServiceUnavailable",
        "ServiceUnavailableError",
        "Timeout",
        "TooManyRequestsError",
        "TransportError",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRetry:
    """How often, and after how long, an embedding call that failed is made again.

    Attributes:
        attempts: Most calls for the same texts, the first among them.
        first_delay: Seconds before the second call at most; doubled each time, and drawn at random below that. An
            error that says how long to wait (``Retry-After``, ``retry-after-ms``, ``retry_after``) is believed.
        max_delay: Most seconds before a call. An error that asks for a longer wait is raised.
        retryable: Types of errors, or a function of one, after which to try again. `None` for lost connections,
            timeouts, rate limits and errors of the server, by their HTTP status or by what clients call them.
    """

    attempts: int = 6
    first_delay: float = 1.0
    max_delay: float = 60.0
    retryable: RetryableLike = None

    def __post_init__(self) -> None:
        check_range(self.attempts, "attempts", 1, 1_000)
        for name in ("first_delay", "max_delay"):
            check_number(getattr(self, name), f"{name} in seconds", 0, _DAY)
        kinds = self.retryable
        if isinstance(kinds, tuple):
            if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
                msg = f"retryable must hold types of errors, not {kinds!r}"
                raise ConfigError(msg)
        elif kinds is not None and not callable(kinds):
            msg = f"retryable must be types of errors, or a function of one, not {kinds!r}"
            raise ConfigError(msg)

    def is_retryable(self, error: BaseException) -> bool:
        """Whether to try again after *error*."""
        if not isinstance(error, Exception) or isinstance(error, ConfigError):
            return False
        if isinstance(self.retryable, tuple):
            chosen = isinstance(error, self.retryable)
        else:
            chosen = is_passing(error) if self.retryable is None else bool(self.retryable(error))
        return chosen and (asked_wait(error) or 0.0) <= self.max_delay


def is_passing(error: Exception) -> bool:
    """Whether *error* is one that passes: of the network, a rate limit, or of a server that is not well."""
    status = _status(error)
    if status is not None:
        return status in _PASSING_STATUS
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    return any(kind.__name__ in _PASSING_NAMES for kind in type(error).__mro__)


def asked_wait(error: BaseException) -> float | None:
    """Return the seconds that *error*, or the response in it, asks to wait; `None` where it does not say."""
    said = getattr(error, "retry_after", None)
    if isinstance(said, int | float) and not isinstance(said, bool):
        return max(0.0, float(said))
    for holder in (getattr(error, "response", None), error):
        headers = getattr(holder, "headers", None)
        if not isinstance(headers, Mapping):
            continue
        lower = {str(name).lower(): str(value) for name, value in cast("Mapping[Any, Any]", headers).items()}
        if (milliseconds := _number(lower.get("retry-after-ms"))) is not None:
            return milliseconds / 1_000
        if (value := lower.get("retry-after")) is not None:
            return _number(value) if _number(value) is not None else _until(value)
    return None


@dataclass(slots=True)
class Embedder:
    """An embedding model, called with some texts at a time.

    A function that blocks is called in a thread, in the context of the caller; a coroutine runs on the loop.

    Attributes:
        embed: The model.
        retry: What to do when a call fails.
        calls: How many calls were made.
    """

    embed: EmbedLike
    retry: EmbeddingRetry = field(default_factory=EmbeddingRetry)
    calls: int = 0
    _awaitable: bool = False
    _answered: bool = False

    def __post_init__(self) -> None:
        if not callable(self.embed):
            msg = f"embed must be a function of a list of texts, not {type(self.embed).__name__}"
            raise ConfigError(msg)
        called: Any = getattr(self.embed, "__call__", None)  # noqa: B004 - an object may have it as a coroutine
        self._awaitable = inspect.iscoroutinefunction(self.embed) or inspect.iscoroutinefunction(called)

    async def __call__(self, texts: Sequence[str]) -> list[NDArray[Any]]:
        """Return one embedding, shape ``(d,)``, for each of *texts*.

        Raises:
            ConfigError: The model returned something else than one embedding for each text.
            Exception: What the model raised, after the last attempt.
        """
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        retrying = AsyncRetrying(
            retry=retry_if_exception(self.retry.is_retryable),
            stop=stop_after_attempt(self.retry.attempts),
            wait=self._wait,
            reraise=True,
        )
        return _rows(await retrying(self._call, list(texts)), len(texts))

    async def sort_out(self, texts: Sequence[str]) -> tuple[dict[int, NDArray[Any]], dict[int, str]]:
        """Return the embeddings of *texts* by their places, and why some have none.

        A model that refuses some texts for good is asked for each of them by itself, to know which ones it means.
        Where it refuses all, and has never answered, it is not the texts.

        Raises:
            Exception: What the model raised, if it is not about some of the texts.
        """
        if not texts:
            return {}, {}
        try:
            found = await self(texts)
        except Exception as error:
            if self._is_general(error) or (len(texts) == 1 and not self._answered):
                raise
            if len(texts) == 1:
                return {}, {0: str(error) or type(error).__name__}
            refused = error
        else:
            self._answered = True
            return dict(enumerate(found)), {}
        vectors, reasons = await self._one_by_one(texts)
        if not vectors:
            raise refused
        return vectors, reasons

    async def _one_by_one(self, texts: Sequence[str]) -> tuple[dict[int, NDArray[Any]], dict[int, str]]:
        vectors: dict[int, NDArray[Any]] = {}
        reasons: dict[int, str] = {}
        for place, text in enumerate(texts):
            try:
                vectors[place] = (await self([text]))[0]
                self._answered = True
            except Exception as error:
                if self._is_general(error):
                    raise
                reasons[place] = str(error) or type(error).__name__
        return vectors, reasons

    def _is_general(self, error: Exception) -> bool:
        return isinstance(error, ConfigError) or self.retry.is_retryable(error)

    async def _call(self, texts: list[str]) -> object:
        self.calls += 1
        found = self.embed(texts) if self._awaitable else await in_thread(self.embed, texts)
        return await cast("Awaitable[object]", found) if inspect.isawaitable(found) else found

    def _wait(self, state: RetryCallState) -> float:
        from tenacity import wait_random_exponential

        error = None if state.outcome is None else state.outcome.exception()
        asked = None if error is None else asked_wait(error)
        if asked is not None:
            return asked
        return wait_random_exponential(multiplier=self.retry.first_delay, max=self.retry.max_delay)(state)


def _rows(found: Any, count: int) -> list[NDArray[Any]]:
    if isinstance(found, str | bytes) or not hasattr(found, "__len__"):
        msg = f"embed must return one embedding for each text, not {type(found).__name__}"
        raise ConfigError(msg)
    if len(found) != count:
        msg = f"embed was given {count} texts and returned {len(found)} embeddings"
        raise ConfigError(msg)
    try:
        rows = [np.asarray(row) for row in found]
    except (TypeError, ValueError) as error:
        msg = f"embed must return lists or arrays of numbers ({error})"
        raise RecordError(msg) from error
    if any(row.ndim != 1 or row.dtype.kind not in "fiub" or row.shape != rows[0].shape for row in rows):
        msg = "embed must return a flat list or array of numbers for each text, all of one length"
        raise ConfigError(msg)
    return rows


def _status(error: Exception) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "http_status", "code"):
            value = getattr(holder, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and value in range(100, 600):
                return int(value)
    return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < float("inf") else None


def _until(date: str) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except ValueError:
        return None
