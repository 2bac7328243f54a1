from __future__ import annotations

import pytest

from meshagent.hostport import join_host_port, split_host_port


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.1", ("10.0.0.1", 8301)),
        ("10.0.0.1:9", ("10.0.0.1", 9)),
        ("web.example:80", ("web.example", 80)),
        ("[::1]:9", ("::1", 9)),
        ("[::1]", ("::1", 8301)),
        ("::1", ("::1", 8301)),
        ("fe80::1:9", ("fe80::1:9", 8301)),
        ("host:", ("host:", 8301)),
        ("host:٣", ("host:٣", 8301)),
    ],
)
def test_forms(text: str, found: tuple[str, int]) -> None:
    assert split_host_port(text, 8301) == found


@pytest.mark.parametrize(
    ("host", "text"), [("10.0.0.1", "10.0.0.1:9"), ("::1", "[::1]:9"), ("a.example", "a.example:9")]
)
def test_both_ways(host: str, text: str) -> None:
    assert join_host_port(host, 9) == text
    assert split_host_port(text, 0) == (host, 9)
