"""What a client agent knows of the mesh: roots, config entries and instances of upstreams, as the servers tell.

They are kept in the tables of the client's own store, with the topics of every change, so that decisions and snapshots
of proxies work from a store on clients as on servers. Private keys of the authority never come here, those of an API
gateway's certificates where one is registered. Everything is followed from when it is first needed; until all entries
have come there are no decisions: what is not known yet must not be taken for the default.

Source: our own; questions in agent/rpc/questions.py. What may change here: which tables are followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from meshagent.agent.local import LocalState
from meshagent.agent.registration import LocalService, Observer
from meshagent.agent.rpc import questions
from meshagent.catalog.gateway_services import GatewayService
from meshagent.catalog.mesh_services import TOPIC as MESH_SERVICES
from meshagent.catalog.mesh_services import MeshService
from meshagent.catalog.model import ServiceEntry
from meshagent.catalog.store import Store
from meshagent.catalog.watch import Topic
from meshagent.clock import Clock
from meshagent.connect.central import MERGED_KINDS
from meshagent.dns.view import NotYet
from meshagent.errors import MeshError, Unavailable

if TYPE_CHECKING:
    from meshagent.agent.rpc.rows import Rows

__all__ = ["KINDS", "MeshReplica"]

#: What chains and decisions are made of.
KINDS = (
    "exported-services",
    "jwt-provider",
    "mesh",
    "proxy-defaults",
    "service-defaults",
    "service-intentions",
    "service-resolver",
    "service-router",
    "service-splitter",
)
#: What is kept as it is told; with the agent's token, not with that of DNS.
TOLD = frozenset(
    {
        questions.MESH_INSTANCES,
        questions.MESH_PLAIN,
        questions.GATEWAY_SERVICES,
        questions.MESH_GATEWAYS,
        questions.QUERY_CONNECT,
    }
)
#: How long somebody waits for the first entries, and how often he looks.
FIRST_S, LOOK_S = 4.0, 0.02


class MeshReplica(Observer):
    """Follows `rows` into `store`."""

    def __init__(self, rows: Rows, store: Store, clock: Clock) -> None:
        self._rows = rows
        self._store = store
        self._clock = clock
        #: Topics of what is followed, by question.
        self._pinned: dict[tuple[str, str], Topic] = {}
        self._missing = {*KINDS, ""}
        self._services: tuple[MeshService, ...] | None = None

    def attach(self, local: LocalState) -> None:
        """Begin with the first registration here that central configuration speaks of."""
        local.observe(self)
        for entry in local.services.values():
            self.service_added(entry)

    def service_added(self, entry: LocalService) -> None:
        if entry.service.kind in MERGED_KINDS:
            self.follow()

    def follow_roots(self) -> None:
        """Follow the roots from now on."""
        self._follow(questions.ROOTS, "")

    def follow(self, kinds: tuple[str, ...] = ()) -> None:
        """Follow roots and entries from now on, those of `kinds` too."""
        self.follow_roots()
        self._follow(questions.PEER_ROOTS, "")
        for kind in (*KINDS, *kinds):
            if (questions.CONFIG_KIND, kind) not in self._pinned:
                self._missing.add(kind)
            self._follow(questions.CONFIG_KIND, kind)

    async def known(self, kinds: tuple[str, ...] = ()) -> None:
        """Return when roots and the entries that decisions are made of are here, and those of `kinds`; they are
        followed from now on.

        Raises:
            Unavailable: no server has told them yet.
        """
        self.follow(kinds)
        await self._until(lambda: not self._missing, "the intentions")

    async def services_known(self) -> None:
        """Return when the services with virtual addresses are here; they are followed from now on.

        Raises:
            Unavailable: no server has told them yet.
        """
        self._follow(questions.MESH_SERVICES, "")
        await self._until(lambda: self._services is not None, "the services of the mesh")

    def services(self) -> tuple[MeshService, ...]:
        """The services with virtual addresses."""
        return self._services or ()

    def instances(self, service: str) -> tuple[Iterable[ServiceEntry], tuple[Topic, ...]]:
        """The instances that give mesh access to a service, followed from the first time on; their topic."""
        return self._told(questions.MESH_INSTANCES, service.lower())

    def plain(self, service: str) -> tuple[Iterable[ServiceEntry], tuple[Topic, ...]]:
        """As `connect.told.Told.plain`, followed from the first time on, as the others."""
        return self._told(questions.MESH_PLAIN, service.lower())

    def behind(self, gateway: str) -> tuple[Iterable[GatewayService], tuple[Topic, ...]]:
        """As `connect.told.Told.behind`."""
        return self._told(questions.GATEWAY_SERVICES, gateway)

    def gateways(self, datacenter: str) -> tuple[Iterable[ServiceEntry], tuple[Topic, ...]]:
        """As `connect.told.Told.gateways`."""
        return self._told(questions.MESH_GATEWAYS, datacenter)

    def query(self, name: str) -> tuple[Iterable[ServiceEntry], tuple[Topic, ...]]:
        """What a prepared query finds that gives mesh access."""
        return self._told(questions.QUERY_CONNECT, name)

    # --- inside ------------------------------------------------------------------------------------------------

    def _told(self, kind: str, name: str) -> tuple[Any, tuple[Topic, ...]]:
        self._follow(kind, name)
        topics: tuple[Topic, ...] = ((f"told-{kind}", name),)
        try:
            found, _ = self._rows.need(kind, name)
        except (NotYet, MeshError):
            return (), topics
        return found, topics

    async def _until(self, known: Callable[[], bool], what: str) -> None:
        end = self._clock.monotonic() + FIRST_S
        while not known():
            if self._clock.monotonic() >= end:
                raise Unavailable(f"no server has told this agent {what} yet, try again in a moment")
            await self._clock.sleep(LOOK_S)

    def _follow(self, kind: str, name: str) -> None:
        if (kind, name) not in self._pinned:
            self._pinned[kind, name] = self._rows.pin(kind, name)
            self._subscribe(kind, name)
            self._take(kind, name)

    def _subscribe(self, kind: str, name: str) -> None:
        self._rows.watches.subscribe([self._pinned[kind, name]], lambda: self._changed(kind, name))

    def _let_go(self, names: Iterable[str]) -> None:
        """Follow the instances of services that are gone no more: who still wants one follows it anew."""
        for name in names:
            if self._pinned.pop((questions.MESH_INSTANCES, name), None) is not None:
                self._rows.unpin(questions.MESH_INSTANCES, name)
                self._store.watches.notify((f"told-{questions.MESH_INSTANCES}", name))

    def _changed(self, kind: str, name: str) -> None:
        if (kind, name) not in self._pinned:
            return
        self._subscribe(kind, name)
        self._take(kind, name)

    def _take(self, kind: str, name: str) -> None:
        store = self._store
        try:
            found, _ = self._rows.need(kind, name)
        except NotYet:
            if kind == questions.CONFIG_KIND:
                self._missing.add(name)  # asked anew with another token: what the old one saw may not be all
            return
        except MeshError:
            return  # what was known stays in force
        if kind == questions.CONFIG_KIND:
            store.config.mirror(name, found)
            self._missing.discard(name)
        elif kind in TOLD:
            store.watches.notify((f"told-{kind}", name))
        elif kind == questions.PEER_ROOTS:
            store.peerings.mirror_bundles(found)
        elif kind == questions.MESH_SERVICES:
            known, self._services = self._services or (), found
            self._let_go({one.name.lower() for one in known} - {one.name.lower() for one in found})
            store.watches.notify(MESH_SERVICES)
        elif found is not None:
            self._missing.discard("")
            before = (store.ca.roots, store.ca.cluster_id)
            store.ca.load([found])
            if before != (store.ca.roots, store.ca.cluster_id):
                store.watches.notify("ca-roots")
            store.watches.notify("ca-config")
        store.watches.flush()
