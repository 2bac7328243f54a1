"""What a gateway says of a request that comes from outside; its listener is in tests/e2e/test_gateways.py."""

from __future__ import annotations

import pytest
from meshtest.http7 import request

from meshagent.connect.proxy.http.edge import come_from_outside
from meshagent.connect.proxy.http.messages import get


@pytest.mark.parametrize(
    ("address", "before", "found"),
    [
        ("10.0.0.1:5000", None, b"10.0.0.1"),
        ("10.0.0.1:5000", b"1.2.3.4", b"1.2.3.4, 10.0.0.1"),
        ("[::ffff:10.0.0.1]:5000", None, b"10.0.0.1"),
        ("[fe80::1%eth0]:5000", None, b"fe80::1"),
        ("", b"1.2.3.4", b"1.2.3.4"),
    ],
)
def test_the_client_is_the_last_of_those_who_passed_it_on(address: str, before: bytes | None, found: bytes) -> None:
    head = request(headers=[(b"x-forwarded-for", before)] if before else [])
    come_from_outside(head, b"http", address)
    assert get(head.headers, b"x-forwarded-for") == found


def test_a_client_cannot_say_what_the_gateway_knows() -> None:
    forged = [(b"x-forwarded-proto", b"https"), (b"x-forwarded-client-cert", b"By=evil"), (b"x-own", b"1")]
    head = request(headers=forged)
    come_from_outside(head, b"http", "10.0.0.1:1")
    assert head.headers == [(b"x-own", b"1"), (b"x-forwarded-proto", b"http"), (b"x-forwarded-for", b"10.0.0.1")]
