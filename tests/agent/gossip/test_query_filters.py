import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.gossip import plain, recorded, serf_parts

from meshagent.agent.gossip.query_filters import encode_node_filter, encode_tag_filter, meant_for
from meshagent.errors import RemoteProtocolError

TAGS = {"role": "web-front", "dc": "dc1"}


@pytest.mark.parametrize(
    ("filters", "meant"),
    [
        ([], True),
        ([encode_node_filter(["a", "b"])], True),
        ([encode_node_filter(["b"])], False),
        ([encode_node_filter([])], False),
        ([encode_tag_filter("role", "^web")], True),
        ([encode_tag_filter("role", "front")], True),
        ([encode_tag_filter("role", "^front")], False),
        ([encode_tag_filter("missing", "^$")], True),
        ([encode_tag_filter("missing", ".+")], False),
        ([encode_node_filter(["a"]), encode_tag_filter("dc", "dc2")], False),
    ],
)
def test_all_filters_must_hold(filters: list[bytes], meant: bool) -> None:
    assert meant_for(filters, "a", TAGS) is meant


def test_they_are_written_as_real_peers_do() -> None:
    shown = [
        (plain(part), part["filter"])
        for line in recorded()
        for serf, _ in serf_parts(line["decoded"])
        if serf["name"] == "query"
        for part in serf["body"]["Filters"] or ()
    ]
    kinds = set()
    for data, told in shown:
        kinds.add(told["type"])
        if told["type"] == 1:
            assert encode_tag_filter(told["Tag"], told["Expr"]) == data
        else:
            names = next(value for value in told.values() if isinstance(value, list))
            assert encode_node_filter(names) == data
    assert kinds == {0, 1}


@pytest.mark.parametrize(
    "part", [b"", b"\x02\x80", b"\x00\x80", b"\x00\x91\x05", b"\x01\x90", encode_tag_filter("dc", "(")]
)
def test_a_filter_that_cannot_be_read_lets_nobody_through(part: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        meant_for([part], "a", TAGS)


def test_too_many_filters() -> None:
    with pytest.raises(RemoteProtocolError):
        meant_for([encode_node_filter(["a"])] * 65, "a", TAGS)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_filter_or_refused(part: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        meant_for([part], "a", TAGS)
