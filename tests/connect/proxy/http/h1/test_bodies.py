"""Bodies of HTTP/1.1, cut anyhow: the same bytes come out, and nothing else is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.proxy.http.h1.bodies import Body, Chunked, Sized, UntilEnd
from meshagent.connect.proxy.http.h1.heads import BadMessage
from meshagent.connect.proxy.http.h1.writing import chunk, last_chunk


def read(body: Body, data: bytes, cuts: list[int]) -> tuple[bytes, bytes]:
    """What came out, and what was left over, of data that arrives in pieces."""
    out, waiting, at = b"", b"", 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        if body.done:
            break
        pieces, waiting = body.feed(waiting + data[at:cut]) if waiting or cut > at else ([], waiting)
        out += b"".join(pieces)
        at = cut
    return out, waiting + data[at:]


CUTS = st.lists(st.integers(0, 10_000), max_size=8)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), CUTS, st.booleans(), st.binary(max_size=10))
def test_chunks_however_they_arrive(chunks: list[bytes], cuts: list[int], trailers: bool, rest: bytes) -> None:
    ends = [(b"sum", b"1"), (b"host", b"evil")] if trailers else []
    data = b"".join(map(chunk, chunks)) + last_chunk(ends)
    body = Chunked()
    out, left = read(body, data + rest, cuts)
    assert body.done
    assert out == b"".join(chunks)
    assert left == rest
    assert body.trailers == ends[:1]


@given(st.binary(max_size=60), st.integers(0, 40), CUTS)
def test_sized(data: bytes, length: int, cuts: list[int]) -> None:
    body = Sized(length)
    out, left = read(body, data, cuts)
    assert out == data[:length]
    assert left == data[length:]
    assert body.done == (len(data) >= length)


def test_until_the_end() -> None:
    body = UntilEnd()
    assert body.feed(b"abc") == ([b"abc"], b"")
    assert not body.done


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"x\r\n",
        b"-1\r\n",
        b"0x1\r\na",
        b" 1\r\na",
        b"1 \r\na",
        b"1\na\r\n",
        b"1\r\nab",
        b"1\r\na\n",
        b"1\r\na\rb",
        b"1;\x00\r\n",
        b"1;a\rb\r\n",
        b"10000000000000000\r\n",
        b"1;" + b"a" * 300,
        b"1" * 300,
        b"0\r\nx : y\r\n\r\n",
        b"0\r\nx\r\n\r\n",
        b"0\r\n" + b"x: y\r\n" * 20_000,
    ],
)
def test_bad_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        Chunked().feed(data)


def test_extensions_mean_nothing() -> None:
    body = Chunked()
    assert body.feed(b'3;a="b"\r\nabc\r\n0;x\r\n\r\n') == ([b"abc"], b"")
    assert body.done


@given(st.binary(max_size=100), CUTS)
def test_any_bytes(data: bytes, cuts: list[int]) -> None:
    try:
        read(Chunked(), data, cuts)
    except BadMessage as error:
        assert error.status in {400, 431, 501}
