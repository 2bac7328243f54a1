"""Tokens on a client agent: a server says what one grants, and that is kept for `acl.token_ttl`.

While no server can be asked, `acl.down_policy` decides: `extend-cache` goes on with what is held, however old,
`async-cache` answers from what is held at once and asks behind it, `allow` and `deny` are flat.

Source: surface rows L28, L29, G17. A server's counterpart is `resolver.py`. What may change here: bounds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from meshagent.agent.acl.access import Access, not_found
from meshagent.agent.acl.resolver import Authorizers, Identity, recovery_rules
from meshagent.agent.acl.tokens import AgentTokens
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.model import secret_digest
from meshagent.catalog.acl.resources import RESOURCES
from meshagent.catalog.acl.rules import Rule
from meshagent.clock import Clock, Tasks
from meshagent.errors import Denied, MeshError, RemoteProtocolError

if TYPE_CHECKING:
    from meshagent.metrics import Metrics

__all__ = ["METHOD", "RemoteGuardian", "Resolved", "resolve_method"]

#: The method of the RPC port, since 0.2: payload is a secret, the answer a `Resolved`.
METHOD = "acl-resolve"
MAX_HELD = 16_384
MAX_SECRET_CHARS = 4096


class Resolved(msgspec.Struct, frozen=True, array_like=True):  # since 0.2
    """What a server says of a token. `rules` as (resource, name, exact, level, intentions); times in POSIX seconds."""

    accessor: str
    rules: tuple[tuple[str, str, bool, str, str], ...] = ()
    manages: bool = False
    anonymous: bool = False
    expires_at: float | None = None


def resolve_method(resolver: Callable[[str], Awaitable[Identity]]) -> Callable[[object, bytes], Awaitable[bytes]]:
    """How a server answers `METHOD`."""

    async def answer(_: object, payload: bytes) -> bytes:
        try:
            secret = msgspec.msgpack.decode(payload, type=str)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RemoteProtocolError(f"a secret does not decode: {error}") from None
        if len(secret) > MAX_SECRET_CHARS:
            raise not_found()
        identity = await resolver(secret)
        access = identity.access
        rules = tuple((rule.resource, rule.name, rule.exact, rule.level, rule.intentions) for rule in identity.rules)
        return msgspec.msgpack.encode(
            Resolved(access.accessor, rules, access.sees_all, access.anonymous, identity.expires_at)
        )

    return answer


class RemoteGuardian:
    """The `Guardian` of a client. `ask` sends a payload to `METHOD` of a server."""

    def __init__(
        self,
        ask: Callable[[bytes], Awaitable[bytes]],
        tokens: AgentTokens,
        clock: Clock,
        tasks: Tasks,
        metrics: Metrics,
        *,
        node_name: str,
        default_allow: bool,
        down_policy: str,
        ttl_s: float,
    ) -> None:
        self.tokens = tokens
        self._ask = ask
        self._clock = clock
        self._tasks = tasks
        self._metrics = metrics
        self._node_name = node_name
        self._down_policy = down_policy
        self._ttl_s = ttl_s
        self._authorizers = Authorizers(default_allow=default_allow)
        #: Digest -> (identity, when it was asked for, in monotonic seconds).
        self._held: dict[bytes, tuple[Identity, float]] = {}
        self._asking: set[bytes] = set()
        self.note: Callable[[str, str, str, str, bool], None] | None = None

    async def identify(self, secret: str) -> Identity:
        """As `Guardian.identify`."""
        digest = secret_digest(secret)
        if own := self.tokens.local(digest):
            return self._identity(Resolved(f"{own}:{self._node_name}"), recovery_rules(self._node_name))
        held = self._current(digest)
        if held is not None:
            identity, asked_at = held
            if self._clock.monotonic() - asked_at < self._ttl_s:
                self._metrics.incr("acl.token.cache_hit")
                return identity
            if self._down_policy == "async-cache":
                self._refresh_behind(secret, digest)
                return identity
        self._metrics.incr("acl.token.cache_miss")
        try:
            return await self._fetch(secret, digest)
        except Denied:
            self._drop(digest)
            raise
        except MeshError:
            return self._while_down(held[0] if held is not None else None)

    def held(self, secret: str) -> Identity | None:
        """As `Guardian.held`."""
        found = self._current(secret_digest(secret))
        return found[0] if found is not None else None

    def sweep(self, now: datetime) -> None:
        """As `Guardian.sweep`."""
        at = now.timestamp()
        for digest, (identity, _) in list(self._held.items()):
            if identity.expires_at is not None and identity.expires_at <= at:
                self._drop(digest)

    def _current(self, digest: bytes) -> tuple[Identity, float] | None:
        held = self._held.get(digest)
        if held is None:
            return None
        expires_at = held[0].expires_at
        if expires_at is not None and expires_at <= self._clock.now().timestamp():
            self._drop(digest)
            return None
        return held

    async def _fetch(self, secret: str, digest: bytes) -> Identity:
        asked_at = self._clock.monotonic()
        body = await self._ask(msgspec.msgpack.encode(secret))
        try:
            resolved = msgspec.msgpack.decode(body, type=Resolved)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RemoteProtocolError(f"the answer to {METHOD} does not decode: {error}") from error
        # A server of a later release may know resources that mean nothing here.
        rules = tuple(Rule(*rule) for rule in resolved.rules if rule[0] in RESOURCES)
        identity = self._identity(resolved, rules)
        if len(self._held) >= MAX_HELD:
            self._drop(next(iter(self._held)))
        self._drop(digest)
        self._held[digest] = identity, asked_at
        return identity

    def _identity(self, resolved: Resolved, rules: tuple[Rule, ...]) -> Identity:
        accessor = resolved.accessor

        def note(resource: str, access: str, name: str, allowed: bool) -> None:
            if self.note is not None:
                self.note(accessor, resource, access, name, allowed)

        authorizer = self._authorizers.of(rules, manages=resolved.manages)
        access = Access(authorizer, accessor, anonymous=resolved.anonymous, note=note)
        return Identity(access, rules, expires_at=resolved.expires_at)

    def _while_down(self, held: Identity | None) -> Identity:
        if self._down_policy == "allow":
            return Identity(Access(Authorizer(manages=True)), ())
        if self._down_policy != "deny" and held is not None:
            return held
        return Identity(Access(Authorizer()), ())

    def _refresh_behind(self, secret: str, digest: bytes) -> None:
        if digest in self._asking:
            return
        self._asking.add(digest)

        async def refresh() -> None:
            try:
                await self._fetch(secret, digest)
            except Denied:
                self._drop(digest)
            except MeshError:
                pass  # what is held stays
            finally:
                self._asking.discard(digest)

        self._tasks.start(refresh(), name="acl refresh")

    def _drop(self, digest: bytes) -> None:
        held = self._held.pop(digest, None)
        if held is not None:
            held[0].end()
