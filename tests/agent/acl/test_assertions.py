"""Tokens of strangers: signatures, claims, times, and what is mapped."""

from __future__ import annotations

import hmac
import time
from collections.abc import Sequence
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm
from jwt.utils import base64url_encode

from meshagent.agent.acl.assertions import mapped, parse_keys, static_keys, verified
from meshagent.errors import InternalError

NOW = 1_800_000_000.0
EC = generate_private_key(SECP256R1())
ED = Ed25519PrivateKey.generate()
OTHER = generate_private_key(SECP256R1())


def public(key: Any) -> str:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


KEYS = static_keys([public(EC)])
CONFIG: dict[str, Any] = {"JWTSupportedAlgs": ["ES256"], "BoundIssuer": "me", "BoundAudiences": ["us"]}
CLAIMS: dict[str, Any] = {"iss": "me", "aud": ["us", "them"], "iat": NOW, "exp": NOW + 600}


def signed(claims: dict[str, Any], key: Any = EC, algorithm: str = "ES256", **header: Any) -> str:
    return jwt.encode(claims, key, algorithm, headers=header)


def check(token: str, keys: Sequence[Any] = KEYS, **config: Any) -> dict[str, Any]:
    return verified(token, keys, {**CONFIG, **config}, NOW)


def test_a_good_token_gives_its_claims() -> None:
    assert check(signed(CLAIMS, kid="any", zork="x")) == CLAIMS
    keys = static_keys([public(OTHER), public(ED)])
    assert check(signed(CLAIMS, ED, "EdDSA"), keys, JWTSupportedAlgs=["EdDSA"]) == CLAIMS


def test_a_key_set_holds_no_shared_secrets() -> None:
    secret = {"kty": "oct", "k": "c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M"}
    document = msgspec.json.encode({"keys": [ECAlgorithm.to_jwk(EC.public_key(), as_dict=True), secret]})
    keys = parse_keys(document)
    assert len(keys) == 1
    assert check(signed(CLAIMS), keys) == CLAIMS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"iss": "other"}, "invalid issuer"),
        ({"aud": "other"}, "does not match any bound audience"),
        ({"aud": 5}, "does not match any bound audience"),
        ({"exp": NOW - 100}, "expired"),
        ({"nbf": NOW + 100}, "not valid yet"),
        ({"exp": "soon"}, "exp is not a number"),
        ({"exp": True}, "exp is not a number"),
        ({"iat": None, "exp": None}, "no issue time"),
    ],
)
def test_claims_that_do_not_do(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InternalError, match=words):
        check(signed({**CLAIMS, **change}))


def test_clocks_may_differ_a_little() -> None:
    assert check(signed({**CLAIMS, "exp": NOW - 30}))
    with pytest.raises(InternalError, match="expired"):
        check(signed({**CLAIMS, "exp": NOW - 30}), ClockSkewLeeway="-1s")
    assert check(signed({**CLAIMS, "exp": NOW - 300}), ClockSkewLeeway="10m")


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "..", "a" * 70_000])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(InternalError):
        check(token)


def test_a_strange_key_and_a_strange_algorithm_are_refused() -> None:
    with pytest.raises(InternalError, match="signature"):
        check(signed(CLAIMS, OTHER))
    with pytest.raises(InternalError, match="signature"):
        check(signed(CLAIMS, ED, "EdDSA"), static_keys([public(ED)]))
    # The public key as a shared secret: the oldest attack on such tokens.
    parts = [base64url_encode(msgspec.json.encode(one)) for one in ({"alg": "HS256", "typ": "JWT"}, CLAIMS)]
    mac = hmac.digest(public(EC).encode(), b".".join(parts), "sha256")
    with pytest.raises(InternalError, match="signature"):
        check(b".".join([*parts, base64url_encode(mac)]).decode(), JWTSupportedAlgs=["ES256", "HS256"])
    header = "eyJhbGciOiJub25lIn0."
    with pytest.raises(InternalError):
        check(header + signed(CLAIMS).split(".")[1] + ".")


def test_the_nonce_binds_a_token_to_a_login() -> None:
    token = signed({**CLAIMS, "nonce": "n"})
    assert verified(token, KEYS, CONFIG, NOW, nonce="n")
    with pytest.raises(InternalError, match="another login"):
        verified(token, KEYS, CONFIG, NOW, nonce="m")


def test_mapped_claims() -> None:
    claims = {"user": "bob", "n": 5, "ok": True, "deep": {"a": ["x", {"b/c": "y"}]}, "groups": ["g", 1], "one": "s"}
    config = {
        "ClaimMappings": {"user": "u", "n": "n", "ok": "ok", "/deep/a/0": "d", "/deep/a/1/b~1c": "e", "gone": "g"},
        "ListClaimMappings": {"groups": "groups", "one": "one", "none": "none"},
    }
    found = mapped(claims, config)
    assert found.value == {"u": "bob", "n": "5", "ok": "true", "d": "x", "e": "y"}
    assert found.list == {"groups": ("g", "1"), "one": ("s",)}
    assert found.variables()["value.u"] == "bob"
    assert found.variables()["value.g"] == ""  # for names; a selector must be able to ask whether it is there
    for bad in ({"ClaimMappings": {"deep": "x"}}, {"ListClaimMappings": {"deep": "x"}}):
        with pytest.raises(InternalError, match="claim"):
            mapped(claims, bad)


@given(st.text(max_size=200) | st.builds(lambda a, b, c: f"{a}.{b}.{c}", *[st.text(max_size=40)] * 3))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    with pytest.raises(InternalError):
        check(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_set_or_refused(document: bytes) -> None:
    try:
        parse_keys(document)
    except InternalError:
        pass


def test_the_times_here_are_not_those_of_the_host() -> None:
    assert abs(time.time() - NOW) > 1
