"""How connections are made and kept, and how often what failed because of the moment is tried again."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic resolves it in models with such settings
from dataclasses import dataclass, field

from pgrecall.checks import check_flag, check_instance, check_range, check_seconds, check_texts


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryConfig:
    """How often an operation is tried that failed only because of the moment.

    That is: its connection was lost, it met a deadlock or a serialization failure, or the server was
    starting, recovering or full of connections. Nothing is tried again where it might be done twice, nor on
    a connection of the caller's.

    Attributes:
        attempts: Most tries, 1 to 100, the first included; 1 tries nothing again.
        first_delay: The second try comes at once, the third at random within so many seconds; the bound
            doubles with each try.
        max_delay: Most seconds between two tries. ``RetryConfig(attempts=20, max_delay=5)`` goes on for about
            half a minute, which outlasts a restart of the server.
    """

    attempts: int = 5
    first_delay: float = 0.02
    max_delay: float = 1.0

    def __post_init__(self) -> None:
        check_range(self.attempts, "attempts", 1, 100)
        check_seconds(self.first_delay, "first_delay")
        check_seconds(self.max_delay, "max_delay")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """How connections are made and kept; each event loop has a pool of its own.

    Attributes:
        min_size: Connections kept open.
        max_size: Most connections; two to four for each core of the server serve best.
        connect_timeout: Seconds until a connection attempt is given up.
        command_timeout: Seconds until a statement is cancelled; `None` for no limit. Only with one is a
            network noticed soon that has gone silent.
        acquire_timeout: Seconds to wait for a connection where all are in use; `None` waits as long as it takes.
        prepared_statements: Whether statements stay prepared. `None` finds out: always on a direct
            connection; behind PgBouncer's transaction pooling only where it rewrites their names.
        server_settings: Settings of the session, over those that searching wants. Not sent to a pooler,
            which would refuse them.
        retry: How often an operation is tried that failed only because of the moment.
    """

    min_size: int = 1
    max_size: int = 8
    connect_timeout: float = 15.0
    command_timeout: float | None = None
    acquire_timeout: float | None = None
    prepared_statements: bool | None = None
    server_settings: Mapping[str, str] = field(default_factory=dict[str, str])
    retry: RetryConfig = field(default_factory=RetryConfig)

    def __post_init__(self) -> None:
        check_range(self.max_size, "max_size", 1, 10_000)
        check_range(self.min_size, "min_size", 0, self.max_size)
        check_seconds(self.connect_timeout, "connect_timeout")
        for name in ("command_timeout", "acquire_timeout"):
            if (value := getattr(self, name)) is not None:
                check_seconds(value, name)
        if self.prepared_statements is not None:
            check_flag(self.prepared_statements, "prepared_statements")
        check_texts(self.server_settings, "server_settings")
        check_instance(self.retry, "retry", RetryConfig, "a RetryConfig")
