"""Any bytes are a message or RemoteProtocolError; what is encoded comes back."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.raft import messages
from meshagent.catalog.raft.messages import AppendEntries, RequestVote, decode_message, encode_message
from meshagent.errors import LocalProtocolError, RemoteProtocolError

KINDS = (
    messages.RequestVote, messages.PreVote, messages.VoteReply, messages.AppendEntries, messages.AppendReply,
    messages.InstallSnapshot, messages.SnapshotReply, messages.TimeoutNow,
)  # fmt: skip
ALIKE = st.recursive(
    st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5) | st.binary(max_size=5) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=9),
    max_leaves=30,
)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_what_is_encoded_comes_back(kind: type[messages.Message], data: st.DataObject) -> None:
    numbers = st.integers(0, messages.MAX_NUMBER)
    values = {
        "sender": st.text(min_size=1, max_size=40), "entries": st.just([]), "data": st.binary(max_size=100),
        "transfer": st.booleans(), "granted": st.booleans(), "pre": st.booleans(), "success": st.booleans(),
        "done": st.booleans(), "address": st.text(max_size=40),
        "removed": st.booleans(),
    }  # fmt: skip
    message = kind(**{name: data.draw(values.get(name, numbers)) for name in kind.__struct_fields__})
    assert decode_message(encode_message(message)) == message


@given(st.binary(max_size=200) | ALIKE.map(msgspec.msgpack.encode) | st.lists(ALIKE).map(msgspec.msgpack.encode))
def test_any_bytes_are_a_message_or_a_protocol_error(data: bytes) -> None:
    try:
        message = decode_message(data)
    except RemoteProtocolError:
        return
    assert isinstance(message, KINDS)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_a_damaged_message_is_a_message_or_a_protocol_error(junk: bytes, at: int) -> None:
    good = encode_message(AppendEntries("node-a", 7, 1, 9, 4, 6, 3, [(b"\x00x", 5, 6), (b"\x00y", 6, 7)]))
    try:
        decode_message(good[:at] + junk + good[at + len(junk) :])
    except RemoteProtocolError:
        pass


@pytest.mark.parametrize(
    "entries",
    [[(b"x", 6, 6)], [(b"x", 5, 6), (b"x", 7, 6)], [(b"x", 5, 5)], [(b"x", 5, 8)], [(b"x", 5, 7), (b"x", 6, 6)],
     [(b"", 5, 6)]],
)  # fmt: skip
def test_entries_follow_each_other_and_terms_never_fall(entries: list[tuple[bytes, int, int]]) -> None:
    with pytest.raises(RemoteProtocolError, match="out of order"):
        decode_message(encode_message(AppendEntries("a", 7, 1, 9, 4, 6, 3, entries)))


@pytest.mark.parametrize("message", [RequestVote("", 1, 1, 1, 1), RequestVote("a", -1, 1, 1, 1)])
def test_a_message_says_who_and_numbers_are_not_negative(message: RequestVote) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_message(encode_message(message))


def test_the_limits_hold_in_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_message(AppendEntries("a", 7, 1, 9, 4, 6, 3, [(bytes(1000), 5, 6)]))
    monkeypatch.setattr(messages, "MAX_MESSAGE_BYTES", 500)
    with pytest.raises(RemoteProtocolError, match="the limit is 500"):
        decode_message(data)
    with pytest.raises(LocalProtocolError):
        encode_message(AppendEntries("a", 7, 1, 9, 4, 6, 3, [(bytes(1000), 5, 6)]))
