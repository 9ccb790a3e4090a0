"""Scope: one domain or, explicitly, all."""

import pytest

from pgrecall.errors import ConfigError
from pgrecall.scope import Scope


def test_scope_of_a_domain():
    assert Scope.of("acme").domain == "acme"
    assert not Scope.of("acme").is_everything


@pytest.mark.parametrize("domain", [None, "", 5, b"acme", "a\x00b", ["acme"]])
def test_scope_of_what_is_no_domain_is_an_error(domain):
    with pytest.raises(ConfigError, match=r"all_domains\(\)"):
        Scope.of(domain)


@pytest.mark.parametrize("domain", ["\ud800", "x" * 3_000])
def test_scope_of_a_domain_that_postgresql_cannot_keep_is_an_error(domain):
    with pytest.raises(ConfigError):
        Scope.of(domain)


def test_scope_of_everything_has_no_domain():
    assert Scope.everything().is_everything


def test_scopes_print_what_they_cover():
    assert str(Scope.of("acme")) == "domain 'acme'"
    assert str(Scope.everything()) == "all domains"
