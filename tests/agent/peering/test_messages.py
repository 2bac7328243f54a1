from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from meshagent.agent.peering import messages as m
from meshagent.errors import RemoteProtocolError

texts = st.text(max_size=8)
kinds = st.sampled_from([m.EXPORTED_SERVICE, m.TRUST_BUNDLE, m.EXPORTED_SERVICE_LIST, m.SERVER_ADDRESSES])
resources = st.builds(m.Packed, kinds, st.binary(max_size=8))
everything = st.one_of(
    st.builds(m.Open, texts, texts, st.builds(m.Place, texts, texts)),
    st.builds(m.Request, texts, texts, kinds, st.none() | st.builds(m.Status, st.integers(0, 16), texts)),
    st.builds(m.Response, texts, kinds, texts, st.none() | resources, st.integers(1, 2)),
    st.just(m.Terminated()),
    st.just(m.Heartbeat()),
)


@given(everything)
def test_messages_survive_their_codec(message: m.Message) -> None:
    assert m.decode_message(m.encode_message(message)) == message


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    for decode in (m.decode_message, m.EXCHANGE.decode, m.GIVEN.decode):
        try:
            decode(data)
        except RemoteProtocolError:
            continue


def test_bytes_of_the_wire() -> None:
    assert m.encode_message(m.Heartbeat()) == b"\x2a\x00"
    assert m.encode_message(m.Terminated()) == b"\x22\x00"
    assert m.encode_message(m.Open("p", "s", m.Place("", "dc1"))) == b"\x0a\x0d\x0a\x01p\x12\x01s\x1a\x05\x12\x03dc1"
    refused = m.Request("p", "0a", "k", m.Status(13, "no"))
    assert m.encode_message(refused) == b"\x12\x12\x0a\x01p\x12\x020a\x1a\x01k\x2a\x06\x08\x0d\x12\x02no"
    told = m.Response("0a", "k", "i", m.Packed("k", b"d"))
    assert m.encode_message(told) == b"\x1a\x14\x0a\x020a\x12\x01k\x1a\x01i\x22\x06\x0a\x01k\x12\x01d\x28\x01"


@pytest.mark.parametrize("data", [b"", b"\x22\x00\x2a\x00", b"\x32\x00"])
def test_one_thing_at_a_time(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="nothing that is known in it, or with several things"):
        m.decode_message(data)


@pytest.mark.parametrize("value", [m.Open("p", "s3cret"), m.Exchange("p", "s3cret"), m.Given("s3cret")])
def test_secrets_do_not_show(value: object) -> None:
    assert "s3cret" not in repr(value)


@given(st.lists(texts, max_size=4).map(tuple), texts)
def test_names_and_roots(names: tuple[str, ...], domain: str) -> None:
    assert m.decode_names(m.encode_names(m.SERVER_ADDRESSES, names)) == names
    roots = m.RootsOf(domain, names, "default")
    assert m.decode_roots(m.encode_roots(roots)) == roots
