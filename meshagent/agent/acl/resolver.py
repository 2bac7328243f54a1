"""From a secret to what it may do: looked up in the catalog's own tables, and kept until one of them says otherwise.

A server knows every token, policy and role; what a token grants is put together once and dropped when any row it came
from changes. Tokens that grant the same share one `Authorizer`, so that answers can be shared, too.

Source: surface rows L21-L29, C8. A client agent's counterpart is `remote.py`. What may change here: bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from weakref import WeakValueDictionary

from meshagent.agent.acl.access import Access, not_found
from meshagent.agent.acl.tokens import AgentTokens
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.builtin import GLOBAL_MANAGEMENT
from meshagent.catalog.acl.granted import granted, rules_of
from meshagent.catalog.acl.model import ANONYMOUS_ACCESSOR, ANONYMOUS_SECRET, Token, secret_digest
from meshagent.catalog.acl.rules import Rule
from meshagent.catalog.store import Store
from meshagent.catalog.watch import Subscription
from meshagent.clock import Clock
from meshagent.metrics import Metrics

__all__ = ["Authorizers", "Identity", "Resolver", "recovery_rules"]

#: Tokens whose rights are kept put together; the oldest go first.
MAX_IDENTITIES = 16_384


class Identity:
    """A resolved token. `expires_at` in POSIX seconds, None is never. `listeners` are called once, when it is stale."""

    __slots__ = ("access", "expires_at", "listeners", "local", "rules", "stale", "token")

    def __init__(
        self, access: Access, rules: tuple[Rule, ...], *, token: Token | None = None, expires_at: float | None = None
    ) -> None:
        self.access = access
        self.rules = rules
        self.token = token
        self.expires_at = expires_at
        self.stale = False
        self.listeners: list[Callable[[], None]] = []

    def end(self) -> None:
        """It counts no longer."""
        if not self.stale:
            self.stale = True
            listeners, self.listeners = self.listeners, []
            for listener in listeners:
                listener()


class Authorizers:
    """Authorizers by what they allow: one object for all who may the same."""

    def __init__(self, *, default_allow: bool) -> None:
        self._default_allow = default_allow
        self._held: WeakValueDictionary[frozenset[Rule], Authorizer] = WeakValueDictionary()
        self._manager = Authorizer(manages=True)

    def of(self, rules: tuple[Rule, ...], *, manages: bool = False) -> Authorizer:
        """The one of some rules."""
        if manages:
            return self._manager
        key = frozenset(rules)
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = Authorizer(rules, default_allow=self._default_allow)
        return found


def recovery_rules(node_name: str) -> tuple[Rule, ...]:
    """What the recovery token of an agent grants there (surface row L29)."""
    return (Rule("agent", node_name, True, "write"), Rule("node", "", False, "read"))


class Resolver:
    """Resolves tokens on a server."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        tokens: AgentTokens,
        *,
        datacenter: str,
        node_name: str,
        default_allow: bool,
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._tokens = tokens
        self._datacenter = datacenter
        self._node_name = node_name
        self._authorizers = Authorizers(default_allow=default_allow)
        self._held: dict[bytes, tuple[Identity, Subscription]] = {}
        #: Told of every decision: (accessor, resource, access, name, allowed).
        self.note: Callable[[str, str, str, str, bool], None] | None = None
        #: Told when a token was used.
        self.used: Callable[[str], None] | None = None
        #: Tokens of another datacenter that count here, by secret and its digest: None for none.
        self.elsewhere: Callable[[str, bytes], Token | None] | None = None
        tokens.on_change.append(self.forget)

    def resolve(self, secret: str) -> Identity:
        """The identity of a secret, "" is the anonymous one. Raises Denied: no token has it, or its time is over."""
        if secret == ANONYMOUS_SECRET:
            secret = ""
        digest = secret_digest(secret or ANONYMOUS_SECRET)
        held = self._held.get(digest)
        if held is not None and not self._over(held[0]):
            self._metrics.incr("acl.token.cache_hit")
            identity = held[0]
        else:
            self._metrics.incr("acl.token.cache_miss")
            identity = self._find(secret, digest)
        if self.used is not None and identity.token is not None:
            self.used(identity.token.accessor_id)
        return identity

    def is_own(self, secret: str) -> bool:
        """Whether this datacenter has the token itself."""
        digest = secret_digest(secret)
        return bool(self._tokens.local(digest)) or self._store.acl.by_digest(digest) is not None

    def forget(self) -> None:
        """Look everything up anew from now on."""
        held, self._held = self._held, {}
        for identity, subscription in held.values():
            subscription.cancel()
            identity.end()

    def sweep(self, now: datetime) -> None:
        """Let go of what has expired. To be called every second or so."""
        at = now.timestamp()
        for digest, (identity, subscription) in list(self._held.items()):
            if identity.expires_at is not None and identity.expires_at <= at:
                del self._held[digest]
                subscription.cancel()
                identity.end()

    def _over(self, identity: Identity) -> bool:
        return identity.expires_at is not None and identity.expires_at <= self._clock.now().timestamp()

    def _find(self, secret: str, digest: bytes) -> Identity:
        if own := self._tokens.local(digest):
            return self._identity(recovery_rules(self._node_name), f"{own}:{self._node_name}")
        token = self._store.acl.by_digest(digest)
        if token is None and secret and self.elsewhere is not None:
            token = self.elsewhere(secret, digest)
        if token is None:
            if secret:
                acl = self._store.acl
                raise not_found(bootstrapped=bool(acl.bootstrap_index) or len(acl.tokens) > 1)
            # The anonymous token is made by the first leader: before that it grants nothing.
            return self._identity((), ANONYMOUS_ACCESSOR, anonymous=True)
        expires_at = datetime.fromisoformat(token.expiration_time).timestamp() if token.expiration_time else None
        found = granted(self._store.acl, token)
        rules = rules_of(found.policies, self._datacenter)
        manages = any(policy.id == GLOBAL_MANAGEMENT for policy in found.policies) and not any(
            "deny" in (rule.level, rule.intentions) for rule in rules
        )
        identity = self._identity(
            rules, token.accessor_id, manages=manages, anonymous=not secret, token=token, expires_at=expires_at
        )
        if self._over(identity):
            raise not_found()
        if len(self._held) >= MAX_IDENTITIES:
            self._drop(next(iter(self._held)))
        subscription = self._store.watches.subscribe(found.topics, lambda: self._drop(digest))
        self._held[digest] = identity, subscription
        return identity

    def _identity(
        self,
        rules: tuple[Rule, ...],
        accessor: str,
        *,
        manages: bool = False,
        anonymous: bool = False,
        token: Token | None = None,
        expires_at: float | None = None,
    ) -> Identity:
        def note(resource: str, access: str, name: str, allowed: bool) -> None:
            if self.note is not None:
                self.note(accessor, resource, access, name, allowed)

        authorizer = self._authorizers.of(rules, manages=manages)
        access = Access(authorizer, accessor, anonymous=anonymous, note=note)
        return Identity(access, rules, token=token, expires_at=expires_at)

    def drop(self, digest: bytes) -> None:
        """What was said of this token counts no longer."""
        self._drop(digest)

    def _drop(self, digest: bytes) -> None:
        held = self._held.pop(digest, None)
        if held is not None:
            held[1].cancel()
            held[0].end()
