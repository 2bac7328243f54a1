from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.gossipgolden import MESSAGES, codec_for

from meshagent.agent.gossip import messages as m
from meshagent.agent.gossip.node import Node, NodeState
from meshagent.errors import RemoteProtocolError

RECODE = {
    m.MessageType.PING: lambda body: m.encode_ping(m.decode_ping(body)),
    m.MessageType.INDIRECT_PING: lambda body: m.encode_indirect_ping(m.decode_indirect_ping(body)),
    m.MessageType.ACK: lambda body: m.encode_ack(m.decode_ack(body)),
    m.MessageType.NACK: lambda body: m.encode_nack(m.decode_nack(body)),
    m.MessageType.ERR: lambda body: m.encode_error(m.decode_error(body)),
    m.MessageType.SUSPECT: lambda body: m.encode_suspect(m.decode_suspect(body)),
    m.MessageType.ALIVE: lambda body: m.encode_alive(m.decode_alive(body)),
    m.MessageType.DEAD: lambda body: m.encode_dead(m.decode_dead(body)),
}


def captured() -> dict[bytes, str]:
    """Every message of the captured packets but users', once."""
    found: dict[bytes, str] = {}
    for row in MESSAGES:
        if row["transport"] == "udp" and "unreadable" not in str(row["decoded"]):
            for message in codec_for(row).decode(bytes.fromhex(row["hex"]))[0]:
                if message[0] in RECODE:
                    found.setdefault(message, row["name"])
    return found


def test_every_captured_message_is_written_as_it_was_read() -> None:
    found = captured()
    assert {message[0] for message in found} == set(RECODE) - {m.MessageType.ERR}
    for message, name in found.items():
        assert RECODE[m.MessageType(message[0])](message[1:]) == message, name


def test_an_alive_says_who_where_and_what() -> None:
    packet = next(row for row in MESSAGES if row["name"].startswith("serf_plain-003"))
    first = codec_for(packet).decode(bytes.fromhex(packet["hex"]))[0][0]
    assert m.decode_alive(first[1:]) == Node(
        "alpha",
        b"\x7f\0\0\1",
        20101,
        bytes.fromhex("ff82a4726f6c65a3776562a26463a465617374"),
        bytes((1, 5, 2, 2, 5, 5)),
        1,
        NodeState.ALIVE,
    )


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({b"Node": b"a", b"Addr": b"\x7f\0\0"}, "an address of 3 bytes"),
        ({b"Node": b"a", b"Addr": b""}, "an address of 0 bytes"),
        ({b"Node": b"", b"Addr": b"\0" * 4}, "without a name"),
        ({b"Node": b"\xff", b"Addr": b"\0" * 4}, "not UTF-8"),
        ({b"Node": b"a", b"Addr": b"\0" * 4, b"Meta": b"x" * 513}, "513 bytes of metadata"),
        ({b"Node": b"a", b"Addr": b"\0" * 4, b"Port": 65536}, "Port: 65536 is out of range"),
        ({b"Node": b"a", b"Addr": b"\0" * 4, b"Incarnation": -1}, "Incarnation: -1 is out of range"),
        ({b"Node": 7, b"Addr": b"\0" * 4}, "Node: text was due"),
    ],
)
def test_a_bad_alive_names_its_field(fields: dict[bytes, Any], why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        m.decode_alive(m.pack(fields))


DECODERS = [
    m.decode_ping,
    m.decode_indirect_ping,
    m.decode_ack,
    m.decode_nack,
    m.decode_error,
    m.decode_suspect,
    m.decode_dead,
    m.decode_alive,
]


@given(st.binary(max_size=200), st.sampled_from(DECODERS))
def test_any_bytes_decode_or_are_refused(data: bytes, decode: Any) -> None:
    try:
        decode(data)
    except RemoteProtocolError:
        pass


CAPTURED = sorted(captured())


@given(st.sampled_from(CAPTURED), st.data())
def test_mutated_captures_decode_or_are_refused(message: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(message) - 1))
    mutated = message[1:at] + data.draw(st.binary(max_size=4)) + message[at + data.draw(st.integers(0, 4)) :]
    try:
        RECODE[m.MessageType(message[0])](mutated)
    except RemoteProtocolError:
        pass


ips = st.sampled_from(["10.0.0.1", "::1", "2001:db8::5"])
sources = st.none() | st.tuples(ips, st.integers(1, 65535))


@given(st.builds(m.Ping, st.integers(0, 2**32 - 1), st.text(max_size=40), sources, st.text(max_size=40)))
def test_pings_come_back(ping: m.Ping) -> None:
    assert m.decode_ping(m.encode_ping(ping)[1:]) == ping


@given(
    st.builds(
        Node,
        st.text(min_size=1, max_size=300),
        st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16),
        st.integers(0, 65535),
        st.binary(max_size=512),
        st.binary(min_size=6, max_size=6),
        st.integers(0, 2**32 - 1),
    )
)
def test_nodes_come_back(node: Node) -> None:
    assert m.decode_alive(m.encode_alive(node)[1:]) == node
