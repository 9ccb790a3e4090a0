"""Which domain (tenant) an operation may touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pgrecall.errors import ConfigError

DEFAULT_DOMAIN: Final = "default"
# Domain and id together must fit a B-tree entry.
MAX_DOMAIN_BYTES: Final = 500


@dataclass(frozen=True, slots=True)
class Scope:
    """One domain, or, made explicitly with `Scope.everything`, all of them.

    Every statement carries its scope, and nothing in a record's metadata can change it.

    Attributes:
        domain: Name of the domain; `None` only in the scope of all domains.
    """

    domain: str | None

    @classmethod
    def of(cls, domain: str) -> Scope:
        """Return the scope of one domain.

        Raises:
            ConfigError: *domain* is not a non-empty string. A missing tenant is never "all tenants".
        """
        if not isinstance(domain, str) or not domain or "\x00" in domain or not _fits(domain):
            msg = (
                f"domain must be a non-empty string of at most {MAX_DOMAIN_BYTES} bytes without NUL, not "
                f"{domain!r:.80}; "
                "to work on all domains say so with all_domains()"
            )
            raise ConfigError(msg)
        return cls(domain)

    @classmethod
    def everything(cls) -> Scope:
        """Return the scope of all domains, for administration."""
        return cls(None)

    @property
    def is_everything(self) -> bool:
        """Whether this is the scope of all domains."""
        return self.domain is None

    def __str__(self) -> str:
        return "all domains" if self.domain is None else f"domain {self.domain!r}"


def _fits(domain: str) -> bool:
    try:
        return len(domain.encode()) <= MAX_DOMAIN_BYTES
    except UnicodeEncodeError:
        return False
