"""I/O edge: the snapshots of the proxies registered here, kept while somebody asks for them. A server has those of
proxies that are registered in the catalog alone, too.

A proxy asks with the digest of what it has and is answered when that is no longer true. Changes that come together make
one snapshot: who waits is woken in the next turn of the loop.

Source: surface rows M70, P6; design.md "One intermediate form for the mesh". What may change here: where leafs and
entries come from on an agent without a store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from meshagent.agent.http.intention_shapes import default_in_force
from meshagent.agent.proxy_places import Here, InCatalog, Place, Registered
from meshagent.catalog.query_execution import connect_rows
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import Denied, MeshError, NotFound

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.mesh import Mesh
    from meshagent.agent.mesh_replica import MeshReplica
    from meshagent.catalog.model import Service
    from meshagent.catalog.watch import Subscription
    from meshagent.connect.parts import Leaf

__all__ = ["Key", "Proxies", "Seen"]

log = logging.getLogger("agent.proxycfg")

#: What of a snapshot who asks may see; asked anew after every wait. Raises Denied.
Seen = Callable[[ProxySnapshot], ProxySnapshot]

#: A proxy: the node whose catalog has it, in lower case, "" for one that is registered here; its id.
Key = tuple[str, str]

#: A proxy that nobody has asked about for so long is forgotten.
UNUSED_S = 900.0


class _Proxy:
    def __init__(self, owner: Proxies, place: Place, now: float) -> None:
        from meshagent.connect.parts import SnapshotParts  # an idle agent has no proxies

        self._owner = owner
        self.place = place
        replica = owner.replica
        agent = owner.agent
        self.parts = SnapshotParts(
            agent.store,
            agent.datacenter,
            self.changed,
            replica.instances if replica is not None else None,
            replica.services if replica is not None else None,
            replica.query
            if replica is not None
            else lambda name: connect_rows(agent.store, name, agent.node_name, agent.datacenter),
            replica,
        )
        self.snapshot: ProxySnapshot | None = None
        self.digest = ""
        self.used = now
        #: The services whose leafs it shows.
        self.services: tuple[str, ...] = ()
        self.waiters: set[asyncio.Event] = set()

    def changed(self) -> None:
        self.snapshot = None
        for waiter in (*self.waiters, *self._owner.waiters):
            waiter.set()

    def close(self) -> None:
        self.parts.close()
        self.place.close()
        for waiter in self.waiters:
            waiter.set()


class Proxies:
    """All proxies of this agent that are asked about."""

    def __init__(self, agent: Agent, mesh: Mesh, replica: MeshReplica | None = None) -> None:
        """`replica` knows instances and services on an agent whose store has none."""
        self.agent = agent
        self.replica = replica
        self._mesh = mesh
        self._proxies: dict[Key, _Proxy] = {}
        #: Who waits for a change of any.
        self.waiters: set[asyncio.Event] = set()
        self._services: Subscription | None = None
        self._released = False
        #: Proxies that are registered nowhere: what their processes say of themselves.
        self._given: dict[str, Service] = {}
        mesh.leafs.on_leaf.append(self._new_leaf)
        if agent.upstream is not None:
            agent.upstream.on_default.append(self._new_default)

    async def get(
        self, proxy_id: str, digest: str = "", timeout_s: float = 0.0, seen: Seen | None = None, node: str = ""
    ) -> tuple[ProxySnapshot, str]:
        """(the snapshot of a proxy, its digest), as soon as it is another than `digest`, or after `timeout_s` seconds.
        With `seen` both are of what that leaves. With `node` it is the proxy that the catalog has on that node.

        Raises:
            NotFound: no such proxy is registered here (or there).
        """
        clock = self.agent.clock
        deadline = clock.monotonic() + timeout_s
        while True:
            key = self._key(proxy_id, node)
            snapshot, found = _shown(seen, *await self._current(key))
            left_s = deadline - clock.monotonic()
            if not digest or found != digest or left_s <= 0 or self._released:
                return snapshot, found
            await self._wait(key, left_s)

    def registered(self, proxy_id: str, node: str = "") -> Service:
        """The registration of a proxy with the central configuration in it. Raises NotFound, as `get`."""
        return self._registered(self._key(proxy_id, node)).service

    def _key(self, proxy_id: str, node: str) -> Key:
        """A proxy on this agent's own node is looked for here first, as Consul does."""
        own = node.lower() == self.agent.node_name.lower() and proxy_id in self.agent.local.services
        return ("", proxy_id) if not node or own else (node.lower(), proxy_id)

    async def changed(
        self, known: Mapping[str, str], timeout_s: float, seen: Seen | None = None
    ) -> tuple[dict[str, str], dict[str, ProxySnapshot]]:
        """(the digest of every proxy that is registered here, the snapshots of those that `known` has otherwise), as
        soon as the digests are others than `known`, or after `timeout_s` seconds."""
        clock = self.agent.clock
        deadline = clock.monotonic() + timeout_s
        woken = asyncio.Event()
        self.waiters.add(woken)
        try:
            while True:
                woken.clear()
                self._watch_services()
                digests: dict[str, str] = {}
                snapshots: dict[str, ProxySnapshot] = {}
                for proxy_id in self._registered_ids():
                    try:
                        current = await self._current(("", proxy_id))
                    except NotFound:  # it went while another was put together
                        continue
                    except Denied as error:  # nothing may be said of this one: it goes on with what it has
                        log.warning("no snapshot: proxy=%s error=%s", proxy_id, error)
                        if proxy_id in known:
                            digests[proxy_id] = known[proxy_id]
                        continue
                    try:
                        snapshot, digest = _shown(seen, *current)
                    except NotFound:  # nothing of it is for who asks
                        continue
                    digests[proxy_id] = digest
                    if known.get(proxy_id) != digest:
                        snapshots[proxy_id] = snapshot
                left_s = deadline - clock.monotonic()
                if digests != known or left_s <= 0 or self._released:
                    return digests, snapshots
                timer = self.agent.tasks.start(clock.sleep(left_s), name="proxies wait")
                timer.add_done_callback(lambda _: woken.set())
                try:
                    await woken.wait()
                finally:
                    timer.cancel()
        finally:
            self.waiters.discard(woken)

    def _registered_ids(self) -> list[str]:
        return [id_ for id_, entry in self.agent.local.services.items() if _is_proxy(entry.service)]

    def _watch_services(self) -> None:
        if self._services is None or not self._services.active:
            self._services = self.agent.local.watches.subscribe(["agent-services"], self._services_changed)

    def _services_changed(self) -> None:
        for waiter in self.waiters:
            waiter.set()

    def release(self) -> None:
        """The agent ends: answer who waits now."""
        self._released = True
        for waiter in (*self.waiters, *(waiter for proxy in self._proxies.values() for waiter in proxy.waiters)):
            waiter.set()

    @property
    def released(self) -> bool:
        """The agent ends, and nobody waits any more."""
        return self._released

    def is_given(self, proxy_id: str) -> bool:
        """Whether this proxy is described by its process and registered nowhere."""
        return proxy_id in self._given

    def given(self) -> list[Service]:
        """Those that are registered nowhere."""
        return list(self._given.values())

    async def get_given(
        self, service: Service, digest: str = "", timeout_s: float = 0.0, seen: Seen | None = None
    ) -> tuple[ProxySnapshot, str]:
        """The same as `get` for a proxy that is described by who asks, and registered nowhere."""
        self._given[service.id] = service
        return await self.get(service.id, digest, timeout_s, seen)

    async def _current(self, key: Key) -> tuple[ProxySnapshot, str]:
        service = self._registered(key).service
        from meshagent.connect.kinds import KINDS, identity_of

        kind = KINDS[service.kind]
        await self._mesh.known(kind.entries)
        if kind.services(service):
            await self._mesh.services_known()
        name = identity_of(service)
        await self._mesh.require_intentions(name)
        leafs = self._mesh.leafs
        agent = self.agent
        names = kind.leaf_names(agent.store.config.lookup(), name, agent.datacenter, agent.config.domain.rstrip("."))
        if not leafs.index_of(name) or leafs.names_of(name) != names:
            try:
                await leafs.get(name, names)
            except MeshError as error:
                log.warning("no leaf certificate yet: proxy=%s service=%s error=%s", key[1], name, error)
        others = kind.speaks_for(self._entry(key).parts, name)
        for other in others:
            await self._mesh.require_intentions(other)
        await asyncio.gather(*(self._leaf_of_other(key, other) for other in others))
        registered = self._registered(key)
        proxy = self._entry(key)
        proxy.services = (name, *others)
        if proxy.snapshot is None:
            proxy.snapshot = proxy.parts.build(
                registered.service,
                default_in_force(self.agent),
                self._held(name),
                registered.locality,
                registered.checks,
                registered.host_address,
                self._held,
            )
            proxy.digest = proxy.snapshot.digest()
        return proxy.snapshot, proxy.digest

    async def _leaf_of_other(self, key: Key, service: str) -> None:
        if self._mesh.leafs.index_of(service):
            return
        try:
            await self._mesh.leafs.get(service)
        except MeshError as error:
            log.warning("no leaf certificate yet: proxy=%s service=%s error=%s", key[1], service, error)

    def _held(self, service: str) -> Leaf:
        """The leaf that is here, as snapshots have it."""
        leaf = self._mesh.leafs.held(service)
        if leaf is None:
            return "", "", "", ""
        return leaf.signed.chain, leaf.key, leaf.valid_after.isoformat(), leaf.valid_before.isoformat()

    async def _wait(self, key: Key, timeout_s: float) -> None:
        proxy = self._entry(key)
        if proxy.snapshot is None:
            return
        woken = asyncio.Event()
        proxy.waiters.add(woken)
        timer = self.agent.tasks.start(self.agent.clock.sleep(timeout_s), name="proxy wait")
        timer.add_done_callback(lambda _: woken.set())
        try:
            await woken.wait()
        finally:
            timer.cancel()
            proxy.waiters.discard(woken)

    def _registered(self, key: Key) -> Registered:
        """Raises NotFound."""
        node, proxy_id = key
        given = self._given.get(proxy_id) if not node else None
        if given is not None:
            return Registered(given, self.agent.local.node.locality, (), self.agent.local.node.address)
        held = self._proxies.get(key)
        found = (held.place if held is not None else self._place(key)).find()
        if found is None or not _is_proxy(found.service):
            if held is not None:
                self._proxies.pop(key).close()
            where = f" on node {node}" if node else ""
            raise NotFound(f"unknown proxy ID: {proxy_id}{where}")
        return found

    def _place(self, key: Key) -> Place:
        node, proxy_id = key
        if not node:
            return Here(self.agent.local, proxy_id)
        if self.agent.upstream is not None:
            raise NotFound(f"unknown proxy ID: {proxy_id} (node {node}: ask a server, this is a client agent)")
        return InCatalog(self.agent.store, node, proxy_id)

    def _entry(self, key: Key) -> _Proxy:
        """What is held of a proxy, watched from now on."""
        now = self.agent.clock.monotonic()
        for other, held in list(self._proxies.items()):
            if not held.waiters and now - held.used > UNUSED_S and other != key:
                self._proxies.pop(other).close()
                if not other[0]:
                    self._given.pop(other[1], None)
        found = self._proxies.get(key)
        if found is None:
            found = self._proxies[key] = _Proxy(self, self._place(key), now)
        found.used = now
        found.place.watch(found.changed)
        return found

    def _new_default(self) -> None:
        for proxy in self._proxies.values():
            proxy.changed()

    def _new_leaf(self, service: str) -> None:
        for proxy in self._proxies.values():
            if service in proxy.services:
                proxy.changed()


def _is_proxy(service: Service) -> bool:
    if not service.kind:
        return False
    from meshagent.connect.kinds import KINDS

    return service.kind in KINDS


def _shown(seen: Seen | None, snapshot: ProxySnapshot, digest: str) -> tuple[ProxySnapshot, str]:
    shown = snapshot if seen is None else seen(snapshot)
    return shown, digest if shown is snapshot else shown.digest()
