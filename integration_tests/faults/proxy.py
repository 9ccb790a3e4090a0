"""A network between client and server that does what networks do."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit


class Proxy:
    """Passes bytes on between clients and a server, late, in part, or not at all.

    Attributes:
        delay: Seconds that every chunk is held back.
        silent: Whether nothing is passed on any more, with the connections left open.
        cut_after: Bytes from clients after which their connection is reset; `None` for never.
        deaf_to: What a client says before the connection is reset without the server's answer: it
            is passed on first.
        cuts: How many connections were reset.
    """

    def __init__(self, url):
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self._host = query.get("host") or parts.hostname or "localhost"
        self._port = int(query.get("port") or parts.port or 5432)
        self._login = parts.netloc.rpartition("@")[0] or query.get("user", "postgres")
        self.delay, self.silent = 0.0, False
        self.cut_after = self.deaf_to = None
        self.cuts = 0
        self._tasks, self._writers = set(), set()

    def url(self, database):
        """Return the URL of a database behind the proxy."""
        return f"postgresql://{self._login}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            if self._host.startswith("/"):
                server = await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
            else:
                server = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, server[1]}
        try:
            await asyncio.gather(self._pass(reader, server[1], writer), self._pass(server[0], writer, None))
        except asyncio.CancelledError:
            pass  # the proxy is closed; the loop's own server would complain of a task that ends so
        finally:
            for end in (writer, server[1]):
                self._writers.discard(end)
                end.close()
            self._tasks.discard(task)

    async def _pass(self, reader, writer, client):
        """Pass on what comes; *client* is the other end's writer where it comes from the client."""
        passed = 0
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                await asyncio.sleep(self.delay)
                while self.silent:  # noqa: ASYNC110 - as a wire would be
                    await asyncio.sleep(0.01)
                passed += len(data)
                if client is not None and self.cut_after is not None and passed > self.cut_after:
                    writer.write(data[: len(data) - (passed - self.cut_after)])
                    await writer.drain()
                    return self._reset(client)
                writer.write(data)
                await writer.drain()
                if client is not None and self.deaf_to is not None and self.deaf_to in data:
                    return self._reset(client)
        if writer.can_write_eof():
            with suppress(OSError):
                writer.write_eof()
        return None

    def _reset(self, writer):
        """End a connection as if the machine at the other end had forgotten it; once."""
        self.cuts += 1
        self.cut_after = self.deaf_to = None
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    def half_close(self):
        """Tell every client that nothing more will come, and go on listening."""
        for writer in self._writers:
            if writer.get_extra_info("sockname") and writer.get_extra_info("sockname")[1:2] == (self.port,):
                writer.write_eof()

    async def _close(self):
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def between(url):
    """Give a `Proxy` in front of the server of *url*."""
    proxy = Proxy(url)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy._close()
