"""Keys and JSON Web Tokens for tests."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm

from meshagent.catalog.acl import jwt_tokens

__all__ = ["Issuer"]


class Issuer:
    """Signs tokens with a key of its own; `jwks` is its public key set, `public_pem` the public key."""

    def __init__(self, name: str = "issuer") -> None:
        self.name = name
        key = ec.generate_private_key(ec.SECP256R1())
        self._pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.public_pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        public: dict[str, Any] = json.loads(ECAlgorithm.to_jwk(key.public_key()))
        self.jwks = json.dumps({"keys": [{**public, "kid": "1", "alg": "ES256"}]}).encode()

    def token(self, **claims: Any) -> str:
        return jwt_tokens.sign({"iss": self.name, "exp": 4_000_000_000, **claims}, self._pem, "ES256")

    def provider(self, **fields: Any) -> dict[str, Any]:
        """A `jwt-provider` entry with the keys in it."""
        keys = {"Local": {"JWKS": base64.b64encode(self.jwks).decode()}}
        return {"Kind": "jwt-provider", "Name": self.name, "Issuer": self.name, "JSONWebKeySet": keys, **fields}
