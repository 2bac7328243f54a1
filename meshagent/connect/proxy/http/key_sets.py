"""I/O edge: the public keys of JWT providers: from their entries, from files, or fetched over HTTPS and kept a while.

A fetch runs in a thread and never holds up a request: until the keys are there the provider has no good tokens, and
when they cannot be fetched again the old ones stay in use.

Source: surface row M35 (`JSONWebKeySet`); RFC 7517. What may change here: times, further sources.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meshagent.catalog.entries.jwt_provider import JWTProvider, KeyServerTLS, RemoteJWKS, RetryPolicy
from meshagent.clock import Clock, Tasks
from meshagent.connect.proxy.http.tokens import local_keyset
from meshagent.documents import MAX_BYTES, fetch
from meshagent.errors import BadRequest, Unavailable

__all__ = ["KeySets", "pause_after", "trusted_context"]

log = logging.getLogger("proxy.jwt")

#: Envoy's cache of remote key sets; pauses after a failure; how long one fetch may take.
_KEEP_S, _RETRY_S, _TIMEOUT_S = 300.0, 2.0, 10.0
#: Envoy's pauses of a retry policy that says none.
_BASE_S, _LONGEST_S = 1.0, 10.0


class KeySets:
    """Keys by provider. `follow` takes up the providers of a snapshot."""

    def __init__(self, clock: Clock, tasks: Tasks) -> None:
        self._clock = clock
        self._tasks = tasks
        self._keys: dict[str, tuple[JWTProvider, Sequence[Any] | None]] = {}
        self._fetching: dict[str, asyncio.Task[Any]] = {}

    def of(self, provider: JWTProvider) -> Sequence[Any] | None:
        """The keys of a provider; None while there are none."""
        held = self._keys.get(provider.name)
        return held[1] if held is not None and held[0] == provider else None

    def follow(self, providers: Sequence[JWTProvider]) -> None:
        """Use these from now on."""
        by_name = {one.name: one for one in providers}
        for name in self._keys.keys() - by_name.keys():
            del self._keys[name]
            self._stop(name)
        for name, provider in by_name.items():
            held = self._keys.get(name)
            if held is not None and held[0] == provider:
                continue
            self._stop(name)
            self._keys[name] = provider, _at_once(provider)
            keys = provider.json_web_key_set
            if keys is not None and keys.remote is not None:
                self._fetching[name] = self._tasks.start(self._follow(provider, keys.remote), name="jwks")

    def _stop(self, name: str) -> None:
        task = self._fetching.pop(name, None)
        if task is not None:
            task.cancel()

    async def _follow(self, provider: JWTProvider, remote: RemoteJWKS) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            pause_s = remote.cache_duration / 1e9 or _KEEP_S
            try:
                found = await loop.run_in_executor(None, _fetched, remote)
                self._keys[provider.name] = provider, _loaded(found)
                failures = 0
            except (OSError, ValueError, BadRequest, Unavailable) as error:
                log.warning("keys cannot be fetched: provider=%s uri=%s error=%s", provider.name, remote.uri, error)
                pause_s = pause_after(remote.retry_policy, failures)
                failures += 1
            await self._clock.sleep(pause_s)


def pause_after(policy: RetryPolicy | None, failures: int) -> float:
    """Seconds until keys are fetched again, after so many failures before this one: the pauses of a policy, which
    double, while it has retries left."""
    if policy is None or failures >= policy.num_retries:
        return _RETRY_S
    back_off = policy.retry_policy_back_off
    base_s = (back_off.base_interval / 1e9 if back_off is not None else 0.0) or _BASE_S
    longest_s = (back_off.max_interval / 1e9 if back_off is not None else 0.0) or max(_LONGEST_S, base_s)
    return float(min(base_s * 2.0 ** min(failures, 32), longest_s))


def _at_once(provider: JWTProvider) -> Sequence[Any] | None:
    """Keys that need not be fetched."""
    keys = provider.json_web_key_set
    local = keys.local if keys is not None else None
    if local is None:
        return None
    try:
        found = local_keyset(provider) if local.jwks else _file(local.filename)
        return _loaded(found) if found is not None else None
    except (OSError, BadRequest) as error:
        log.warning("keys cannot be used: provider=%s error=%s", provider.name, error)
        return None


def _file(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(MAX_BYTES)


def _loaded(text: bytes) -> Sequence[Any]:
    from meshagent.catalog.acl import jwt_tokens  # loads PyJWT: only where tokens are asked for

    return jwt_tokens.load_keyset(text)


def _fetched(remote: RemoteJWKS) -> bytes:
    cluster = remote.jwks_cluster
    context = trusted_context(cluster.tls_certificates if cluster is not None else None)
    return fetch(remote.uri, context, remote.request_timeout_ms / 1000.0 or _TIMEOUT_S)


def trusted_context(tls: KeyServerTLS | None) -> ssl.SSLContext:
    """Whom a key server has to be vouched for by. Raises Unavailable, OSError."""
    trusted = tls.trusted_ca if tls is not None else None
    if trusted is None:
        return ssl.create_default_context()
    given = trusted.inline_string or os.environ.get(trusted.environment_variable, "") or _decoded(trusted.inline_bytes)
    if not given and not trusted.filename:
        raise Unavailable("the authority that is to be trusted is empty")  # not the system's, which nobody named
    return ssl.create_default_context(cafile=trusted.filename or None, cadata=given or None)


def _decoded(text: str) -> str:
    """Bytes as JSON has them, base64; or as they are."""
    try:
        return base64.b64decode(text, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return text
