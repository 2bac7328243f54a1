"""What is imported from peers: for each peer a catalog of its own, so that nothing mixes with what is registered here.

A peer's catalog is a `Registrations` whose topics carry the peer (`("peer:east", "service-health/web")`) and whose
virtual addresses come from this cluster's pool. Only what peers say is in it, and only the stream writes it.

Source: surface rows HL3, D8, D10, O1-O4 (`PeerName`), M68. What may change here: how topics are spelt (they are in
snapshots).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.catalog import commands
from meshagent.catalog.model import Check, Node, Service, ServiceEntry
from meshagent.catalog.registrations import Registrations
from meshagent.catalog.undo import Undo
from meshagent.catalog.virtual_ips import VirtualIPs
from meshagent.catalog.watch import Topic, Watches

if TYPE_CHECKING:
    from meshagent.catalog.peering.commands import ImportedKeep, ImportedReplace

__all__ = ["Imported", "at_peer", "peer_topic", "split_peer"]


def peer_topic(peer: str, topic: Topic) -> Topic:
    """A topic of a peer's catalog among those of the store; without a peer it is the topic itself."""
    if not peer:
        return topic
    return f"peer:{peer}", topic if isinstance(topic, str) else "/".join(topic)


def at_peer(name: str, peer: str) -> str:
    """The name of something of a peer, where one text has to say both: `peer:east/web`; without a peer the name."""
    return f"peer:{peer}/{name}" if peer else name


def split_peer(text: str) -> tuple[str, str]:
    """(name, peer) of what `at_peer` made."""
    if not text.startswith("peer:"):
        return text, ""
    peer, _, name = text[5:].partition("/")
    return name, peer


class _PeerWatches(Watches):
    """Wakes those who wait in `watches` for what changes in a peer's catalog."""

    def __init__(self, watches: Watches, peer: str) -> None:
        super().__init__()
        self._all = watches
        self._peer = peer

    def notify(self, topic: Topic) -> None:
        self._all.notify(peer_topic(self._peer, topic))


class _PeerVirtualIPs(VirtualIPs):
    """Addresses of a peer's services, out of this cluster's pool."""

    def __init__(self, pool: VirtualIPs, peer: str) -> None:
        super().__init__()
        self._pool = pool
        self._prefix = f"peer:{peer}/"  # no name of a service has a colon and a slash

    def get(self, name: str) -> str | None:
        return self._pool.get(self._prefix + name)

    def assign(self, name: str) -> str:
        return self._pool.assign(self._prefix + name)

    def release(self, name: str) -> None:
        self._pool.release(self._prefix + name)


class Imported:
    """The catalogs of peers, by their name."""

    def __init__(self, watches: Watches, virtual_ips: VirtualIPs) -> None:
        self._watches = watches
        self._virtual_ips = virtual_ips
        self.peers: dict[str, Registrations] = {}
        self._nothing = self._new("")

    def _new(self, peer: str) -> Registrations:
        return Registrations(
            _PeerWatches(self._watches, peer),
            Undo(),
            lambda *_: None,
            lambda *_: None,
            lambda _: False,
            _PeerVirtualIPs(self._virtual_ips, peer),
        )

    def of(self, peer: str) -> Registrations:
        """What is imported from a peer; empty for one that nothing was imported from. Not to be written."""
        return self.peers.get(peer.lower(), self._nothing)

    def service_names(self, peer: str) -> list[str]:
        """The services imported from a peer, without the sidecars beside them."""
        return sorted({row.name for row in self.of(peer).services.values() if row.kind != "connect-proxy"})

    def holds(self, peer: str, service: str, entries: Iterable[ServiceEntry]) -> bool:
        """Whether writing these instances of a service would change nothing: a stream that resumes tells all again."""
        held = {_key(entry): entry for entry in self.of(peer).entries(service)}
        wanted = {_key(entry): entry for entry in entries}
        return held.keys() == wanted.keys() and all(_same(held[key], wanted[key]) for key in wanted)

    def holds_others(self, peer: str, services: Iterable[str]) -> bool:
        """Whether other services than these are imported from a peer."""
        registrations = self.of(peer)
        known = sum(registrations.has(name) for name in {service.lower() for service in services})
        return registrations.count_names() > known

    # --- writes ------------------------------------------------------------------------------------------------

    def replace(self, command: ImportedReplace, index: int) -> None:
        """All instances of a service, in place of those that were known."""
        peer = command.peer
        registrations = self.peers.get(peer)
        if registrations is None:
            if not command.entries:
                return
            registrations = self.peers[peer] = self._new(peer)
        wanted = {(entry.node.name.lower(), entry.service.id.lower()) for entry in command.entries}
        for entry in registrations.entries(command.service, checks=False):
            key = (entry.node.name.lower(), entry.service.id.lower())
            if key not in wanted:
                self._remove(registrations, *key, index)
        for entry in command.entries:
            self._put(registrations, peer, entry, index)

    def keep(self, command: ImportedKeep, index: int) -> bool:
        """Forget all services but some; whether all others are gone."""
        kept = {name.lower() for name in command.services}
        registrations = self.of(command.peer)
        gone = [key for key, row in registrations.services.items() if row.name.lower() not in kept]
        for key in sorted(gone)[: command.limit]:
            self._remove(registrations, *key, index)
        if not registrations.services:
            self.peers.pop(command.peer, None)
        return len(gone) <= command.limit

    def _put(self, registrations: Registrations, peer: str, entry: ServiceEntry, index: int) -> None:
        node = msgspec.structs.replace(entry.node, peer_name=peer)
        key = node.name.lower()
        held = registrations.nodes.get(key)
        if held is not None and held.id.lower() != node.id.lower():
            # The node of that name is another one now: it takes what hangs on the old one along.
            registrations.deregister(commands.Deregister(node.name), index)
        service = msgspec.structs.replace(entry.service, peer_name=peer)
        checks = tuple(msgspec.structs.replace(check, node=node.name, peer_name=peer) for check in entry.checks)
        known = {check.check_id.lower() for check in checks}
        old = registrations.services.get((key, service.id.lower()))
        if old is not None:
            for check in [*registrations.checks_on(key, ""), *registrations.checks_on(key, service.id)]:
                if check.check_id.lower() not in known:
                    registrations.deregister(commands.Deregister(node.name, check_id=check.check_id), index)
        registrations.register(commands.Register(node, service, checks), index)

    @staticmethod
    def _remove(registrations: Registrations, node: str, service_id: str, index: int) -> None:
        registrations.deregister(commands.Deregister(node, service_id), index)
        if not registrations.on_node(node):
            registrations.deregister(commands.Deregister(node), index)
            registrations.reap(index)

    # --- snapshots ---------------------------------------------------------------------------------------------

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """The rows of one table of all peers, each with its peer: `nodes`, `services`, `checks` or `topics`."""
        found: list[tuple[Any, ...]] = []
        for peer in sorted(self.peers):
            registrations = self.peers[peer]
            if table == "services":
                found += [(peer, key[0], row) for key, row in registrations.services.items()]
            elif table == "topics":
                found += [
                    (peer, topic, "", index) if isinstance(topic, str) else (peer, *topic, index)
                    for topic, index in registrations.changed.items()
                ]
                found.append((peer, "", "", registrations.service_extinction))
            else:
                found += [(peer, row) for row in getattr(registrations, table).values()]
        return found

    def _at(self, peer: str) -> Registrations:
        if peer not in self.peers:
            self.peers[peer] = self._new(peer)
        return self.peers[peer]

    def load_topics(self, rows: Iterable[tuple[str, str, str, int]]) -> None:
        """Fill from a snapshot; a row without a topic has the index at which a service vanished last."""
        for peer, kind, name, index in rows:
            if kind:
                self._at(peer).load_topics([(kind, name, index)])
            else:
                self._at(peer).service_extinction = index

    def load_nodes(self, rows: Iterable[tuple[str, Node]]) -> None:
        """Fill from a snapshot; nodes come before instances."""
        for peer, row in rows:
            self._at(peer).load_nodes([row])

    def load_services(self, rows: Iterable[tuple[str, str, Service]]) -> None:
        """Fill from a snapshot: (peer, lower node name, instance)."""
        for peer, node, row in rows:
            self._at(peer).load_services([(node, row)])

    def load_checks(self, rows: Iterable[tuple[str, Check]]) -> None:
        """Fill from a snapshot."""
        for peer, row in rows:
            self._at(peer).load_checks([row])


def _key(entry: ServiceEntry) -> tuple[str, str]:
    return entry.node.name.lower(), entry.service.id.lower()


def _same(held: ServiceEntry, told: ServiceEntry) -> bool:
    """Whether a stored instance is what a peer tells, but for what is added here."""
    peer = held.node.peer_name
    node = msgspec.structs.replace(
        told.node, peer_name=peer, create_index=held.node.create_index, modify_index=held.node.modify_index
    )
    tagged = {tag: at for tag, at in (held.service.tagged_addresses or {}).items() if tag != "consul-virtual"}
    stored = msgspec.structs.replace(held.service, tagged_addresses=tagged or None)
    service = msgspec.structs.replace(
        told.service, peer_name=peer, create_index=stored.create_index, modify_index=stored.modify_index
    )
    states = {(check.check_id, check.name, check.status, check.service_id, check.type) for check in held.checks}
    return (node, service) == (held.node, stored) and states == {
        (check.check_id, check.name, check.status, check.service_id, check.type) for check in told.checks
    }
