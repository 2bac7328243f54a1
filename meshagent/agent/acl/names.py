"""DNS with ACLs on: what the token of DNS may not see looks like a name that does not exist.

Source: surface row D33; the golden scenario dns-acl. The token is `acl.tokens.dns`, else `default`, else anonymous.
What was answered is forgotten when what the token may see changes: every answer depends on `TOPIC`, too.

What may change here: nothing that lets more through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshagent.agent.acl.access import Access
from meshagent.agent.acl.guardian import Guardian
from meshagent.agent.acl.resolver import Identity
from meshagent.agent.acl.visible import instance_seen
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.model import Node, PreparedQuery, ServiceEntry
from meshagent.catalog.peering.imported import split_peer
from meshagent.catalog.watch import Topic, Watches
from meshagent.dns.view import NamesView, QueryAnswer

__all__ = ["GuardedNames"]

Topics = tuple[Topic, ...]
TOPIC = "acl-dns"
#: An unknown token may become known.
_TOPICS: Topics = (TOPIC, "acl-tokens")
_NOTHING = Access(Authorizer())


class GuardedNames:
    """A `dns.view.NamesView` of what a token may see. `query_of` gives the definition behind a name."""

    def __init__(self, inner: NamesView, guardian: Guardian, query_of: Callable[[str], PreparedQuery | None]) -> None:
        self._inner = inner
        self._guardian = guardian
        self._query_of = query_of
        self._identity: Identity | None = None
        self.named_nodes: dict[tuple[str, int, str], tuple[Node, Any, Any]] = {}
        guardian.tokens.on_change.append(self._token_changed)

    @property
    def watches(self) -> Watches:
        """As of what is guarded."""
        return self._inner.watches

    def instances(
        self, name: str, tag: str, *, connect: bool, only_passing: bool
    ) -> tuple[list[tuple[ServiceEntry, int]], Topics]:
        """As `NamesView.instances`."""
        access = self._access()
        found, topics = self._inner.instances(name, tag, connect=connect, only_passing=only_passing)
        return [pair for pair in found if instance_seen(pair[0], access)], (*topics, *_TOPICS)

    def ingress(self, name: str, *, only_passing: bool) -> tuple[list[tuple[ServiceEntry, int]], Topics]:
        """As `NamesView.ingress`."""
        access = self._access()
        found, topics = self._inner.ingress(name, only_passing=only_passing)
        if not access.allows("service", "read", name):
            found = []
        return [pair for pair in found if instance_seen(pair[0], access)], (*topics, *_TOPICS)

    def virtual_ip(self, name: str) -> tuple[bytes | None, Topics]:
        """As `NamesView.virtual_ip`."""
        access = self._access()
        found, topics = self._inner.virtual_ip(name)
        return found if access.allows("service", "read", split_peer(name)[0]) else None, (*topics, *_TOPICS)

    def query(self, name: str) -> QueryAnswer | None:
        """As `NamesView.query`; a query that holds a token runs with that."""
        found = self._inner.query(name)
        if found is None:
            return None
        access = self._access()
        definition = self._query_of(name)
        if definition is not None and definition.token:
            identity = self._guardian.held(definition.token)
            access = identity.access if identity is not None else _NOTHING
        entries = [pair for pair in found.usable if instance_seen(pair[0], access)]
        return QueryAnswer(entries, (*found.topics, *_TOPICS), found.service, found.ttl_s, found.ordered)

    def node(self, name: str) -> tuple[Node | None, Topics]:
        """As `NamesView.node`."""
        access = self._access()
        found, topics = self._inner.node(name)
        if found is not None and not access.allows("node", "read", found.name):
            found = None
        return found, (*topics, *_TOPICS)

    def names_at(self, address: str) -> tuple[str, str, Topics]:
        """As `NamesView.names_at`."""
        access = self._access()
        node, service, topics = self._inner.names_at(address)
        if node and not access.allows("node", "read", node):
            node = ""
        if service and not access.allows("service", "read", service):
            service = ""
        return node, service, (*topics, *_TOPICS)

    def _access(self) -> Access:
        identity = self._identity
        if identity is None or identity.stale:
            identity = self._identity = self._guardian.held(self._guardian.tokens.dns)
            if identity is None:
                return _NOTHING
            identity.listeners.append(self._ended)
        return identity.access

    def _ended(self) -> None:
        """What the token may see has changed; this may come while a change is being told."""
        self._inner.watches.notify(TOPIC)

    def _token_changed(self) -> None:
        self._identity = None
        self._inner.watches.notify(TOPIC)
        self._inner.watches.flush()
