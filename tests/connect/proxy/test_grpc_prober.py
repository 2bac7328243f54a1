"""What an answer of gRPC's health service means; the connection is in tests/e2e/test_grpc_sidecars.py."""

from __future__ import annotations

import pytest

from meshagent.connect.proxy.grpc_prober import Call
from meshagent.connect.proxy.http.messages import Headers, ResponseHead
from meshagent.connect.proxy.http.streams import Reset

OK: Headers = [(b"grpc-status", b"0")]


def said(status: int, body: bytes, trailers: Headers | None) -> str:
    told: list[str] = []
    call = Call(told.append)
    head = call.head("api")
    assert (head.method, head.path, head.authority) == (b"POST", b"/grpc.health.v1.Health/Check", b"api")
    if trailers is not None and not body:
        call.on_head(ResponseHead(status, trailers), True)
    else:
        call.on_head(ResponseHead(status, []), False)
        if body:
            call.on_data(body, trailers is None)
        if trailers is not None:
            call.on_trailers(trailers)
    return told[0]


@pytest.mark.parametrize(
    ("status", "body", "trailers", "why"),
    [
        (200, b"\0\0\0\0\2\x08\x01", OK, ""),
        (200, b"\0\0\0\0\2\x08\x02", OK, "it is NOT_SERVING"),
        (200, b"\0\0\0\0\0", OK, "it is UNKNOWN"),
        (200, b"\0\0\0\0\2\x08\x01", [(b"grpc-status", b"14")], "gRPC status Unavailable"),
        (200, b"", [(b"grpc-status", b"12")], "gRPC status Unimplemented"),
        (200, b"\0\0\0\0\2\x08\x01", [], "gRPC status missing"),
        (200, b"\0\0\0\0\2\x08\x01", None, "the answer has no status"),
        (200, b"x" * 5000, OK, "the answer has no status"),
        (503, b"", OK, "answered 503"),
        (200, b"nonsense", OK, "a compressed gRPC message"),
    ],
)
def test_answers(status: int, body: bytes, trailers: Headers | None, why: str) -> None:
    assert said(status, body, trailers).startswith(why)
    assert bool(said(status, body, trailers)) is bool(why)


def test_no_answer() -> None:
    told: list[str] = []
    Call(told.append).on_reset(Reset.CONNECTION_LOST)
    assert told == ["no answer: connection_termination"]
