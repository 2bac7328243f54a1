"""Heads of messages."""

from __future__ import annotations

from meshagent.connect.proxy.http.messages import RequestHead, get, without


def test_headers_by_name() -> None:
    headers = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    assert get(headers, b"a") == b"1"
    assert get(headers, b"c") is None
    assert without(headers, b"a", b"c") == [(b"b", b"2")]


def test_a_copy_has_headers_of_its_own() -> None:
    head = RequestHead(b"GET", b"http", b"api", b"/", [(b"a", b"1")], length=3)
    other = head.copy()
    assert other == head
    other.headers.append((b"b", b"2"))
    assert len(head.headers) == 1
