from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from meshagent.agent.http.putpath import parse_plain_put
from meshagent.agent.http.target import parse_target

LIMIT = 1000
PLAIN = (
    b"PUT /v1/kv/a/b HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8\r\nAccept: */*\r\nContent-Length: 3\r\n\r\none"
)


def as_aiohttp_reads(data: bytes) -> tuple[str, str, bytes] | None:
    """Method, path and body when aiohttp sees exactly one whole request."""
    loop = asyncio.new_event_loop()
    try:
        protocol = BaseProtocol(loop)
        parser = HttpRequestParser(protocol, loop, 2**16, max_line_size=2**16, max_field_size=2**16)
        try:
            messages, upgraded, _ = parser.feed_data(data)
        except HttpProcessingError:
            return None
        if len(messages) != 1 or upgraded:
            return None
        message, payload = messages[0]
        if not payload.is_eof() and payload.total_bytes:
            return None
        body = bytes(payload.read_nowait()) if payload.total_bytes else b""
        return message.method, message.path, body
    finally:
        loop.close()


def test_kv5_plain_put() -> None:
    assert parse_plain_put(PLAIN, LIMIT) == ("a/b", b"one")
    assert parse_plain_put(PLAIN, 2) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"/v1/kv/a/b", b"/v1/kv/"),
        (b"/v1/kv/a/b", b"/v1/kv/a?cas=0"),
        (b"/v1/kv/a/b", b"/v1/kv/a%20b"),
        (b"/v1/kv/a/b", b"/v1/kv/a//b"),
        (b"/v1/kv/a/b", b"/v1/kv/../b"),
        (b"/v1/kv/a/b", b"/v1/kv/a/.."),
        (b"/v1/kv/a/b", b"/v1/kv/."),
        (b"/v1/kv/a/b", b"/v1/kv/./b"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"PUT", b"POST"),
        (b"Host: localhost\r\n", b""),
        (b"Accept: */*", b"Accept: */*\r\nAccept: */*"),
        (b"Accept: */*", b"Expect: 100-continue"),
        (b"Accept: */*", b"Transfer-Encoding: chunked"),
        (b"Accept: */*", b"Connection: close"),
        (b"Accept: */*", b"Upgrade: h2c"),
        (b"Accept: */*", b"X-Consul-Token: x"),
        (b"Accept: */*", b"X-Consul-Namespace: x"),
        (b"Accept: */*", b" folded"),
        (b"Accept: */*", b"Accept : x"),
        (b"Accept: */*", b"Accept: a\x00b"),
        (b"Content-Length: 3", b"Content-Length: 03"),
        (b"Content-Length: 3", b"Content-Length: +3"),
        (b"Content-Length: 3", b"Content-Length: 3, 3"),
        (b"Content-Length: 3", b"Content-Length: 2"),
        (b"Content-Length: 3", b"Content-Length: 4"),
        (b"Content-Length: 3", b"Content-Type: x"),
        (b"\r\n", b"\n"),
    ],
)
def test_everything_else_is_passed_on(old: bytes, new: bytes) -> None:
    assert parse_plain_put(PLAIN.replace(old, new), LIMIT) is None


@pytest.mark.parametrize("key", ["a", "dir/", "...", "a..b", "..a", ".a/b.", "a:b@c~d-e_f.0"])
def test_plain_keys(key: str) -> None:
    assert parse_plain_put(PLAIN.replace(b"a/b", key.encode()), LIMIT) == (key, b"one")


pieces = st.sampled_from(
    [
        b"PUT ", b"/v1/kv/", b"a", b"/", b"..", b".", b"%2f", b"?x", b" HTTP/1.1", b"\r\n", b"Host: x", b"Host: y",
        b"Content-Length: 0", b"Content-Length: 1", b"Content-Length: 2", b"Connection: keep-alive",
        b"Connection: close", b"Accept: */*", b"Transfer-Encoding: chunked", b"\r\n\r\n", b"x", b"xy", b"\x00",
        b"\xff", b": ", b"GET / HTTP/1.1",
    ]
)  # fmt: skip
requests = st.one_of(
    st.binary(max_size=80),
    st.lists(pieces, max_size=14).map(b"".join),
    st.builds(
        lambda path, headers, body: (
            b"PUT /v1/kv/" + path + b" HTTP/1.1\r\n" + b"\r\n".join(headers) + b"\r\n\r\n" + body
        ),
        st.text(alphabet="ab/._-:%?", max_size=8).map(str.encode),
        st.lists(pieces, max_size=5).map(lambda lines: [b"Host: x", *lines]),
        st.binary(max_size=3),
    ),
)


@given(requests)
@example(PLAIN)
@example(PLAIN + b"x")
def test_what_is_taken_aiohttp_reads_the_same(data: bytes) -> None:
    found = parse_plain_put(data, LIMIT)
    if found is None:
        return
    key, value = found
    assert as_aiohttp_reads(data) == ("PUT", f"/v1/kv/{key}", value)
    target = parse_target(f"/v1/kv/{key}")
    assert target.clean
    assert target.printable
    assert target.path == f"/v1/kv/{key}"


def test_the_memory_of_header_blocks_is_bounded() -> None:
    from meshagent.agent.http import putpath

    for number in range(putpath._MAX_BLOCKS + 10):
        agent_line = f"User-Agent: {number}".encode()
        assert parse_plain_put(PLAIN.replace(b"User-Agent: curl/8", agent_line), LIMIT) is not None
    assert len(putpath._blocks) <= putpath._MAX_BLOCKS


def test_long_heads_are_passed_on() -> None:
    padding: Any = b"User-Agent: " + b"x" * 2000
    assert parse_plain_put(PLAIN.replace(b"User-Agent: curl/8", padding), LIMIT) is None
