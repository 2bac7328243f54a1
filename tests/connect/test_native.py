"""A native service's parts without an agent; with one it is tests/e2e/test_native.py."""

from __future__ import annotations

import ssl

import pytest
from meshtest.meshcerts import TrustDomain

from meshagent.connect.native import MeshService, _checking, _context, uri_of
from meshagent.errors import Unavailable

TD = TrustDomain()


@pytest.mark.parametrize(
    ("certificate", "uri"),
    [
        (None, ""),
        ({}, ""),
        ({"subjectAltName": (("DNS", "x"), ("URI", "spiffe://a"))}, "spiffe://a"),
        ({"subjectAltName": (("URI", "spiffe://a"), ("URI", "spiffe://b"))}, ""),
    ],
)
def test_only_one_uri_is_an_identity(certificate: object, uri: str) -> None:
    assert uri_of(certificate) == uri


async def test_before_there_is_anything_it_says_so() -> None:
    with pytest.raises(Unavailable, match="there is no leaf certificate of web yet"):
        MeshService("web").client_context("api")


@pytest.mark.parametrize(("problem", "ready"), [("", True), ("not you", False)])
def test_a_handshake_ends_with_the_check(problem: str, ready: bool) -> None:
    seen: list[str] = []

    def check(uri: str) -> str:
        seen.append(uri)
        return problem

    server_side = _context(ssl.PROTOCOL_TLS_SERVER, TD.snapshot("api"))
    client_side = _context(ssl.PROTOCOL_TLS_CLIENT, TD.snapshot("web"))
    client_side.sslobject_class = _checking(check)
    wires = [ssl.MemoryBIO() for _ in range(2)]
    client = client_side.wrap_bio(wires[0], wires[1])
    server = server_side.wrap_bio(wires[1], wires[0], server_side=True)
    outcome = True
    for _ in range(3):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                assert problem in str(error)
                outcome = False
    assert seen[0] == TD.identity("api")
    assert outcome is ready
