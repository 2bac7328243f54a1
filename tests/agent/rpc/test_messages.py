from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.rpc import messages
from meshagent.agent.rpc.messages import (
    Answered,
    Change,
    Failure,
    Forwarded,
    Once,
    Question,
    Standing,
    Unchanged,
    Unwatch,
    Watch,
    WatchBatch,
)
from meshagent.errors import RemoteProtocolError

QUESTION = Question("http", "/v1/kv/a", "127.0.0.1", "t")
MESSAGES = [
    Forwarded("PUT", "/v1/kv/a", (("X-Consul-Token", "t"),), b"x", "10.0.0.1", b"id"),
    Answered(200, b"HTTP/1.1 200 OK\r\n", b"true"),
    QUESTION,
    WatchBatch(b"feed", (Watch(1, QUESTION, 7, b"digest"),)),
    Unwatch(b"feed", (1, 2)),
    Once(QUESTION, False),
]
SAID = [
    Change(2, 1, 9, 200, "text/plain", (("A", "b"),), 3, 4, b"x"),
    Failure(2, "no"),
    Standing("", 5, True),
    Unchanged(1, 2),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_encoded_decodes(message: Any) -> None:
    assert messages.decode(type(message), messages.encode(message)) == message


def test_a_piece_decodes() -> None:
    piece = list(enumerate(SAID))
    assert messages.decode_piece(messages.encode(piece)) == piece


def test_writes_decode() -> None:
    writes = [(b"id", "token", b"command")]
    assert messages.decode_writes(messages.encode(writes)) == writes


@given(st.binary(max_size=200), st.sampled_from([type(message) for message in MESSAGES]))
def test_any_bytes_decode_or_are_refused(payload: bytes, kind: Any) -> None:
    for decode in (lambda: messages.decode(kind, payload), lambda: messages.decode_piece(payload)):
        try:
            decode()
        except RemoteProtocolError:
            continue


@given(st.data(), st.sampled_from([*MESSAGES, [(1, SAID[0])], [(b"id", "t", b"c")]]))
def test_damaged_messages_decode_or_are_refused(data: st.DataObject, message: Any) -> None:
    raw = bytearray(messages.encode(message))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    for decode in (
        lambda: messages.decode(type(message), bytes(raw)) if not isinstance(message, list) else None,
        lambda: messages.decode_piece(bytes(raw)),
        lambda: messages.decode_writes(bytes(raw)),
    ):
        try:
            decode()
        except RemoteProtocolError:
            continue


def test_what_is_too_much_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="513 watches"):
        messages.decode(WatchBatch, messages.encode(WatchBatch(b"f", (Watch(1, QUESTION),) * 513)))
    long = Question("http", "/" * 70_000)
    with pytest.raises(RemoteProtocolError, match="characters"):
        messages.decode(WatchBatch, messages.encode(WatchBatch(b"f", (Watch(1, long),))))
    with pytest.raises(RemoteProtocolError, match="characters"):
        messages.decode(Once, messages.encode(Once(long)))
    with pytest.raises(RemoteProtocolError, match="513 writes"):
        messages.decode_writes(messages.encode([(b"i", "", b"c")] * 513))


def test_a_server_of_the_release_before_says_nothing_of_the_default() -> None:
    assert messages.decode_piece(msgspec.msgpack.encode([(0, [3, "a:1", 5])])) == [(0, Standing("a:1", 5, False))]
