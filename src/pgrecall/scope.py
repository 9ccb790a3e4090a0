"""Which domains (tenants) an operation may touch."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pgrecall.errors import ConfigError

DEFAULT_DOMAIN: Final = "default"
# Domain and id together must fit a B-tree entry.
MAX_DOMAIN_BYTES: Final = 500
MAX_DOMAINS: Final = 10_000
"""Most domains that one scope names."""
# Caches hold no scope that names more: made anew for each request, it would be another one each time.
_MAX_KEPT: Final = 100


class Unset(enum.Enum):
    """What an argument is that nobody has given, where `None` is a mistake: a tenant that is missing."""

    UNSET = enum.auto()


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Scope:
    """One domain; several that are named; or, made explicitly with `Scope.everything`, all of them.

    Every statement carries its scope, and nothing in a record's metadata can change it.

    Attributes:
        domains: Names of the domains, sorted; `None` only in the scope of all domains.
    """

    domains: tuple[str, ...] | None

    @classmethod
    def of(cls, domain: str) -> Scope:
        """Return the scope of one domain.

        Raises:
            ConfigError: *domain* is not a non-empty string. A missing tenant is never "all tenants".
        """
        return cls((check_domain(domain),))

    @classmethod
    def of_several(cls, domains: Iterable[str]) -> Scope:
        """Return the scope of the domains that are named, of which there must be at least one.

        Raises:
            ConfigError: They are one string, none, or more than 10,000, or one of them is not a non-empty string.
        """
        if isinstance(domains, str | bytes) or not isinstance(domains, Iterable):
            msg = f"domains must be a sequence of names, not {domains!r:.80}"
            raise ConfigError(msg)
        names = tuple(sorted({check_domain(domain) for domain in domains}))
        if not 1 <= len(names) <= MAX_DOMAINS:
            msg = f"name 1 to {MAX_DOMAINS} domains, not {len(names)}; to work on all of them say all_domains()"
            raise ConfigError(msg)
        return cls(names)

    @classmethod
    def everything(cls) -> Scope:
        """Return the scope of all domains, for administration."""
        return cls(None)

    @property
    def domain(self) -> str | None:
        """The one domain; `None` in a scope that can hold more than one."""
        return self.domains[0] if self.domains is not None and len(self.domains) == 1 else None

    @property
    def is_everything(self) -> bool:
        """Whether this is the scope of all domains."""
        return self.domains is None

    @property
    def may_be_kept(self) -> bool:
        """Whether a cache may hold this scope, and what is made of it."""
        return self.domains is None or len(self.domains) <= _MAX_KEPT

    def covers(self, other: Scope) -> bool:
        """Whether all that is in *other* is in this scope too."""
        return self.domains is None or (other.domains is not None and set(other.domains) <= set(self.domains))

    def __str__(self) -> str:
        if self.domains is None:
            return "all domains"
        if len(self.domains) == 1:
            return f"domain {self.domains[0]!r}"
        named = ", ".join(map(repr, self.domains[:_SHOWN]))
        return f"domains {named}{', …' if len(self.domains) > _SHOWN else ''}"


def check_domain(domain: object) -> str:
    """Return *domain* if a domain can be called so.

    Raises:
        ConfigError: It is not a non-empty string of at most 500 bytes without NUL.
    """
    if not isinstance(domain, str) or not domain or "\x00" in domain or not _fits(domain):
        msg = (
            f"domain must be a non-empty string of at most {MAX_DOMAIN_BYTES} bytes without NUL, not "
            f"{domain!r:.80}; "
            "to work on all domains say so with all_domains()"
        )
        raise ConfigError(msg)
    return domain


_SHOWN: Final = 5


def _fits(domain: str) -> bool:
    try:
        return len(domain.encode()) <= MAX_DOMAIN_BYTES
    except UnicodeEncodeError:
        return False
