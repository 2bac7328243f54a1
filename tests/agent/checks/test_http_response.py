import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.checks.http_response import MAX_BODY_BYTES, MAX_HEADER_BYTES, ResponseReader
from meshagent.agent.checks.probe import ProbeFailed


def read(data, max_bytes=4096, *, head=False, eof=False):
    reader = ResponseReader(max_bytes, head=head)
    reader.feed(data)
    if eof and not reader.done:
        reader.feed_eof()
    return reader


def shown(reader):
    return reader.done, reader.status, reader.body.text()


def test_a_body_by_length():
    reader = ResponseReader(4096)
    assert not reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
    assert reader.has_headers
    assert reader.feed(b"lo")
    assert shown(reader) == (True, "200 OK", "hello")


def test_a_chunked_body():
    data = b"HTTP/1.1 429 Too Many Requests\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert shown(read(data)) == (True, "429 Too Many Requests", "abcde")


def test_a_body_until_the_end_of_the_connection():
    assert shown(read(b"HTTP/1.0 200 OK\r\n\r\nall", eof=True)) == (True, "200 OK", "all")


def test_a_status_without_a_reason():
    assert read(b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n").status == "404"


def test_responses_without_a_body():
    assert read(b"HTTP/1.1 204 No Content\r\n\r\n").done
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", head=True).done


def test_interim_responses_are_skipped():
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLocation: /no\r\n\r\n"
    reader = read(data)
    assert not reader.has_headers
    assert reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    assert (*shown(reader), reader.location) == (True, "200 OK", "x", None)


def test_switching_protocols_is_an_answer():
    assert shown(read(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nzzz"))[:2] == (
        True,
        "101 Switching Protocols",
    )


def test_location_is_read():
    assert read(b"HTTP/1.1 302 Found\r\nLOCATION:  /a b \r\n\r\n").location == "/a b"


def test_the_tail_of_a_long_body_is_kept():
    """K5: Consul keeps the tail, and does not say so."""
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"
    assert shown(read(data, max_bytes=4)) == (True, "200 OK", "6789")


def test_an_endless_body_is_not_read_to_the_end():
    reader = ResponseReader(100)
    assert not reader.feed(b"HTTP/1.1 200 OK\r\n\r\n")
    fed = 0
    while not reader.feed(b"x" * 10_000):
        fed += 10_000
        assert fed <= MAX_BODY_BYTES
    assert reader.body.text() == "x" * 100


def test_endless_headers_are_refused():
    reader = ResponseReader(100)
    reader.feed(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(ProbeFailed, match=f"server response headers exceeded {MAX_HEADER_BYTES} bytes; aborted"):
        for n in range(MAX_HEADER_BYTES // 10):
            reader.feed(b"X-%07d: y\r\n" % n)


def test_what_is_no_http_is_quoted():
    with pytest.raises(ProbeFailed) as failed:
        read(b'SSH-2.0-"x"\r\n')
    assert str(failed.value) == (
        'net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0-\\"x\\""'
    )


def test_a_broken_body_keeps_its_status():
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    assert shown(read(data)) == (True, "200 OK", "")


@pytest.mark.parametrize(("data", "message"), [(b"", "EOF"), (b"HTTP/1.1 2", "unexpected EOF")])
def test_an_early_end(data, message):
    reader = ResponseReader(100)
    if data:
        reader.feed(data)
    with pytest.raises(ProbeFailed) as failed:
        reader.feed_eof()
    assert str(failed.value) == message


def consume(pieces, max_bytes):
    reader = ResponseReader(max_bytes)
    for piece in pieces:
        if piece and reader.feed(piece):
            return reader
    reader.feed_eof()
    return reader


@given(st.lists(st.binary(max_size=60)), st.integers(1, 100))
def test_any_bytes_end_in_a_response_or_are_refused(pieces, size):
    try:
        reader = consume(pieces, size)
    except ProbeFailed as error:
        assert str(error)
        return
    assert reader.done
    assert 0 <= reader.code <= 999


@given(st.data(), st.binary(max_size=200), st.sampled_from([200, 204, 302, 429, 500]), st.booleans())
def test_slicing_does_not_matter(data, body, code, chunked):
    if chunked:
        parts = b"".join(b"%x\r\n%s\r\n" % (len(body[n : n + 7]), body[n : n + 7]) for n in range(0, len(body), 7))
        wire = b"HTTP/1.1 %d Reason\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % (code, parts)
    else:
        wire = b"HTTP/1.1 %d Reason\r\nContent-Length: %d\r\n\r\n%s" % (code, len(body), body)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=5)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    reader = consume(pieces, 50)
    assert reader.status == f"{code} Reason"
    assert reader.body.bytes() == (b"" if code == 204 else body[-50:])


@given(st.binary(max_size=120))
def test_anything_behind_a_good_start(rest):
    try:
        consume([b"HTTP/1.1 200 OK\r\n", rest], 10)
    except ProbeFailed as error:
        assert str(error)
