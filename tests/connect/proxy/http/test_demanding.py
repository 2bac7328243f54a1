"""Routes that demand a token."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from meshtest.http7 import World, request
from meshtest.jwts import Issuer

from meshagent.catalog.acl import jwt_tokens
from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.service_intentions import IntentionJWT, JWTProviderRef
from meshagent.catalog.entries.table import parse
from meshagent.connect.proxy.http.demanding import demand
from meshagent.connect.proxy.http.tokens import Tokens

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ISSUER = Issuer()
WANTED = IntentionJWT(providers=(JWTProviderRef(name="issuer"),))


def tokens() -> Tokens:
    provider = parse(ISSUER.provider())
    assert isinstance(provider, JWTProvider)
    keys = jwt_tokens.load_keyset(ISSUER.jwks)
    return Tokens([provider], lambda _: keys, lambda: NOW)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [(ISSUER.token(), 200), (ISSUER.token(exp=1), 401), (Issuer().token(), 401), ("a.b.c", 401), ("", 401)],
)
def test_only_a_good_token_lets_a_request_go_on(authorization: str, status: int) -> None:
    world = World()
    world.route(check=demand(WANTED, tokens))
    headers = [(b"authorization", f"Bearer {authorization}".encode())] if authorization else []
    client = world.ask(request(headers=headers))
    if not client.status:
        world.requests[-1].answer(200)
    assert client.status == status
