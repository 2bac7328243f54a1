"""Configurations of auth methods, good and bad."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from meshagent.agent.acl.methods import METHODS, check_config
from meshagent.errors import InternalError

KEY = generate_private_key(SECP256R1()).public_key()
PEM = KEY.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
OIDC = {
    "OIDCDiscoveryURL": "https://i",
    "OIDCClientID": "c",
    "AllowedRedirectURIs": ["http://127.0.0.1:8550/oidc/callback"],
}


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("jwt", {"JWTValidationPubKeys": [PEM]}),
        ("jwt", {"JWKSURL": "https://issuer/keys", "JWTSupportedAlgs": ["EdDSA"]}),
        ("jwt", {"OIDCDiscoveryURL": "http://127.0.0.1:1/"}),
        ("kubernetes", {"Host": "https://k", "CACert": "x", "ServiceAccountJWT": "y"}),
        ("oidc", OIDC),
    ],
)
def test_good_ones(kind: str, config: dict[str, Any]) -> None:
    check_config(kind, config)
    METHODS[kind].example(config).variables()


@pytest.mark.parametrize(
    ("kind", "config", "words"),
    [
        ("zork", {}, "Type should be one of"),
        ("jwt", {}, "exactly one of"),
        ("jwt", {"JWTValidationPubKeys": [PEM], "JWKSURL": "https://x"}, "exactly one of"),
        ("jwt", {"JWTValidationPubKeys": ["nope"]}, r"JWTValidationPubKeys\[0\]"),
        ("jwt", {"JWTValidationPubKeys": [PEM], "Foo": 1}, "invalid keys: Foo"),
        ("jwt", {"JWTValidationPubKeys": PEM}, "'JWTValidationPubKeys' expected a list"),
        ("jwt", {"JWTValidationPubKeys": [PEM], "ClaimMappings": {"a": 1}}, "'ClaimMappings' expected a map"),
        ("jwt", {"JWTValidationPubKeys": [PEM], "JWTSupportedAlgs": ["HS256"]}, "Invalid supported algorithm: HS256"),
        ("jwt", {"JWTValidationPubKeys": [PEM], "JWTSupportedAlgs": ["none"]}, "Invalid supported algorithm"),
        ("jwt", {"JWTValidationPubKeys": [PEM], "ClaimMappings": {"a": "x", "b": "x"}}, "multiple mappings"),
        ("jwt", {"JWKSURL": "http://issuer/keys"}, "must be an https address"),
        ("oidc", {**OIDC, "OIDCClientID": ""}, "OIDCClientID"),
        ("oidc", {**OIDC, "AllowedRedirectURIs": []}, "AllowedRedirectURIs"),
        ("kubernetes", {}, "Config.Host is required"),
        ("kubernetes", {"Host": "https://k"}, "Config.CACert is required"),
        ("aws-iam", {}, "BoundIAMPrincipalARNs is required"),
        ("aws-iam", {"BoundIAMPrincipalARNs": ["x"]}, 'Invalid principal ARN: "x"'),
        ("aws-iam", {"BoundIAMPrincipalARNs": ["arn:aws:s3::1:role/a"]}, "Invalid principal ARN"),
        ("aws-iam", {"BoundIAMPrincipalARNs": ["arn:aws:iam::1:role/*"]}, "EnableIAMEntityDetails=true to use wild"),
        (
            "aws-iam",
            {"BoundIAMPrincipalARNs": ["arn:aws:iam::1:role/*/a"], "EnableIAMEntityDetails": True},
            "Only one wildcard",
        ),
        (
            "aws-iam",
            {"BoundIAMPrincipalARNs": ["arn:aws:iam::1:role/a"], "IAMEntityTags": ["t"]},
            "to use IAMUserTags",
        ),
        (
            "aws-iam",
            {"BoundIAMPrincipalARNs": ["arn:aws:iam::1:role/a"], "STSEndpoint": "http://elsewhere/"},
            "STSEndpoint must be an https address",
        ),
    ],
)
def test_bad_ones(kind: str, config: dict[str, Any], words: str) -> None:
    with pytest.raises(InternalError, match=words):
        check_config(kind, config)
