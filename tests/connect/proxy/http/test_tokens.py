"""Tokens of requests: where they stand, which are good, what is asked of them, what goes on."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.http7 import request
from meshtest.jwts import Issuer

from meshagent.catalog.acl import jwt_tokens
from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.service_intentions import IntentionJWT, JWTProviderRef, VerifyClaim
from meshagent.catalog.entries.table import parse
from meshagent.connect.proxy.http.messages import RequestHead
from meshagent.connect.proxy.http.tokens import Found, Tokens, local_keyset

ISSUER = Issuer()
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def tokens(**fields: Any) -> Tokens:
    provider = parse(ISSUER.provider(**fields))
    assert isinstance(provider, JWTProvider)
    text = local_keyset(provider)
    assert text is not None
    keys = jwt_tokens.load_keyset(text)
    return Tokens([provider], lambda _: keys, lambda: NOW)


def required(*claims: tuple[tuple[str, ...], str], name: str = "issuer") -> IntentionJWT:
    verify = tuple(VerifyClaim(path=path, value=value) for path, value in claims)
    return IntentionJWT(providers=(JWTProviderRef(name=name, verify_claims=verify),))


def bearer(token: str) -> RequestHead:
    return request(headers=[(b"authorization", b"Bearer " + token.encode()), (b"a", b"b")])


def good(head: RequestHead, wanted: IntentionJWT | None = None, **fields: Any) -> bool:
    return tokens(**fields).of(head)(wanted or required())


def test_a_good_one() -> None:
    assert good(bearer(ISSUER.token()))


@pytest.mark.parametrize(
    "claims",
    [{"iss": "other"}, {"exp": 1_000_000_000}, {"nbf": 3_900_000_000}, {"exp": "soon"}],
)
def test_bad_ones(claims: dict[str, Any]) -> None:
    assert not good(bearer(ISSUER.token(**claims)))


def test_other_keys_no_keys_no_provider() -> None:
    assert not good(bearer(Issuer().token()))
    found = Tokens([parse(ISSUER.provider())], lambda _: None, lambda: NOW)  # type: ignore[list-item]
    assert not found.of(bearer(ISSUER.token()))(required())
    assert not good(bearer(ISSUER.token()), required(name="nobody"))


def test_no_signature_is_no_token() -> None:
    head, payload, _ = ISSUER.token().split(".")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    assert not good(bearer(f"{head}.{payload}."))
    assert not good(bearer(f"{none}.{payload}."))


def test_audiences() -> None:
    assert good(bearer(ISSUER.token(aud=["a", "b"])), Audiences=["b"])
    assert not good(bearer(ISSUER.token(aud="c")), Audiences=["b"])
    assert not good(bearer(ISSUER.token()), Audiences=["b"])
    assert good(bearer(ISSUER.token(aud="anything")))


def test_claims() -> None:
    head = bearer(ISSUER.token(role={"name": "admin"}, groups=["a", "b"], level=3, on=True))
    assert good(head, required((("role", "name"), "admin")))
    for path, value in (
        (("role",), "admin"), (("role", "other"), "x"), (("sub",), ""),
        (("groups",), "b"), (("level",), "3"), (("on",), "true"),  # not text: no match in Consul's Envoy
    ):  # fmt: skip
        assert not good(head, required((path, value)))


@pytest.mark.parametrize(
    ("location", "head"),
    [
        ({"Header": {"Name": "X-Token"}}, request(headers=[(b"x-token", b"TOKEN")])),
        ({"Header": {"Name": "X-Token", "ValuePrefix": "T "}}, request(headers=[(b"x-token", b"T TOKEN")])),
        ({"QueryParam": {"Name": "t"}}, request(b"/?a=b&t=TOKEN")),
        ({"Cookie": {"Name": "t"}}, request(headers=[(b"cookie", b"a=b; t=TOKEN")])),
    ],
)
def test_locations(location: dict[str, Any], head: RequestHead) -> None:
    token = ISSUER.token().encode()
    head.path = head.path.replace(b"TOKEN", token)
    head.headers = [(name, value.replace(b"TOKEN", token)) for name, value in head.headers]
    assert good(head, Locations=[location])
    assert not good(bearer(token.decode()), Locations=[location])


def settled(head: RequestHead, **fields: Any) -> RequestHead:
    found = tokens(**fields).of(head)
    assert isinstance(found, Found)
    assert found(required())
    found.settle()
    return head


def test_what_goes_on() -> None:
    token = ISSUER.token()
    assert settled(bearer(token)).headers == [(b"a", b"b")]
    kept = {"Header": {"Name": "Authorization", "ValuePrefix": "Bearer ", "Forward": True}}
    head = settled(bearer(token), Locations=[kept], Forwarding={"HeaderName": "X-Claims"})
    assert head.headers[0][0] == b"authorization"
    payload = dict(head.headers)[b"x-claims"]
    assert json.loads(base64.urlsafe_b64decode(payload + b"=="))["iss"] == "issuer"
    head = settled(bearer(token), Forwarding={"HeaderName": "X-Claims", "PadForwardPayloadHeader": True})
    assert len(dict(head.headers)[b"x-claims"]) % 4 == 0


def test_a_remembered_one_ends() -> None:
    moment = [NOW]
    provider = parse(ISSUER.provider())
    assert isinstance(provider, JWTProvider)
    keys = jwt_tokens.load_keyset(ISSUER.jwks)
    found = Tokens([provider], lambda _: keys, lambda: moment[0])
    head = bearer(ISSUER.token(exp=int(NOW.timestamp()) + 60))
    assert found.of(head)(required())
    assert found.of(head)(required())
    moment[0] = datetime(2031, 1, 1, tzinfo=UTC)
    assert not found.of(head)(required())


@given(st.binary(max_size=60))
def test_any_bytes(value: bytes) -> None:
    assert not good(request(headers=[(b"authorization", b"Bearer " + value)]))


def test_so_many_are_remembered_as_the_provider_says() -> None:
    provider = parse(ISSUER.provider(CacheConfig={"Size": 2}))
    assert isinstance(provider, JWTProvider)
    keys = jwt_tokens.load_keyset(local_keyset(provider) or b"")
    looked: list[str] = []

    def keys_of(one: JWTProvider) -> Any:
        looked.append(one.name)
        return keys

    found = Tokens([provider], keys_of, lambda: NOW)
    first, second, third = (bearer(ISSUER.token(jti=str(at))) for at in range(3))
    for head, checked in ((first, 1), (first, 1), (second, 2), (first, 2), (third, 3), (second, 3), (first, 4)):
        assert found.of(head)(required())
        assert len(looked) == checked
