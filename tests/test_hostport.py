from __future__ import annotations

import pytest

from meshagent.hostport import split_host_port


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
