"""Where the keys of JWTs come from: a small issuer on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from meshtest import certificates

from meshagent.agent.jwt_keys import MAX_DOCUMENT_BYTES, JwtKeys, KeySource
from meshagent.clock import VirtualClock
from meshagent.errors import BadRequest, Unavailable

KEYS = {"keys": [jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)]}


class Issuer:
    """Serves documents by path, and counts."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.asked: list[str] = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                body = issuer.documents.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


async def test_keys_of_the_configuration() -> None:
    keys = JwtKeys(KeySource(pems=(certificates.make_ca().pem.decode(),)), VirtualClock())
    assert len(await keys.get()) == 1
    with pytest.raises(BadRequest):
        await JwtKeys(KeySource(pems=("none",)), VirtualClock()).get()
    with pytest.raises(BadRequest, match="no keys are configured"):
        await JwtKeys(KeySource(), VirtualClock()).get()


async def test_a_key_set_is_fetched_and_kept_for_a_while(issuer: Issuer) -> None:
    issuer.documents["/keys"] = json.dumps(KEYS).encode()
    clock = VirtualClock()
    keys = JwtKeys(KeySource(jwks_url=f"{issuer.url}/keys"), clock)
    assert len(await keys.get()) == len(await keys.get()) == 1
    assert issuer.asked == ["/keys"]
    await clock.advance(301)
    await keys.get()
    assert issuer.asked == ["/keys", "/keys"]


async def test_discovery(issuer: Issuer) -> None:
    issuer.documents["/.well-known/openid-configuration"] = json.dumps({"jwks_uri": f"{issuer.url}/keys"}).encode()
    issuer.documents["/keys"] = json.dumps(KEYS).encode()
    assert len(await JwtKeys(KeySource(oidc_discovery_url=f"{issuer.url}/"), VirtualClock()).get()) == 1
    issuer.documents["/.well-known/openid-configuration"] = b"{}"
    with pytest.raises(BadRequest, match="describes no issuer"):
        await JwtKeys(KeySource(oidc_discovery_url=issuer.url), VirtualClock()).get()


async def test_an_issuer_that_fails_is_not_asked_by_everybody_at_once(issuer: Issuer) -> None:
    clock = VirtualClock()
    keys = JwtKeys(KeySource(jwks_url=f"{issuer.url}/missing"), clock)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await keys.get()
    assert len(issuer.asked) == 1
    await clock.advance(6)
    with pytest.raises(Unavailable):
        await keys.get()
    assert len(issuer.asked) == 2


async def test_only_https_and_only_so_much(issuer: Issuer) -> None:
    for url in ("http://issuer.example/keys", "file:///etc/passwd", "ftp://127.0.0.1/"):
        with pytest.raises(BadRequest, match="over https only"):
            await JwtKeys(KeySource(jwks_url=url), VirtualClock()).get()
    issuer.documents["/keys"] = bytes(MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(BadRequest, match="more than"):
        await JwtKeys(KeySource(jwks_url=f"{issuer.url}/keys"), VirtualClock()).get()
