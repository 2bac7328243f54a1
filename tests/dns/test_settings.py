from __future__ import annotations

import pytest

from meshagent.dns.settings import DnsSettings


@pytest.mark.parametrize(
    ("service", "ttl"), [("web", 5), ("WEB", 5), ("web-1", 8), ("wide", 7), ("other", 3), ("we", 7), ("w", 7)]
)
def test_the_longest_match_wins(service: str, ttl: int) -> None:
    # D29
    settings = DnsSettings(service_ttl_s={"*": 3, "w*": 7, "web*": 8, "web": 5})
    assert settings.ttl_of(service) == ttl


def test_without_a_match_it_is_0() -> None:
    assert DnsSettings().ttl_of("web") == 0
    assert DnsSettings(service_ttl_s={"db*": 4}).ttl_of("web") == 0
