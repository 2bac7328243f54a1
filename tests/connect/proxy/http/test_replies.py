"""Answers of the proxy's own: Envoy's bodies and flags, gRPC's words."""

from __future__ import annotations

import pytest
from meshtest.http7 import request

from meshagent.connect.proxy.http import replies
from meshagent.connect.proxy.http.hooks import LocalReply
from meshagent.connect.proxy.http.streams import Reset


@pytest.mark.parametrize("why", list(Reset))
def test_every_reset_has_an_answer(why: Reset) -> None:
    reply = replies.of_reset(why)
    assert reply.status in {502, 503}
    assert reply.flag
    assert reply.body.startswith(b"upstream connect error or disconnect/reset before headers. reset reason: ")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"application/grpc;x=y", True),
        (b"application/grpc-web", False),
        (b"text/plain", False),
    ],
)
def test_what_grpc_is(kind: bytes, expected: bool) -> None:
    assert replies.is_grpc(request(headers=[(b"content-type", kind)])) is expected


def test_plain_and_grpc_answers() -> None:
    head, body = replies.as_answer(replies.DENIED, request())
    assert (head.status, body) == (403, b"RBAC: access denied")
    assert head.headers == [(b"content-length", b"19"), (b"content-type", b"text/plain")]
    grpc = request(headers=[(b"content-type", b"application/grpc")])
    head, body = replies.as_answer(LocalReply(403, "né\n%".encode()), grpc)
    assert (head.status, body) == (200, b"")
    assert head.headers[1:] == [(b"grpc-status", b"7"), (b"grpc-message", b"n%C3%A9%0A%25")]
    assert replies.as_answer(LocalReply(429, grpc_status=8), grpc)[0].headers[1] == (b"grpc-status", b"8")
