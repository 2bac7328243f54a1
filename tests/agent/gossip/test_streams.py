from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.gossipgolden import MESSAGES, REACTIONS, Ring, codec_for

from meshagent.agent.gossip import lzw, streams
from meshagent.agent.gossip.drops import Drop, Dropped, reason_of
from meshagent.agent.gossip.fields import pack
from meshagent.agent.gossip.messages import Ack, Ping
from meshagent.agent.gossip.node import Node, NodeState
from meshagent.agent.gossip.packet import PacketCodec, compress
from meshagent.agent.gossip.seal import Seal
from meshagent.agent.gossip.streams import PushPull, StreamCodec, StreamError, StreamMessage, UserData
from meshagent.errors import RemoteProtocolError

CAPTURED = [row for row in MESSAGES if row["transport"] == "tcp"]
READABLE = [row for row in CAPTURED if "unreadable" not in str(row["decoded"])]


def dialling(row: dict[str, Any]) -> bool:
    return "initiator" in row["direction"]


def read(codec: StreamCodec, data: bytes, *, dialled: bool = True, step: int = 0) -> StreamMessage | None:
    reader = codec.reader(dialled=dialled)
    if not step:
        return reader.feed(data)
    for at in range(0, len(data), step):
        message = reader.feed(data[at : at + step])
        if message is not None:
            return message
    return None


def test_every_captured_stream_is_written_as_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(READABLE) > 40
    modern = streams.signed
    for row in READABLE:
        codec, data = StreamCodec(codec_for(row)), bytes.fromhex(row["hex"])
        message = read(codec, data, dialled=dialling(row))
        assert message is not None, row["name"]
        monkeypatch.setattr(streams, "signed", modern if "modern" in row["reencode"] else pack)
        assert codec.encode(message, dialling=dialling(row)).hex() == row["hex"], row["name"]


@pytest.mark.parametrize("step", [1, 7, 100])
def test_it_does_not_matter_how_the_bytes_come(step: int) -> None:
    for row in READABLE[:: 9 if step == 1 else 2]:
        codec, data = StreamCodec(codec_for(row)), bytes.fromhex(row["hex"])
        whole = read(codec, data, dialled=dialling(row))
        assert read(codec, data, dialled=dialling(row), step=step) == whole


def test_a_push_pull_holds_nodes_and_state() -> None:
    row = next(row for row in READABLE if row["name"].startswith("serf_plain-001"))
    message = read(StreamCodec(codec_for(row)), bytes.fromhex(row["hex"]))
    assert isinstance(message, PushPull)
    assert message.join
    assert [(node.name, node.address, node.state) for node in message.nodes] == [
        ("bravo", ("127.0.0.1", 20102), NodeState.ALIVE)
    ]
    assert len(message.user_state) == 589


@pytest.mark.parametrize("row", [row for row in REACTIONS if row["transport"] == "tcp"], ids=lambda row: row["name"])
def test_what_live_peers_read_we_read(row: dict[str, Any]) -> None:
    codec, data = StreamCodec(codec_for(row)), bytes.fromhex(row["hex"])
    reactions = set(row["reaction"].values())
    try:
        message = read(codec, data)
    except RemoteProtocolError as error:
        assert all(r.startswith(("closed", "err")) for r in reactions), error
    else:
        answered = any(r.startswith(("ack", "push/pull")) for r in reactions)
        assert (message is not None) == (answered or "wrong name" in row["name"])


def test_minus_one_nodes_are_refused() -> None:
    with pytest.raises(Dropped, match="Nodes: -1"):
        read(StreamCodec(PacketCodec()), b"\x06" + pack({b"Nodes": -1, b"UserStateLen": 0, b"Join": False}))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x06" + pack({b"Nodes": 2**20 + 1}), Drop.TOO_LARGE),
        (b"\x06" + pack({b"UserStateLen": (20 << 20) + 1}), Drop.TOO_LARGE),
        (b"\x06" + pack({b"UserStateLen": -1}), Drop.TOO_LARGE),
        (b"\x08" + pack({b"UserMsgLen": (20 << 20) + 1}), Drop.TOO_LARGE),
        (b"\x06" + pack([1]) + pack("x"), Drop.MALFORMED),
        (b"\x06" + pack({b"Nodes": 1}) + pack({b"Name": "a", b"Addr": b"\0" * 4, b"State": 4}), Drop.MALFORMED),
        (b"\x06" + pack({b"Nodes": 1}) + pack({b"Name": "a", b"Addr": b"\0" * 5}), Drop.ADDRESS),
        (b"\x06\xdd\xff\xff\xff\xff", Drop.MALFORMED),
        (b"\x06\xdf\xff\xff\xff\xff", Drop.MALFORMED),
        (b"\x04\x80", Drop.UNKNOWN_TYPE),
        (b"\x0c\0\0\0\0\0\x80", Drop.UNKNOWN_TYPE),
        (b"\x0a\0\0\0\x20" + b"\0" * 32, Drop.SEALED),
        (b"\xf4\x04blue\0\x80", Drop.LABEL),
        (compress(b"\x06" + pack({b"Nodes": 1})), Drop.MALFORMED),
        (compress(compress(compress(compress(compress(compress(b"\0\x80")))))), Drop.TOO_LARGE),
    ],
)
def test_a_bad_stream_is_refused_under_its_word(data: bytes, why: Drop) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        read(StreamCodec(PacketCodec()), data)
    assert reason_of(refused.value) is why


KEY = Seal(Ring(b"k" * 32), lambda: b"n" * 12)


@pytest.mark.parametrize(
    ("packets", "data", "why"),
    [
        (PacketCodec(KEY), b"\0\x80", Drop.PLAIN),
        (PacketCodec(KEY), b"\x0a\xff\xff\xff\xff\x01", Drop.TOO_LARGE),
        (PacketCodec(KEY), b"\x0a\0\0\0\x20\x01" + b"\0" * 31, Drop.DECRYPT),
        (PacketCodec(KEY), b"\x0a\0\0\0\x01\x01", Drop.PLAIN),
        (PacketCodec(KEY, label="blue"), b"\xf4\x03red", Drop.LABEL),
        (PacketCodec(KEY, label="blue"), b"\x0a", Drop.LABEL),
    ],
)
def test_a_sealed_pool_refuses(packets: PacketCodec, data: bytes, why: Drop) -> None:
    with pytest.raises(Dropped) as refused:
        read(StreamCodec(packets), data)
    assert refused.value.drop is why


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_INFLATED_BYTES", 1000)
    bomb = b"\x09" + pack({b"Algo": 0, b"Buf": lzw.compress(b"\x08\x81" + b"\0" * 2000)})
    with pytest.raises(RemoteProtocolError, match="more than 1000"):
        read(StreamCodec(PacketCodec()), bomb)


def test_a_stream_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_STREAM_BYTES", 1000)
    reader = StreamCodec(PacketCodec()).reader(dialled=True)
    assert reader.feed(b"\x08" + pack({b"UserMsgLen": 5000})) is None
    with pytest.raises(Dropped, match="more than 1000"):
        reader.feed(b"x" * 1000)


def test_what_follows_the_message_is_ignored() -> None:
    reader = StreamCodec(PacketCodec()).reader(dialled=True)
    assert reader.feed(b"\x02" + pack({b"SeqNo": 7}) + b"more") == Ack(7)
    assert reader.feed(b"and more") is None


def test_the_answer_has_no_label_but_is_bound_to_it() -> None:
    codec = StreamCodec(PacketCodec(KEY, label="blue"))
    asked = codec.encode(Ping(1, "a"), dialling=True)
    assert asked.startswith(b"\xf4\x04blue\x0a")
    answer = codec.encode(Ack(1), dialling=False)
    assert read(codec, answer, dialled=False) == Ack(1)
    with pytest.raises(Dropped):
        read(StreamCodec(PacketCodec(KEY, label="red")), answer, dialled=False)


def test_while_moving_to_encryption_plain_streams_are_taken() -> None:
    codec = StreamCodec(PacketCodec(KEY, verify_incoming=False))
    assert read(codec, b"\0\x80") == Ping(0, "")
    assert read(codec, codec.encode(Ack(3), dialling=True)) == Ack(3)


nodes = st.builds(
    Node,
    st.text(min_size=1, max_size=20),
    st.binary(min_size=4, max_size=4),
    st.integers(0, 65535),
    st.binary(max_size=40),
    st.binary(min_size=6, max_size=6),
    st.integers(0, 2**32 - 1),
    st.sampled_from(NodeState),
)
said = st.one_of(
    st.builds(PushPull, st.booleans(), st.lists(nodes, max_size=4).map(tuple), st.binary(max_size=400)),
    st.builds(UserData, st.binary(max_size=400)),
    st.builds(StreamError, st.text(max_size=40)),
)


@given(said, st.booleans(), st.booleans(), st.sampled_from(["", "blue"]))
def test_what_is_said_is_heard(message: StreamMessage, sealed: bool, squeezed: bool, label: str) -> None:
    codec = StreamCodec(PacketCodec(KEY if sealed else None, label=label, compression=squeezed))
    data = codec.encode(message, dialling=True)
    assert read(codec, data) == message
    assert read(codec, data[:-1]) is None


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_decode_or_are_refused(data: bytes, sealed: bool) -> None:
    try:
        read(StreamCodec(PacketCodec(KEY if sealed else None)), data)
    except RemoteProtocolError:
        pass


@given(st.sampled_from(READABLE), st.data())
def test_mutated_captures_decode_or_are_refused(row: dict[str, Any], data: st.DataObject) -> None:
    stream = bytearray.fromhex(row["hex"])
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(StreamCodec(codec_for(row)), bytes(stream), dialled=dialling(row))
    except RemoteProtocolError:
        pass
