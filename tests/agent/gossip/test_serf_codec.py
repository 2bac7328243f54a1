"""serf's codecs against the bytes of real peers."""

import contextlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.gossip import plain, recorded, serf_parts

from meshagent.agent.gossip import fields as go
from meshagent.agent.gossip import serf_messages as serf
from meshagent.agent.gossip.serf_codec import decode, encode
from meshagent.errors import RemoteProtocolError


def rebuilt(part: dict) -> bytes:
    """The bytes of a recorded serf message from its tree."""
    data = bytes([part["type"]]) + go.pack(plain(part["body"]))
    return data + rebuilt(part["relayed"]) if "relayed" in part else data


RECORDED = [
    (line["name"], rebuilt(part), bytes.fromhex(line["hex"]) if open_ and "old" in line["reencode"] else None)
    for line in recorded()
    if "reencode" in line
    for part, open_ in serf_parts(line["decoded"])
    if "body" in part
]


def test_every_kind_is_recorded() -> None:
    kinds = Counter(data[0] for _, data, _ in RECORDED)
    assert set(kinds) == set(map(int, serf.Kind))
    assert len(RECORDED) > 250


@pytest.mark.parametrize(("name", "data", "packet"), RECORDED, ids=[name for name, *_ in RECORDED])
def test_bytes_of_real_peers_come_back(name: str, data: bytes, packet: bytes | None) -> None:
    if packet is not None:
        assert data in packet  # the tree was turned back into what was on the wire
    assert encode(decode(data)) == data


def test_a_join_and_a_query_are_read() -> None:
    assert decode(bytes.fromhex("0182a54c54696d6502a44e6f6465a5656c646572")) == serf.Join(2, "elder")
    query = next(decode(data) for name, data, _ in RECORDED if name.startswith("serf_plain-037"))
    assert isinstance(query, serf.Query)
    assert (query.name, query.payload, query.source_node, query.port) == ("load", b"tags", "alpha", 20101)
    assert (query.flags, query.timeout_ns, len(query.filters)) == (serf.FLAG_ACK, 10**9, 2)


def test_a_conflict_over_an_unknown_name_is_nil() -> None:
    assert decode(b"\x06\xc0") == serf.ConflictResponse(known=False)
    assert encode(serf.ConflictResponse(known=False)) == b"\x06\xc0"


def test_a_response_of_the_new_dialect_is_read() -> None:
    data = bytes.fromhex("0585a5466c61677300a446726f6dd90161a2494405a54c54696d6501a75061796c6f6164c40178")
    assert decode(data) == serf.QueryResponse(1, 5, "a", 0, b"x")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x0a\x80",
        b"\x01",
        b"\x01\x90",
        b"\x01\xc0",
        b"\x06\x93",
        b"\x01\x81\xa5LTime\xff",
        b"\x01\x81\xa4Node\x05",
        b"\x01\x81\xa4Node\xa1\xff",
        b"\x02\x81\xa6Events\x91\x05",
        b"\x02\x81\xa6Events\x91\x81\xa6Events\x91\x05",
        b"\x02\x81\xacStatusLTimes\x81\x05\x05",
        b"\x02\x81\xabLeftMembers\x91\x05",
        b"\x04\x81\xa7Filters\x91\x05",
        b"\x04\x81\xa4Addr\xa3abc",
        b"\x09\x80",
        b"\x09\x81\xa8DestAddr\x81\xa4Port\xff\x01\x80",
        b"\x09\x81\xa8DestAddr\x81\xa4Port\xce\x00\x01\x00\x00\x01\x80",
    ],
)
def test_what_does_not_fit_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(data)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        encode(decode(data))


@given(st.sampled_from([data for _, data, _ in RECORDED if len(data) < 700]), st.data())
def test_captured_bytes_with_damage_are_a_message_or_refused(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    damaged = damaged[: draw.draw(st.integers(0, len(damaged)))]
    with contextlib.suppress(RemoteProtocolError):
        encode(decode(bytes(damaged)))


NAMES = st.text(st.characters(codec="utf-8"), max_size=20)
TIMES = st.integers(0, 2**64 - 1)
BYTES = st.none() | st.binary(max_size=20)
EVENTS = st.builds(serf.EventsAt, TIMES, st.lists(st.tuples(NAMES, BYTES), max_size=3).map(tuple))
MESSAGES = st.one_of(
    st.builds(serf.Join, TIMES, NAMES),
    st.builds(serf.Leave, TIMES, NAMES, st.booleans()),
    st.builds(serf.Event, TIMES, NAMES, BYTES, st.booleans()),
    st.builds(
        serf.Query,
        ltime=TIMES,
        id=st.integers(0, 2**32 - 1),
        addr=st.sampled_from([b"", b"abcd", b"abcd" * 4]),
        port=st.integers(0, 65535),
        source_node=NAMES,
        filters=st.lists(st.binary(max_size=8), max_size=3).map(tuple),
        timeout_ns=st.integers(-(2**63), 2**63 - 1),
        name=NAMES,
        payload=BYTES,
    ),
    st.builds(serf.QueryResponse, TIMES, st.integers(0, 2**32 - 1), NAMES, st.integers(0, 1), BYTES),
    st.builds(
        serf.PushPull,
        TIMES,
        st.dictionaries(NAMES, TIMES, max_size=4),
        st.lists(NAMES, max_size=3).map(tuple),
        TIMES,
        st.lists(EVENTS, max_size=4, unique_by=lambda at: at.ltime % 512).map(
            lambda events: tuple(sorted(events, key=lambda at: at.ltime % 512))
        ),
        TIMES,
    ),
    st.builds(serf.KeyRequest, st.binary(max_size=32)),
    st.builds(serf.KeyResponse, st.booleans(), NAMES, st.none() | st.lists(NAMES, max_size=3).map(tuple), NAMES),
    st.builds(serf.Relay, st.just(b"abcd"), st.integers(0, 65535), NAMES, st.binary(min_size=1, max_size=20)),
)


@given(MESSAGES)
def test_what_is_written_is_read(message: serf.Message) -> None:
    assert decode(encode(message)) == message
