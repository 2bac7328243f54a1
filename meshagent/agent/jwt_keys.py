"""I/O edge: the public keys of who signs JWTs: from the configuration, a key set's address, or OIDC discovery.

Source: developer.hashicorp.com/consul/docs/security/acl/auth-methods/jwt; OpenID Connect Discovery 1.0 section 4; RFC
7517. Fetched in a thread (`meshagent/documents.py`), kept for a while. What may change here: times.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meshagent.clock import Clock
from meshagent.documents import fetch
from meshagent.errors import BadRequest, Unavailable

__all__ = ["JwtKeys", "KeySource"]

#: How long fetched keys are used, and how long a failure is not asked about again.
KEEP_S, FAILED_S = 300.0, 5.0
FETCH_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where keys come from: one of the three, the first that is set. Authorities are PEM, "" the system's."""

    pems: tuple[str, ...] = ()
    jwks_url: str = ""
    jwks_ca_cert: str = ""
    oidc_discovery_url: str = ""
    oidc_discovery_ca_cert: str = ""


class JwtKeys:
    """The keys of one source."""

    def __init__(self, source: KeySource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._keys: Sequence[Any] | None = None
        self._fetching = asyncio.Lock()
        self._good_until = 0.0
        self._failed_until = 0.0

    async def get(self) -> Sequence[Any]:
        """The keys.

        Raises:
            BadRequest: what is there are no keys.
            Unavailable: they could not be fetched.
        """
        source = self._source
        async with self._fetching:
            now = self._clock.monotonic()
            if self._keys is not None and now < self._good_until:
                return self._keys
            if source.pems:
                from meshagent.catalog.acl.jwt_tokens import load_keys

                self._keys, self._good_until = load_keys(source.pems), float("inf")
                return self._keys
            if now < self._failed_until:
                raise Unavailable("the keys of the token's issuer could not be fetched a moment ago")
            try:
                self._keys = await asyncio.get_running_loop().run_in_executor(None, _fetched, source)
            except Unavailable:
                self._failed_until = now + FAILED_S
                raise
            self._good_until = now + KEEP_S
            return self._keys


def _fetched(source: KeySource) -> Sequence[Any]:
    from meshagent.catalog.acl.jwt_tokens import load_keyset

    if source.jwks_url:
        return load_keyset(_document(source.jwks_url, source.jwks_ca_cert))
    if not source.oidc_discovery_url:
        raise BadRequest("no keys are configured")
    issuer = source.oidc_discovery_url.rstrip("/")
    try:
        found = json.loads(_document(f"{issuer}/.well-known/openid-configuration", source.oidc_discovery_ca_cert))
        url, named = found["jwks_uri"], str(found["issuer"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"{issuer} describes no issuer") from error
    if named.rstrip("/") != issuer:
        raise BadRequest(f"the issuer at {issuer} calls itself {named!r}")
    return load_keyset(_document(str(url), source.oidc_discovery_ca_cert))


def _document(url: str, authority: str) -> bytes:
    return fetch(url, ssl.create_default_context(cadata=authority or None), FETCH_TIMEOUT_S)
