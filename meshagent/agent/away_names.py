"""I/O edge: names of another datacenter (`web.service.dc2.consul`) for DNS: its API, asked with ?dc=.

What was found is held for `KEEP_S`, and answers that were made of it are forgotten with it; what is not there yet
raises `NotYet`, so the edge waits and asks again. Requests for one thing share one question. With `translate_wan_addrs`
the addresses are those by which the other datacenter is reached.

Source: surface rows D11, C30, D21; as `dns/view.py`. What may change here: times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import msgspec

from meshagent.agent.http.inside import ask
from meshagent.catalog.model import Check, Node, Service, ServiceEntry
from meshagent.catalog.watch import Topic, Watches
from meshagent.clock import Clock, Tasks
from meshagent.dns.view import NotYet, QueryAnswer, query_answer, usable, usable_gateways
from meshagent.errors import Unavailable

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["AwayNames", "Elsewhere", "names_elsewhere"]

Address = TypeVar("Address")
Topics = tuple[Topic, ...]
#: Asks this agent's API: path and query -> status and body.
Ask = Callable[[str], Awaitable[tuple[int, bytes]]]

KEEP_S = 2.0
#: Names that are held at a time, of all datacenters.
MAX_HELD = 10_000
#: What an agent says of a datacenter that nobody knows.
_UNKNOWN = b"No path to datacenter"


class _Entry(msgspec.Struct, rename="pascal"):
    node: Node
    service: Service
    checks: tuple[Check, ...] = ()


class _Found(msgspec.Struct, rename="pascal"):
    node: Node | None = None


class _Dns(msgspec.Struct):
    TTL: str = ""


class _Executed(msgspec.Struct, rename="pascal"):
    service: str = ""
    nodes: list[_Entry] = []
    dns: _Dns = msgspec.field(default_factory=_Dns, name="DNS")


class Elsewhere:
    """The names of all other datacenters. `stale`, `translate` are asked each time: a reload changes them."""

    def __init__(
        self,
        ask: Ask,
        watches: Callable[[], Watches],
        clock: Clock,
        tasks: Tasks,
        *,
        stale: Callable[[], bool],
        translate: Callable[[], bool],
    ) -> None:
        self.ask = ask
        self.watches = watches
        self.stale = stale
        self.translate = translate
        self._clock = clock
        self._tasks = tasks
        self._held: dict[str, Any] = {}
        self._asked: dict[str, asyncio.Task[None]] = {}
        self._views: dict[str, AwayNames] = {}

    def __call__(self, datacenter: str) -> AwayNames:
        """The names of one."""
        view = self._views.get(datacenter)
        if view is None:
            if len(self._views) >= 256:  # made-up labels, too
                self._views.clear()
            view = self._views[datacenter] = AwayNames(self, datacenter)
        return view

    def need(self, path: str, kind: Any, empty: Any) -> Any:
        """What `path` says, decoded as `kind`; `empty` where there is no such thing. Raises NotYet."""
        if path in self._held:
            return self._held[path]
        raise NotYet(partial(self._ready, path, kind, empty))

    async def _ready(self, path: str, kind: Any, empty: Any) -> None:
        """Raises Unavailable: the other datacenter does not answer."""
        if path in self._held:
            return
        task = self._asked.get(path)
        if task is None:
            task = self._asked[path] = self._tasks.start(self._fetch(path, kind, empty), name="names elsewhere")
        await asyncio.wait([task])
        if path not in self._held:
            raise Unavailable("the other datacenter does not answer")

    async def _fetch(self, path: str, kind: Any, empty: Any) -> None:
        try:
            status, body = await self.ask(path)
            if status == 200:
                found = msgspec.json.decode(body, type=kind)
            elif status == 404 or body.startswith(_UNKNOWN):
                found = empty
            else:
                return
        except msgspec.DecodeError:
            return
        finally:
            self._asked.pop(path, None)
        if len(self._held) >= MAX_HELD:
            return
        self._held[path] = found
        self._tasks.start(self._forget(path), name="names elsewhere grow old")

    async def _forget(self, path: str) -> None:
        await self._clock.sleep(KEEP_S)
        del self._held[path]
        watches = self.watches()
        watches.notify(("away", path))
        watches.flush()


class AwayNames:
    """A `dns.view.NamesView` of one other datacenter."""

    def __init__(self, all_: Elsewhere, datacenter: str) -> None:
        self._all = all_
        self._datacenter = datacenter
        self.named_nodes: dict[tuple[str, int, str], tuple[Node, Any, Any]] = {}

    @property
    def watches(self) -> Watches:
        """Those of this datacenter's view: answers of both are kept together."""
        return self._all.watches()

    def instances(
        self, name: str, tag: str, *, connect: bool, only_passing: bool
    ) -> tuple[list[tuple[ServiceEntry, int]], Topics]:
        """As `CatalogView.instances`."""
        entries, topics = self._entries(f"/v1/health/{'connect' if connect else 'service'}/{_segment(name)}")
        return usable(entries, tag, only_passing=only_passing), topics

    def ingress(self, name: str, *, only_passing: bool) -> tuple[list[tuple[ServiceEntry, int]], Topics]:
        """As `CatalogView.ingress`."""
        entries, topics = self._entries(f"/v1/health/ingress/{_segment(name)}")
        if only_passing:
            entries = [entry for entry in entries if all(check.status == "passing" for check in entry.checks)]
        return usable_gateways(entries), topics

    def virtual_ip(self, name: str) -> tuple[bytes | None, Topics]:
        """A virtual address means something in its own datacenter only."""
        return None, ()

    def query(self, name: str) -> QueryAnswer | None:
        """As `CatalogView.query`."""
        path = self._path(f"/v1/query/{_segment(name)}/execute")
        found: _Executed | None = self._all.need(path, _Executed, None)
        if found is None:
            return None
        entries = [self._entry(one) for one in found.nodes]
        return query_answer(entries, (("away", path),), found.service, found.dns.TTL, ordered=False)

    def node(self, name: str) -> tuple[Node | None, Topics]:
        """As `CatalogView.node`."""
        path = self._path(f"/v1/catalog/node/{_segment(name)}")
        found: _Found | None = self._all.need(path, _Found | None, None)
        node = found.node if found is not None else None
        return self._reached(node) if node is not None else None, (("away", path),)

    def names_at(self, address: str) -> tuple[str, str, Topics]:
        """Reverse names have no datacenter in them."""
        return "", "", ()

    def _path(self, path: str) -> str:
        return f"{path}?dc={_segment(self._datacenter)}" + ("&stale" if self._all.stale() else "")

    def _entries(self, path: str) -> tuple[list[ServiceEntry], Topics]:
        whole = self._path(path)
        found: list[_Entry] = self._all.need(whole, list[_Entry], [])
        return [self._entry(one) for one in found], (("away", whole),)

    def _entry(self, one: _Entry) -> ServiceEntry:
        service = one.service
        if self._all.translate() and service.tagged_addresses:
            service = msgspec.structs.replace(service, tagged_addresses=_seen_from_here(service.tagged_addresses))
        return ServiceEntry(self._reached(one.node), service, one.checks)

    def _reached(self, node: Node) -> Node:
        if not self._all.translate() or not node.tagged_addresses:
            return node
        return msgspec.structs.replace(node, tagged_addresses=_seen_from_here(node.tagged_addresses))


def _seen_from_here(tagged: dict[str, Address]) -> dict[str, Address]:
    """The addresses of the WAN in the place of those of another datacenter's LAN, which mean nothing here. A
    registration without addresses by family has its own filled in for both: such a one does not stand in the way of
    `wan`.
    """
    seen = {name: at for name, at in tagged.items() if not name.startswith("lan")}
    for name, at in tagged.items():
        lan = f"lan{name[3:]}"
        if name.startswith("wan_") and ("wan" not in tagged or _place(tagged.get(lan)) != _place(at)):
            seen[lan] = at
    return seen


def _place(at: Any) -> str:
    return str(getattr(at, "address", at))


def names_elsewhere(agent: Agent) -> Elsewhere:
    """Those of a running agent, which asks its own API with the token of DNS."""
    extras = agent.extras

    async def asked(path: str) -> tuple[int, bytes]:
        status, _, body = await ask(extras["http"].dispatcher, "GET", path, extras["acl_tokens"].dns)
        return status, body

    return Elsewhere(
        asked,
        lambda: extras["dns"].watches,
        agent.clock,
        agent.tasks,
        stale=lambda: agent.config.dns_config.allow_stale,
        translate=lambda: agent.config.translate_wan_addrs,
    )


def _segment(name: str) -> str:
    return quote(name, safe="")
