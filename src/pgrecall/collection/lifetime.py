"""Whose the connections are: closed with the object that made them, left open where the caller brought them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pgrecall import portal

if TYPE_CHECKING:
    from types import TracebackType

    from pgrecall.collection import AsyncClient


class Closing:
    """Closes the client that it made itself, also as a context manager of either kind."""

    _client: AsyncClient | None
    """The client to close; `None` where the client, or the collection, is the caller's."""

    def __copy__(self) -> Self:
        """Return a copy on the same connections; closing it leaves them open."""
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__ | {"_client": None})
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return a copy on the same connections and with the same model, neither of which can be copied."""
        return self.__copy__()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def close(self) -> None:
        """Close the connections, unless a client, collection or store was passed in and is the caller's."""
        if self._client is not None:
            portal.close(self._client.close())

    async def aclose(self) -> None:
        """Close the connections, unless a client, collection or store was passed in and is the caller's."""
        if self._client is not None:
            await self._client.close()
