"""Tokens of requests: where they stand, whether they are good, and what intentions ask of them.

A token counts when a key of its provider signed it, its issuer and audience are the provider's and it is valid now.
Tokens that were good are remembered until they end. A token that intentions let through goes on to the application only
where its location says so (`Forward`); its payload does, in a header, where the provider says so. A provider whose keys
are not there (yet) has no good tokens.

Source: surface rows M26, M35; developer.hashicorp.com/consul/docs/connect/config-entries/jwt-provider; Envoy's
jwt_authn filter; RFC 7519. Keys and time are given. What may change here: locations.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from meshagent.catalog.entries.jwt_provider import JWTProvider, Location, LocationHeader, LocationName
from meshagent.catalog.entries.service_intentions import IntentionJWT, JWTProviderRef, VerifyClaim
from meshagent.connect.proxy.http.matching import query_value
from meshagent.connect.proxy.http.messages import RequestHead, get
from meshagent.errors import MeshError

__all__ = ["Found", "Tokens", "claims_fit", "local_keyset"]

#: The public keys of a provider; None while there are none.
KeysOf = Callable[[JWTProvider], Sequence[Any] | None]

_DEFAULT = (
    Location(header=LocationHeader(name="Authorization", value_prefix="Bearer ")),
    Location(query_param=LocationName(name="access_token")),
)
_MAX_KNOWN = 1024
_MAX_TOKEN_BYTES = 16 << 10


class Tokens:
    """The providers of one snapshot."""

    def __init__(self, providers: Sequence[JWTProvider], keys_of: KeysOf, now: Callable[[], datetime]) -> None:
        self._providers = {one.name: one for one in providers}
        self._keys_of = keys_of
        self._now = now
        #: By provider: token -> (claims, until when they are good).
        self._known: dict[str, dict[str, tuple[dict[str, Any], float]]] = {}

    def of(self, head: RequestHead) -> Found:
        """What can be asked about the tokens of a request."""
        return Found(self, head)

    def claims(self, name: str, head: RequestHead) -> tuple[dict[str, Any], Location | None, str] | None:
        """(claims, location, token) of the first good token of a provider, None without one."""
        provider = self._providers.get(name)
        if provider is None:
            return None
        for location in provider.locations or _DEFAULT:
            token = _token(location, head)
            if token:
                claims = self._verified(provider, token)
                if claims is not None:
                    return claims, location, token
        return None

    def provider(self, name: str) -> JWTProvider | None:
        """The entry of a name."""
        return self._providers.get(name)

    def _verified(self, provider: JWTProvider, token: str) -> dict[str, Any] | None:
        now = self._now()
        tokens = self._known.setdefault(provider.name, {})
        known = tokens.get(token)
        if known is not None and now.timestamp() < known[1]:
            return known[0]
        keys = self._keys_of(provider)
        if not keys or len(token) > _MAX_TOKEN_BYTES:
            return None
        from meshagent.catalog.acl import jwt_tokens  # loads PyJWT: only where tokens are asked for

        # Without audiences of its own a provider takes every audience, as Envoy does.
        audiences = provider.audiences or _audiences(jwt_tokens.unverified(token))
        rules = jwt_tokens.JwtRules(
            provider.issuer, audiences, expiration_leeway_s=-1.0, not_before_leeway_s=-1.0,
            clock_skew_s=provider.clock_skew_seconds or -1.0,
        )  # fmt: skip
        try:
            claims = jwt_tokens.verify(token, keys, rules, now)
        except MeshError:
            return None
        until = claims.get("exp")
        if isinstance(until, int | float):
            cache = provider.cache_config
            if len(tokens) >= (cache.size if cache is not None and cache.size > 0 else _MAX_KNOWN):
                del tokens[next(iter(tokens))]
            tokens[token] = claims, float(until)
        return claims


class Found:
    """The tokens of one request: call it with what an intention requires."""

    __slots__ = ("_head", "_tokens", "_used")

    def __init__(self, tokens: Tokens, head: RequestHead) -> None:
        self._tokens = tokens
        self._head = head
        self._used: dict[str, tuple[dict[str, Any], Location | None, str] | None] = {}

    def __call__(self, required: IntentionJWT) -> bool:
        """Whether the request has a good token of one of the providers, with the claims."""
        return any(self._good(ref) for ref in required.providers)

    def settle(self) -> None:
        """The request goes on: tokens that are not to be forwarded are taken out, payloads put in."""
        head = self._head
        for name, found in self._used.items():
            provider = self._tokens.provider(name)
            if found is None or provider is None:
                continue
            _, location, token = found
            header = location.header if location is not None else None
            if header is not None and not header.forward:
                key = header.name.lower().encode()
                head.headers = [one for one in head.headers if one[0] != key]
            forwarding = provider.forwarding
            if forwarding is not None and forwarding.header_name:
                payload = token.split(".")[1].rstrip("=")
                if forwarding.pad_forward_payload_header:
                    payload += "=" * (-len(payload) % 4)
                key = forwarding.header_name.lower().encode()
                kept = [one for one in head.headers if one[0] != key]
                head.headers = [*kept, (key, payload.encode())]

    def _good(self, ref: JWTProviderRef) -> bool:
        if ref.name not in self._used:
            self._used[ref.name] = self._tokens.claims(ref.name, self._head)
        found = self._used[ref.name]
        return found is not None and claims_fit(found[0], ref.verify_claims)


def claims_fit(claims: dict[str, Any], wanted: Sequence[VerifyClaim]) -> bool:
    """Whether all claims are there and are these texts; no number or list ever is, as in Consul's Envoy."""
    return all(_claim(claims, one) for one in wanted)


def _claim(claims: Any, wanted: VerifyClaim) -> bool:
    for step in wanted.path:
        if not isinstance(claims, dict) or step not in claims:
            return False
        claims = claims[step]
    return isinstance(claims, str) and claims == wanted.value


def _audiences(claims: dict[str, Any]) -> tuple[str, ...]:
    found = claims.get("aud")
    values = found if isinstance(found, list) else [found]
    return tuple(value for value in values if isinstance(value, str))


def _token(location: Location, head: RequestHead) -> str:
    """The token at a location, "" without one."""
    value: bytes | None = None
    if location.header is not None:
        value = get(head.headers, location.header.name.lower().encode())
        prefix = location.header.value_prefix.encode()
        if value is None or not value.startswith(prefix):
            return ""
        value = value[len(prefix) :].strip()
    elif location.query_param is not None:
        value = query_value(head.path, location.query_param.name.encode())
        value = unquote(value.decode("latin-1")).encode() if value is not None else None
    elif location.cookie is not None:
        value = _cookie(get(head.headers, b"cookie") or b"", location.cookie.name.encode())
    text = (value or b"").decode("latin-1")
    return text if text.count(".") == 2 else ""


def _cookie(header: bytes, name: bytes) -> bytes | None:
    for part in header.split(b";"):
        key, found, value = part.strip().partition(b"=")
        if found and key == name:
            return value.strip(b'"')
    return None


def local_keyset(provider: JWTProvider) -> bytes | None:
    """The key set in the entry itself, None when it stands elsewhere."""
    keys = provider.json_web_key_set
    local = keys.local if keys is not None else None
    if local is None or not local.jwks:
        return None
    try:
        found = base64.b64decode(local.jwks, validate=True)
        json.loads(found)
    except (binascii.Error, ValueError):
        return None
    return found
