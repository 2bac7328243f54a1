"""Where the keys of JWTs come from: a small issuer on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from meshtest import certificates
from meshtest.documents import Documents

from meshagent.agent.jwt_keys import JwtKeys, KeySource
from meshagent.clock import VirtualClock
from meshagent.documents import MAX_BYTES
from meshagent.errors import BadRequest, Unavailable

KEYS = {"keys": [jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)]}


@pytest.fixture
def issuer() -> Iterator[Documents]:
    made = Documents()
    yield made
    made.close()


async def test_keys_of_the_configuration() -> None:
    keys = JwtKeys(KeySource(pems=(certificates.make_ca().pem.decode(),)), VirtualClock())
    assert len(await keys.get()) == 1
    with pytest.raises(BadRequest):
        await JwtKeys(KeySource(pems=("none",)), VirtualClock()).get()
    with pytest.raises(BadRequest, match="no keys are configured"):
        await JwtKeys(KeySource(), VirtualClock()).get()


async def test_a_key_set_is_fetched_and_kept_for_a_while(issuer: Documents) -> None:
    issuer.documents["/keys"] = json.dumps(KEYS).encode()
    clock = VirtualClock()
    keys = JwtKeys(KeySource(jwks_url=f"{issuer.url}/keys"), clock)
    assert len(await keys.get()) == len(await keys.get()) == 1
    assert issuer.asked == ["/keys"]
    await clock.advance(301)
    await keys.get()
    assert issuer.asked == ["/keys", "/keys"]


async def test_discovery(issuer: Documents) -> None:
    issuer.documents["/.well-known/openid-configuration"] = json.dumps(
        {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
    ).encode()
    issuer.documents["/keys"] = json.dumps(KEYS).encode()
    assert len(await JwtKeys(KeySource(oidc_discovery_url=f"{issuer.url}/"), VirtualClock()).get()) == 1
    issuer.documents["/.well-known/openid-configuration"] = b"{}"
    with pytest.raises(BadRequest, match="describes no issuer"):
        await JwtKeys(KeySource(oidc_discovery_url=issuer.url), VirtualClock()).get()


async def test_an_issuer_that_is_another_is_not_believed(issuer: Documents) -> None:
    found = {"issuer": "https://elsewhere", "jwks_uri": f"{issuer.url}/keys"}
    issuer.documents["/.well-known/openid-configuration"] = json.dumps(found).encode()
    with pytest.raises(BadRequest, match="calls itself 'https://elsewhere'"):
        await JwtKeys(KeySource(oidc_discovery_url=issuer.url), VirtualClock()).get()


async def test_an_issuer_that_fails_is_not_asked_by_everybody_at_once(issuer: Documents) -> None:
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


async def test_only_https_and_only_so_much(issuer: Documents) -> None:
    for url in ("http://issuer.example/keys", "file:///etc/passwd", "ftp://127.0.0.1/"):
        with pytest.raises(BadRequest, match="over https only"):
            await JwtKeys(KeySource(jwks_url=url), VirtualClock()).get()
    issuer.documents["/keys"] = bytes(MAX_BYTES + 1)
    with pytest.raises(BadRequest, match="more than"):
        await JwtKeys(KeySource(jwks_url=f"{issuer.url}/keys"), VirtualClock()).get()
