"""Keys of JWT providers: in the entry, in a file, at an address."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from meshtest.documents import Documents

from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.table import parse
from meshagent.clock import Tasks, VirtualClock
from meshagent.connect.proxy.http.key_sets import KeySets


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


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not what():
            await asyncio.sleep(0.001)


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


@pytest.mark.parametrize("text", [b"nothing", b"[]", b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'])
async def test_what_holds_no_public_key_gives_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "keys").write_bytes(text)
    sets = KeySets(VirtualClock(), Tasks())
    one = provider(Local={"Filename": str(tmp_path / "keys")})
    sets.follow([one])
    assert not sets.of(one)


async def passes(clock: VirtualClock, condition: Callable[[], Any]) -> None:
    """Let time pass until that holds: an answer comes in real time, the next try is a timer set behind it."""
    async with asyncio.timeout(60):
        while not condition():
            await clock.advance(3)
            await asyncio.sleep(0.005)


async def test_keys_at_an_address_are_fetched_again_and_kept_while_they_cannot_be(host: Documents) -> None:
    clock, tasks = VirtualClock(), Tasks()
    sets = KeySets(clock, tasks)
    one = provider(Remote={"URI": f"{host.url}/keys", "CacheDuration": "60s"})
    sets.follow([one])
    assert sets.of(one) is None
    await until(lambda: host.asked)
    host.documents["/keys"] = keyset()
    await passes(clock, lambda: sets.of(one))
    del host.documents["/keys"]
    asked = len(host.asked)
    await passes(clock, lambda: len(host.asked) > asked)
    assert len(sets.of(one) or ()) == 1
    host.documents["/keys"] = keyset(2)
    await passes(clock, lambda: len(sets.of(one) or ()) == 2)
    await tasks.cancel()
