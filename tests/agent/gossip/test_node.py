from __future__ import annotations

import pytest

from meshagent.agent.gossip.node import Node, NodeState, format_ip, parse_ip, show_address


@pytest.mark.parametrize(
    ("packed", "text"), [(b"\x0a\0\0\1", "10.0.0.1"), (b"\0" * 15 + b"\1", "::1"), (b"\xfe\x80" + b"\0" * 14, "fe80::")]
)
def test_addresses(packed: bytes, text: str) -> None:
    assert format_ip(packed) == text
    assert parse_ip(text) == packed


@pytest.mark.parametrize("size", [0, 3, 5, 17])
def test_other_sizes_are_no_addresses(size: int) -> None:
    with pytest.raises(ValueError, match="address"):
        format_ip(b"x" * size)


def test_a_node_says_where_it_is_and_how() -> None:
    node = Node("a", b"\x0a\0\0\1", 8301)
    assert (node.ip, node.address, node.protocol_max) == ("10.0.0.1", ("10.0.0.1", 8301), 5)
    assert [Node("a", b"\x0a\0\0\1", 1, state=state).up for state in NodeState] == [True, True, False, False]


def test_addresses_are_shown_with_their_port() -> None:
    assert show_address(("10.0.0.1", 8301)) == "10.0.0.1:8301"
    assert show_address(("::1", 8301)) == "[::1]:8301"
