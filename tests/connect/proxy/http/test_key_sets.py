"""Keys of JWT providers: in the entry, in a file, at an address."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from meshtest.documents import Documents
from meshtest.meshcerts import TrustDomain

from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.table import parse
from meshagent.clock import Tasks, VirtualClock
from meshagent.connect.proxy.http.key_sets import KeySets, pause_after, trusted_context
from meshagent.errors import Unavailable


def keyset(count: int = 1) -> bytes:
    keys = [ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(count)]
    return json.dumps({"keys": [jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True) for key in keys]}).encode()


def provider(**keys: Any) -> JWTProvider:
    entry = parse({"Kind": "jwt-provider", "Name": "p", "Issuer": "i", "JSONWebKeySet": keys})
    assert isinstance(entry, JWTProvider)
    return entry


@pytest.fixture
def host() -> Iterator[Documents]:
    made = Documents()
    yield made
    made.close()


async def until(what: Callable[[], object], clock: VirtualClock | None = None, step_s: float = 3.0) -> None:
    """Wait for it, letting virtual time pass meanwhile: a fetch runs in a thread, and sleeps only when it has ended."""
    async with asyncio.timeout(60):
        while not what():
            await asyncio.sleep(0.001)
            if clock is not None:
                await clock.advance(step_s)


async def test_keys_in_the_entry_and_in_a_file_are_there_at_once(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(keyset(2))
    sets = KeySets(VirtualClock(), Tasks())
    for given, count in (
        ({"Local": {"JWKS": base64.b64encode(keyset()).decode()}}, 1),
        ({"Local": {"Filename": str(tmp_path / "keys")}}, 2),
    ):
        one = provider(**given)
        sets.follow([one])
        assert len(sets.of(one) or ()) == count
    sets.follow([])
    assert sets.of(one) is None
    endless = provider(Local={"Filename": "/dev/zero"})
    sets.follow([endless])
    assert sets.of(endless) is None


@pytest.mark.parametrize("text", [b"nothing", b"[]", b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'])
async def test_what_holds_no_public_key_gives_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "keys").write_bytes(text)
    sets = KeySets(VirtualClock(), Tasks())
    one = provider(Local={"Filename": str(tmp_path / "keys")})
    sets.follow([one])
    assert not sets.of(one)


async def test_keys_at_an_address_are_fetched_again_and_kept_while_they_cannot_be(host: Documents) -> None:
    clock, tasks = VirtualClock(), Tasks()
    sets = KeySets(clock, tasks)
    one = provider(Remote={"URI": f"{host.url}/keys", "CacheDuration": "60s"})
    sets.follow([one])
    assert sets.of(one) is None
    await until(lambda: host.asked)
    host.documents["/keys"] = keyset()
    await until(lambda: sets.of(one), clock)
    del host.documents["/keys"]
    asked = len(host.asked)
    await until(lambda: len(host.asked) > asked, clock, 61.0)
    assert len(sets.of(one) or ()) == 1
    host.documents["/keys"] = keyset(2)
    await until(lambda: len(sets.of(one) or ()) == 2, clock)
    await tasks.cancel()


SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("policy", "pauses"),
    [
        (None, [2.0, 2.0]),
        ({"NumRetries": 2}, [1.0, 2.0, 2.0]),
        (
            {"NumRetries": 9, "RetryPolicyBackOff": {"BaseInterval": SECOND // 2, "MaxInterval": 3 * SECOND}},
            [0.5, 1.0, 2.0, 3.0, 3.0],
        ),
    ],
)
def test_pauses_between_fetches(policy: dict[str, Any] | None, pauses: list[float]) -> None:
    remote = {"URI": "https://keys", **({} if policy is None else {"RetryPolicy": policy})}
    keys = provider(Remote=remote).json_web_key_set
    assert keys is not None
    assert keys.remote is not None
    assert [pause_after(keys.remote.retry_policy, at) for at in range(len(pauses))] == pauses


PEM = TrustDomain().root.decode()


@pytest.mark.parametrize(
    "trusted",
    [
        {"InlineString": PEM},
        {"EnvironmentVariable": "TRUSTED_KEYS_CA"},
        {"InlineBytes": base64.b64encode(PEM.encode()).decode()},
        {"InlineBytes": PEM},
    ],
)
def test_the_authority_of_the_key_server(trusted: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_KEYS_CA", PEM)
    assert context_of(trusted).get_ca_certs()


def test_an_authority_that_is_not_there_is_not_replaced_by_the_systems() -> None:
    with pytest.raises(Unavailable, match="is empty"):
        context_of({"EnvironmentVariable": "NOBODY_HAS_SET_THIS"})


def context_of(trusted: dict[str, str]) -> ssl.SSLContext:
    cluster = {"TLSCertificates": {"TrustedCA": trusted}}
    keys = provider(Remote={"URI": "https://keys", "JWKSCluster": cluster}).json_web_key_set
    assert keys is not None
    assert keys.remote is not None
    assert keys.remote.jwks_cluster is not None
    return trusted_context(keys.remote.jwks_cluster.tls_certificates)
