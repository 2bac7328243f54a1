import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.checks.docker_stream import Demultiplexer
from meshagent.errors import RemoteProtocolError


def frame(stream, content):
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=30))), st.data())
def test_any_slicing_gives_the_contents_in_order(frames, data):
    wire = b"".join(frame(*f) for f in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    stream = Demultiplexer()
    out = b""
    for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        out += b"".join(stream.feed(wire[a:b]))
    stream.feed_eof()
    assert out == b"".join(content for _, content in frames)


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_come_apart_or_raise(pieces):
    stream = Demultiplexer()
    try:
        out = b"".join(b"".join(stream.feed(piece)) for piece in pieces)
        stream.feed_eof()
    except RemoteProtocolError:
        return
    assert len(out) <= sum(map(len, pieces))


@pytest.mark.parametrize("data", [b"\x03\0\0\0\0\0\0\1x", b"\1\1\0\0\0\0\0\1x", b"plain text of a terminal"])
def test_what_is_no_header(data):
    with pytest.raises(RemoteProtocolError, match="not a multiplexed docker stream"):
        Demultiplexer().feed(data)


@pytest.mark.parametrize("data", [frame(1, b"abc")[:-1], b"\1\0\0"])
def test_an_end_in_the_middle(data):
    stream = Demultiplexer()
    stream.feed(data)
    with pytest.raises(RemoteProtocolError, match="middle of a frame"):
        stream.feed_eof()
