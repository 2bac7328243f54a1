from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.acl import jwt_tokens
from meshagent.catalog.acl.jwt_tokens import JwtRules
from meshagent.errors import BadRequest, Denied

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def private(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public(key: Any) -> str:
    pem: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode()


KEYS = jwt_tokens.load_keys([public(OTHER), public(KEY)])


def at(**delta: float) -> int:
    return int((NOW + timedelta(**delta)).timestamp())


def token(**claims: Any) -> str:
    return jwt_tokens.sign({"exp": at(hours=1), **claims}, private(KEY), "ES256")


def test_any_of_the_keys_may_have_signed() -> None:
    assert jwt_tokens.verify(token(sub="x"), KEYS, JwtRules(), NOW)["sub"] == "x"
    with pytest.raises(Denied, match="no known key"):
        jwt_tokens.verify(token(), KEYS[:1], JwtRules(), NOW)


def test_a_public_key_is_no_shared_secret_and_none_is_no_signature() -> None:
    import base64

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    unsigned = f"{part({'alg': 'none'})}.{part({'exp': at(hours=1)})}."
    with pytest.raises(Denied):
        jwt_tokens.verify(unsigned, KEYS, JwtRules(algorithms=("none", "HS256", "ES256")), NOW)


def test_only_the_algorithms_that_are_wanted() -> None:
    with pytest.raises(Denied):
        jwt_tokens.verify(token(), KEYS, JwtRules(algorithms=("RS256",)), NOW)


@pytest.mark.parametrize(
    ("claims", "rules", "word"),
    [
        ({"exp": at(minutes=-4)}, JwtRules(), "expired"),
        ({"exp": at(seconds=-70)}, JwtRules(expiration_leeway_s=-1), "expired"),
        ({"exp": at(seconds=-2)}, JwtRules(expiration_leeway_s=-1, clock_skew_s=-1), "expired"),
        ({"nbf": at(minutes=5)}, JwtRules(), "not valid yet"),
        ({"iss": "me"}, JwtRules(bound_issuer="you"), "issuer"),
        ({"aud": "me"}, JwtRules(bound_audiences=("you",)), "audience"),
        ({}, JwtRules(bound_audiences=("you",)), "audience"),
        ({"aud": ["me"]}, JwtRules(), "none is bound"),
        ({"exp": "soon"}, JwtRules(), "no time"),
        ({"exp": True}, JwtRules(), "no time"),
        ({"exp": -1}, JwtRules(), "no time"),
    ],
)
def test_what_is_refused(claims: dict[str, Any], rules: JwtRules, word: str) -> None:
    with pytest.raises(Denied, match=word):
        jwt_tokens.verify(token(**claims), KEYS, rules, NOW)


@pytest.mark.parametrize(
    ("claims", "rules"),
    [
        ({"exp": at(minutes=-3)}, JwtRules()),  # 150 s of leeway and 60 s of clocks
        ({"nbf": at(minutes=3)}, JwtRules()),
        ({"iss": "me", "aud": ["a", "b"]}, JwtRules(bound_issuer="me", bound_audiences=("b", "c"))),
    ],
)
def test_what_is_taken(claims: dict[str, Any], rules: JwtRules) -> None:
    assert jwt_tokens.verify(token(**claims), KEYS, rules, NOW)


def test_a_token_without_any_time_is_none() -> None:
    timeless = jwt_tokens.sign({"sub": "x"}, private(KEY), "ES256")
    with pytest.raises(Denied, match="no issue time"):
        jwt_tokens.verify(timeless, KEYS, JwtRules(), NOW)
    issued = jwt_tokens.sign({"iat": at(minutes=-5)}, private(KEY), "ES256")
    with pytest.raises(Denied, match="expired"):
        jwt_tokens.verify(issued, KEYS, JwtRules(), NOW)


def test_claims_become_texts() -> None:
    claims = {"a": {"b": 1}, "t": True, "f": 2.0, "g": 2.5, "groups": ["x", 3, False], "one": "y", "odd": {}}
    found = jwt_tokens.mapped(
        claims,
        {"/a/b": "n", "t": "t", "f": "f", "g": "g", "missing": "m", "/a/b/c": "deep"},
        {"groups": "gs", "one": "os", "none": "ns"},
    )
    assert found.value == {"n": "1", "t": "true", "f": "2", "g": "2.5"}
    assert found.list == {"gs": ("x", "3", "false"), "os": ("y",)}
    for values, lists in (({"odd": "o"}, {}), ({}, {"odd": "o"})):
        with pytest.raises(Denied):
            jwt_tokens.mapped(claims, values, lists)


def test_keys_of_every_form() -> None:
    from meshtest import certificates

    authority = certificates.make_ca()
    assert len(jwt_tokens.load_keys([public(rsa.generate_private_key(65537, 2048)), authority.pem.decode()])) == 2
    with pytest.raises(BadRequest):
        jwt_tokens.load_keys(["no key"])
    import jwt

    row = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    (key,) = jwt_tokens.load_keyset(json.dumps({"keys": [row]}).encode())
    assert jwt_tokens.verify(token(), [key], JwtRules(), NOW)
    for data in (b"", b"{}", b"[]", b'{"keys": 1}', b"\xff"):
        with pytest.raises(BadRequest):
            jwt_tokens.load_keyset(data)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_any_text_is_refused_in_our_words(text: str) -> None:
    assert jwt_tokens.unverified(text) == {}
    with pytest.raises(Denied):
        jwt_tokens.verify(text, KEYS, JwtRules(), NOW)


def test_a_token_that_is_too_long_is_not_looked_at() -> None:
    with pytest.raises(Denied, match="too long"):
        jwt_tokens.verify("x" * (jwt_tokens.MAX_TOKEN_BYTES + 1), KEYS, JwtRules(), NOW)
    assert jwt_tokens.unverified("x" * (jwt_tokens.MAX_TOKEN_BYTES + 1)) == {}
