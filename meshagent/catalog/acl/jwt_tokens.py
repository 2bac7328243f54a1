"""JSON Web Tokens: whether one is to be believed, and what its claims become. The only door to PyJWT.

Source: RFC 7519; developer.hashicorp.com/consul/docs/security/acl/auth-methods/jwt (bounds, leeways, claim mappings)
and github.com/hashicorp/consul/internal/go-sso (MPL: defaults of the leeways, how a claim becomes text). Pure: keys
and time are arguments; `agent/jwt_keys.py` fetches keys. PyJWT loads `cryptography`, so this is imported where it is
used.

What may change here: nothing that takes a token which was refused before. Only signatures with public keys count:
with a shared secret whoever knows the public part could sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jwt

from meshagent.errors import BadRequest, Denied

__all__ = [
    "ALGORITHMS",
    "MAX_TOKEN_BYTES",
    "Claims",
    "JwtRules",
    "load_keys",
    "load_keyset",
    "mapped",
    "sign",
    "signed_claims",
    "unverified",
    "verify",
]

#: What may sign a token.
ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA")
#: No token of a person or a machine is longer: HTTP servers take 8 to 16 KiB of header.
MAX_TOKEN_BYTES = 16 << 10
#: Claims reach so deep at most.
_MAX_POINTER = 16
#: Slack of go-sso where none is set: of exp and nbf, and of the clocks.
_LEEWAY_S, _SKEW_S = 150.0, 60.0


@dataclass(frozen=True, slots=True)
class JwtRules:
    """What a token must fulfil. A leeway of 0 s is the default one, a negative one is none."""

    bound_issuer: str = ""
    bound_audiences: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ALGORITHMS
    expiration_leeway_s: float = 0.0
    not_before_leeway_s: float = 0.0
    clock_skew_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Claims:
    """Mapped claims, as filter expressions of the kind `claims` see them: `value.node`, `list.groups`."""

    value: Mapping[str, str] = field(default_factory=dict)
    list: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The row for a filter."""
        return {"value": self.value, "list": self.list}


def load_keys(pems: Sequence[str]) -> list[Any]:
    """Public keys of PEM texts (`PUBLIC KEY`, `RSA PUBLIC KEY` or a certificate's).

    Raises:
        BadRequest: one is none.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    found: list[Any] = []
    for pem in pems:
        data = pem.strip().encode()
        try:
            if b"BEGIN CERTIFICATE" in data:
                found.append(load_pem_x509_certificate(data).public_key())
            else:
                found.append(load_pem_public_key(data))
        except ValueError as error:
            raise BadRequest("a key is no public key in PEM form") from error
    return found


def load_keyset(text: bytes) -> list[Any]:
    """Public keys of a JSON Web Key Set (RFC 7517), without its shared secrets. Raises BadRequest."""
    try:
        return [key.key for key in jwt.PyJWKSet.from_json(text.decode()).keys if key.key_type != "oct"]
    except (jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRequest("no usable JSON Web Key Set") from error


def sign(claims: Mapping[str, Any], key_pem: bytes, algorithm: str) -> str:
    """A token with these claims."""
    return jwt.encode(dict(claims), key_pem, algorithm=algorithm)


def unverified(token: str) -> dict[str, Any]:
    """The claims of a token that nobody has checked; {} when it is none."""
    if len(token) > MAX_TOKEN_BYTES:
        return {}
    try:
        found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return {}
    return found


def verify(token: str, keys: Sequence[Any], rules: JwtRules, now: datetime) -> dict[str, Any]:
    """The claims of a token that one of the keys signed, and that fulfils the rules at wall time `now`.

    Raises:
        Denied: it is not to be believed; the message says why, and nothing of the token.
    """
    claims = signed_claims(token, keys, rules.algorithms)
    moment = now.timestamp()
    begin, end, issued = (_time(claims, name) for name in ("nbf", "exp", "iat"))
    if begin is None and end is None and issued is None:
        raise Denied("no issue time, notBefore, or expiration time encoded in token")
    skew_s = _slack(rules.clock_skew_s, _SKEW_S)
    leeway_s = _slack(rules.expiration_leeway_s, _LEEWAY_S)
    if end is None:
        end = max(begin or 0.0, issued or 0.0) + leeway_s
        leeway_s = 0.0
    if moment > end + leeway_s + skew_s:
        raise Denied("the token has expired")
    begin = begin if begin is not None else issued
    if begin is not None and moment < begin - skew_s - _slack(rules.not_before_leeway_s, _LEEWAY_S):
        raise Denied("the token is not valid yet")
    if rules.bound_issuer and claims.get("iss") != rules.bound_issuer:
        raise Denied("the token's issuer is not the one that is bound")
    audiences = _texts(claims.get("aud"))
    if rules.bound_audiences and not set(audiences) & set(rules.bound_audiences):
        raise Denied("the token's audience is none of those that are bound")
    if audiences and not rules.bound_audiences:
        raise Denied("the token has an audience, but none is bound")
    return claims


def mapped(claims: Mapping[str, Any], values: Mapping[str, str], lists: Mapping[str, str]) -> Claims:
    """The claims under the names they are mapped to; a claim is a name, or a JSON pointer (`/a/b`).

    Raises:
        Denied: a claim that is not text, number or boolean, or a list of them.
    """
    found_values: dict[str, str] = {}
    for claim, name in values.items():
        value = _at(claims, claim)
        if value is not None:
            text = _text(value)
            if text is None:
                raise Denied(f"the claim {claim!r} is neither text, number nor boolean")
            found_values[name] = text
    found_lists: dict[str, tuple[str, ...]] = {}
    for claim, name in lists.items():
        value = _at(claims, claim)
        if value is not None:
            texts = [_text(one) for one in (value if isinstance(value, list) else [value])]
            if any(text is None for text in texts):
                raise Denied(f"the claim {claim!r} is no list of texts, numbers or booleans")
            found_lists[name] = tuple(text for text in texts if text is not None)
    return Claims(found_values, found_lists)


def signed_claims(token: str, keys: Sequence[Any], algorithms: Sequence[str]) -> dict[str, Any]:
    """The claims of a token that one of the keys signed; no claim is checked.

    Raises:
        Denied: none did, or not with one of these algorithms.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise Denied(f"a token of {len(token)} bytes is too long, at most {MAX_TOKEN_BYTES}")
    only_signature = {"verify_signature": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False,
                      "verify_aud": False, "verify_iss": False, "verify_sub": False, "verify_jti": False}  # fmt: skip
    allowed = [name for name in algorithms if name in ALGORITHMS]
    for key in keys:
        try:
            claims: dict[str, Any] = jwt.decode(token, key, algorithms=allowed, options=only_signature)  # type: ignore[arg-type]
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            continue
        return claims
    raise Denied("no known key signed the token")


# --- inside -----------------------------------------------------------------------------------------------------------


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise Denied(f"the claim {name!r} is no time")
    return float(value)


def _slack(set_s: float, default_s: float) -> float:
    return default_s if set_s == 0 else max(0.0, set_s)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _at(claims: Mapping[str, Any], claim: str) -> Any:
    if not claim.startswith("/"):
        return claims.get(claim)
    at: Any = claims
    for part in claim[1:].split("/", _MAX_POINTER):
        if not isinstance(at, dict):
            return None
        at = at.get(part.replace("~1", "/").replace("~0", "~"))
    return at


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    return None
