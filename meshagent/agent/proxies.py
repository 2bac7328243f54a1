"""I/O edge: the snapshots of the proxies registered here, kept while somebody asks for them.

A proxy asks with the digest of what it has and is answered when that is no longer true. Changes that come together make
one snapshot: who waits is woken in the next turn of the loop.

Source: surface row M70; design.md "One intermediate form for the mesh". What may change here: where leafs and entries
come from on an agent without a store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from meshagent.agent.exposed_checks import exposed_paths
from meshagent.agent.http.intention_shapes import default_in_force
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import Denied, MeshError, NotFound

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.mesh import Mesh
    from meshagent.agent.mesh_replica import MeshReplica
    from meshagent.catalog.model import Service
    from meshagent.catalog.watch import Subscription
    from meshagent.connect.parts import Leaf

__all__ = ["Proxies", "Seen"]

log = logging.getLogger("agent.proxycfg")

#: What of a snapshot who asks may see; asked anew after every wait. Raises Denied.
Seen = Callable[[ProxySnapshot], ProxySnapshot]

#: A proxy that nobody has asked about for so long is forgotten.
UNUSED_S = 900.0


class _Proxy:
    def __init__(self, owner: Proxies, proxy_id: str, now: float) -> None:
        from meshagent.connect.parts import SnapshotParts  # an idle agent has no proxies

        self._owner = owner
        self._id = proxy_id
        replica = owner.replica
        told = (replica.instances, replica.services, replica) if replica is not None else ()
        self.parts = SnapshotParts(owner.agent.store, owner.agent.datacenter, self.changed, *told)
        self.snapshot: ProxySnapshot | None = None
        self.digest = ""
        self.used = now
        #: The services whose leafs it shows.
        self.services: tuple[str, ...] = ()
        self.waiters: set[asyncio.Event] = set()
        self._registration: Subscription | None = None

    def changed(self) -> None:
        self.snapshot = None
        for waiter in (*self.waiters, *self._owner.waiters):
            waiter.set()

    def watch(self) -> None:
        if self._registration is None or not self._registration.active:
            topic = ("agent-service", self._id)
            self._registration = self._owner.agent.local.watches.subscribe([topic], self.changed)

    def close(self) -> None:
        self.parts.close()
        if self._registration is not None:
            self._registration.cancel()
        for waiter in self.waiters:
            waiter.set()


class Proxies:
    """All proxies of this agent that are asked about."""

    def __init__(self, agent: Agent, mesh: Mesh, replica: MeshReplica | None = None) -> None:
        """`replica` knows instances and services on an agent whose store has none."""
        self.agent = agent
        self.replica = replica
        self._mesh = mesh
        self._proxies: dict[str, _Proxy] = {}
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
        self, proxy_id: str, digest: str = "", timeout_s: float = 0.0, seen: Seen | None = None
    ) -> tuple[ProxySnapshot, str]:
        """(the snapshot of a proxy, its digest), as soon as it is another than `digest`, or after `timeout_s` seconds.
        With `seen` both are of what that leaves.

        Raises:
            NotFound: no such proxy is registered here.
        """
        clock = self.agent.clock
        deadline = clock.monotonic() + timeout_s
        while True:
            snapshot, found = _shown(seen, *await self._current(proxy_id))
            left_s = deadline - clock.monotonic()
            if not digest or found != digest or left_s <= 0 or self._released:
                return snapshot, found
            await self._wait(proxy_id, left_s)

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
                        current = await self._current(proxy_id)
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

    async def _current(self, proxy_id: str) -> tuple[ProxySnapshot, str]:
        service = self._registered(proxy_id)
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
                log.warning("no leaf certificate yet: proxy=%s service=%s error=%s", proxy_id, name, error)
        others = kind.speaks_for(self._entry(proxy_id).parts, name)
        for other in others:
            await self._mesh.require_intentions(other)
        await asyncio.gather(*(self._leaf_of_other(proxy_id, other) for other in others))
        service = self._registered(proxy_id)
        proxy = self._entry(proxy_id)
        proxy.services = (name, *others)
        proxy.watch()
        if proxy.snapshot is None:
            local = self.agent.local
            checks = exposed_paths(local, service.proxy.destination_service_id)
            proxy.snapshot = proxy.parts.build(
                service, default_in_force(self.agent), self._held(name), local.node.locality, checks,
                local.node.address, self._held,
            )  # fmt: skip
            proxy.digest = proxy.snapshot.digest()
        return proxy.snapshot, proxy.digest

    async def _leaf_of_other(self, proxy_id: str, service: str) -> None:
        if self._mesh.leafs.index_of(service):
            return
        try:
            await self._mesh.leafs.get(service)
        except MeshError as error:
            log.warning("no leaf certificate yet: proxy=%s service=%s error=%s", proxy_id, service, error)

    def _held(self, service: str) -> Leaf:
        """The leaf that is here, as snapshots have it."""
        leaf = self._mesh.leafs.held(service)
        if leaf is None:
            return "", "", "", ""
        return leaf.signed.chain, leaf.key, leaf.valid_after.isoformat(), leaf.valid_before.isoformat()

    async def _wait(self, proxy_id: str, timeout_s: float) -> None:
        proxy = self._entry(proxy_id)
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

    def _registered(self, proxy_id: str) -> Service:
        given = self._given.get(proxy_id)
        if given is not None:
            return given
        entry = self.agent.local.services.get(proxy_id)
        if entry is None or not _is_proxy(entry.service):
            held = self._proxies.pop(proxy_id, None)
            if held is not None:
                held.close()
            raise NotFound(f"unknown proxy ID: {proxy_id}")
        return entry.service

    def _entry(self, proxy_id: str) -> _Proxy:
        now = self.agent.clock.monotonic()
        for other, held in list(self._proxies.items()):
            if not held.waiters and now - held.used > UNUSED_S and other != proxy_id:
                self._proxies.pop(other).close()
                self._given.pop(other, None)
        found = self._proxies.get(proxy_id)
        if found is None:
            found = self._proxies[proxy_id] = _Proxy(self, proxy_id, now)
        found.used = now
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
