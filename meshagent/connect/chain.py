"""The discovery chain: from router, splitter and resolver entries to the targets a service's traffic goes to.

Pure: a look-up of entries comes in, one frozen value comes out: the proxy executes it, xDS renders it.
A request enters at `start`: a router picks a node by what is asked for, a splitter by chance, a resolver names a target
and those to fail over to. Names of nodes and targets are Consul's (surface row M40).

Source: surface rows M23-M25, M40-M44, DC1; the golden scenario `discovery-chain`;
developer.hashicorp.com/consul/docs/connect/manage-traffic/discovery-chain. That entries fit together is held at write
time by catalog/entries/graph.py; what does not fit here raises with the same words. What may change here: fields are
added with a default.
"""

from __future__ import annotations

import msgspec

from meshagent.catalog.entries.entry import changed
from meshagent.catalog.entries.experiments import Fault, Mirror, percent_of
from meshagent.catalog.entries.graph import Lookup, is_http, protocol_of
from meshagent.catalog.entries.proxy_defaults import ProxyDefaults
from meshagent.catalog.entries.service_defaults import ServiceDefaults
from meshagent.catalog.entries.service_resolver import Failover, LoadBalancer, ServiceResolver, Subset
from meshagent.catalog.entries.service_router import HTTPMatch, Route, RouteDestination, RouteMatch, ServiceRouter
from meshagent.catalog.entries.service_splitter import ServiceSplitter, Split
from meshagent.catalog.model import MeshGateway, TransparentProxy
from meshagent.connect.header_edits import joined
from meshagent.connect.overrides import Overrides, customization
from meshagent.durations import parse_duration
from meshagent.errors import InternalError

__all__ = [
    "Chain",
    "NextRoute",
    "NextSplit",
    "Overrides",
    "ResolverNode",
    "RouterNode",
    "SplitterNode",
    "Target",
    "compile_chain",
    "sni",
    "target_id",
]

#: The protocol of a service whose callers find out what is spoken (ours); in all else it is layer 4.
DETECTED = "auto"
#: The connect timeout where nobody sets one (surface row M25).
DEFAULT_CONNECT_TIMEOUT = "5s"


class Target(msgspec.Struct, frozen=True):
    """A set of instances: a service (subset) in a datacenter or of a peer. `sni` is "" for a peer's in a chain."""

    id: str
    service: str
    subset: str
    datacenter: str
    peer: str
    connect_timeout: str
    mesh_gateway: MeshGateway
    instances: Subset
    transparent_proxy: TransparentProxy
    external: bool
    sni: str
    name: str
    prioritize_by_locality: str = ""


class ResolverNode(msgspec.Struct, frozen=True, tag="resolver"):
    """Where traffic ends. `default`: no entry stands behind it. `failover` are targets in order, None without any."""

    name: str
    target: str
    connect_timeout: str
    request_timeout_ns: int
    default: bool
    failover: tuple[str, ...] | None
    load_balancer: LoadBalancer | None
    #: The resolver node that gets copies, "" for none; faults on purpose (both ours).
    mirror: str = ""
    mirror_percent: float = 100.0
    fault: Fault | None = None


class NextSplit(msgspec.Struct, frozen=True):
    """A share in percent; `definition` is the innermost split it came from."""

    definition: Split
    weight: float
    next: str


class SplitterNode(msgspec.Struct, frozen=True, tag="splitter"):
    """Shares of a service's traffic; splitters behind splitters are multiplied out."""

    name: str
    splits: tuple[NextSplit, ...]


class NextRoute(msgspec.Struct, frozen=True):
    """A route and the node it leads to; `mirror` is the resolver node that gets copies, "" for none."""

    definition: Route
    next: str
    mirror: str = ""


class RouterNode(msgspec.Struct, frozen=True, tag="router"):
    """Routes in order; the last one takes everything."""

    name: str
    routes: tuple[NextRoute, ...]


Node = ResolverNode | SplitterNode | RouterNode


class Chain(msgspec.Struct, frozen=True):
    """A compiled chain. `nodes` and `targets` are by id; `customization` tells overridden chains apart."""

    service: str
    datacenter: str
    protocol: str
    start: str
    nodes: dict[str, Node]
    targets: dict[str, Target]
    default: bool
    meta: dict[str, str] = {}
    customization: str = ""
    #: Of the mesh it was compiled in.
    trust_domain: str = ""

    @property
    def is_http(self) -> bool:
        """Whether requests are routed, not connections."""
        return is_http(self.protocol)

    @property
    def is_detected(self) -> bool:
        """Whether the first bytes of a connection tell what is spoken (ours)."""
        return self.protocol == DETECTED


def target_id(service: str, subset: str, datacenter: str, peer: str = "") -> str:
    """The id of a target: `v2.web.default.default.dc1`, `web.default.default.external.east`."""
    where = f"external.{peer}" if peer else datacenter
    return f"{subset + '.' if subset else ''}{service}.default.default.{where}"


def sni(service: str, subset: str, datacenter: str, trust_domain: str) -> str:
    """The name by which a target is called in TLS (surface row M44)."""
    return f"{subset + '.' if subset else ''}{service}.default.{datacenter}.internal.{trust_domain}"


def compile_chain(
    entries: Lookup, service: str, datacenter: str, trust_domain: str, overrides: Overrides | None = None
) -> Chain:
    """The chain of a service, as a proxy in `datacenter` sees it.

    Raises:
        InternalError: the entries do not fit together, with Consul's words.
    """
    return _Compiler(entries, service, datacenter, trust_domain, overrides or Overrides()).compile()


class _Compiler:
    def __init__(self, entries: Lookup, service: str, datacenter: str, trust_domain: str, overrides: Overrides) -> None:
        self._entries = entries
        self._service = service
        self._datacenter = datacenter
        self._trust_domain = trust_domain
        self._overrides = overrides
        self._own_protocol = protocol_of(entries, service)
        self.protocol = overrides.protocol or self._own_protocol
        self.nodes: dict[str, Node] = {}
        self.targets: dict[str, Target] = {}
        self._customized: set[str] = {"protocol"} if self.protocol != self._own_protocol else set()

    def compile(self) -> Chain:
        service = self._service
        router = self._entries.get(ServiceRouter, service)
        splitter = self._entries.get(ServiceSplitter, service)
        if not is_http(self.protocol):
            if (router is not None or splitter is not None) and not self._overrides.protocol:
                raise InternalError(
                    f'discovery chain "{service}" uses a protocol "{self.protocol}" that does not permit advanced '
                    "routing or splitting behavior"
                )
            start = self._resolver(service, "", self._datacenter)
        elif router is not None:
            start = self._router(router)
        else:
            start = self._splitter_or_resolver(service)
        defaults = self._entries.get(ServiceDefaults, service)
        first = self.nodes[start]
        own = target_id(service, "", self._datacenter)
        return Chain(
            service=service,
            datacenter=self._datacenter,
            protocol=self.protocol,
            start=start,
            nodes=dict(sorted(self.nodes.items())),
            targets=dict(sorted(self.targets.items())),
            default=isinstance(first, ResolverNode) and first.default and first.target == own,
            meta=dict(defaults.meta or {}) if defaults is not None else {},
            customization=customization(self._overrides, self._customized),
            trust_domain=self._trust_domain,
        )

    # --- nodes ---------------------------------------------------------------------------------------------------

    def _router(self, router: ServiceRouter) -> str:
        service = self._service
        key = f"router:{service}.default.default"
        routes = []
        for route in router.routes or ():
            destination = route.destination
            to = destination.service if destination is not None and destination.service else service
            if destination is not None and destination.service_subset:
                next_ = self._resolver(to, destination.service_subset, self._datacenter)
            else:
                next_ = self._splitter_or_resolver(to)
            copied = destination.mirror if destination is not None else None
            routes.append(NextRoute(route, next_, self._copies(to, copied) if copied is not None else ""))
        everything = Route(
            match=RouteMatch(http=HTTPMatch(path_prefix="/")),
            destination=RouteDestination(service=service, namespace="default", partition="default"),
        )
        routes.append(NextRoute(everything, self._splitter_or_resolver(service)))
        self.nodes[key] = RouterNode(key.removeprefix("router:"), tuple(routes))
        return key

    def _splitter_or_resolver(self, service: str) -> str:
        splitter = self._entries.get(ServiceSplitter, service)
        if splitter is None:
            return self._resolver(service, "", self._datacenter)
        key = f"splitter:{service}.default.default"
        if key not in self.nodes:
            self.nodes[key] = SplitterNode(key.removeprefix("splitter:"), tuple(self._splits(splitter, ())))
        return key

    def _splits(self, splitter: ServiceSplitter, above: tuple[str, ...]) -> list[NextSplit]:
        service = splitter.name
        if service in above:
            circle = " -> ".join(f"splitter:{name}" for name in (*above[above.index(service) :], service))
            raise InternalError(f"detected circular reference: [{circle}]")
        found: list[NextSplit] = []
        for split in splitter.splits or ():
            to = split.service or service
            inner = self._entries.get(ServiceSplitter, to) if to != service and not split.service_subset else None
            if inner is None:
                found.append(NextSplit(split, split.weight, self._resolver(to, split.service_subset, self._datacenter)))
                continue
            for one in self._splits(inner, (*above, service)):
                weight = round(one.weight * split.weight) / 100
                found.append(msgspec.structs.replace(one, weight=weight, definition=_inherited(one.definition, split)))
        return found

    def _resolver(self, service: str, subset: str, datacenter: str, history: tuple[str, ...] = ()) -> str:
        """The key of the resolver node behind a service, redirects followed."""
        target, resolver = self._resolved(service, subset, datacenter, "", history)
        key = f"resolver:{target.id}"
        if key in self.nodes:
            return key
        node = ResolverNode(
            name=target.id,
            target=target.id,
            connect_timeout=target.connect_timeout,
            request_timeout_ns=parse_duration(resolver.request_timeout)
            if resolver is not None and resolver.request_timeout
            else 0,
            default=resolver is None,
            failover=None,
            load_balancer=resolver.load_balancer if resolver is not None else None,
            fault=resolver.fault if resolver is not None else None,
        )
        self.nodes[key] = node
        if resolver is not None and resolver.mirror is not None:
            copies = self._copies(target.service, resolver.mirror)
            node = msgspec.structs.replace(node, mirror=copies, mirror_percent=percent_of(resolver.mirror.percent))
            self.nodes[key] = node
        failovers = (resolver.failover or {}) if resolver is not None else {}
        failover = failovers.get(target.subset) or failovers.get("*")
        if failover is not None:
            places = self._failover_targets(target, failover)
            if places:
                self.nodes[key] = msgspec.structs.replace(node, failover=places)
        return key

    def _copies(self, service: str, mirror: Mirror) -> str:
        """The key of the resolver node that copies go to; splits are not looked at."""
        return self._resolver(mirror.service or service, mirror.service_subset, self._datacenter)

    def _failover_targets(self, own: Target, failover: Failover) -> tuple[str, ...]:
        places: list[tuple[str, str, str, str]] = []
        for one in failover.targets:
            service = one.service or own.service
            kept = own.subset if service == own.service and not one.peer else ""
            places.append((service, one.service_subset or kept, one.datacenter or self._datacenter, one.peer))
        if not failover.targets:
            service = failover.service or own.service
            kept = own.subset if service == own.service else ""
            wanted = failover.service_subset or kept
            places = [(service, wanted, where, "") for where in failover.datacenters or (self._datacenter,)]
        found = [self._resolved(*place, ())[0].id for place in places]
        return tuple(dict.fromkeys(one for one in found if one != own.id))

    # --- targets -------------------------------------------------------------------------------------------------

    def _resolved(
        self, service: str, subset: str, datacenter: str, peer: str, history: tuple[str, ...]
    ) -> tuple[Target, ServiceResolver | None]:
        """The target behind a service and the entry that speaks of it, redirects followed."""
        if peer:
            return self._target(service, "", "", peer, None), None
        self._take_protocol(service)
        resolver = self._entries.get(ServiceResolver, service)
        key = f"{subset}.{service}" if subset else service
        if resolver is None:
            if subset:
                raise InternalError(f'service "{service}" does not have a subset named "{subset}"')
            return self._target(service, "", datacenter, "", None), None
        redirect = resolver.redirect
        if redirect is not None:
            at = f"{key}@{datacenter}"
            if at in history:
                names = " -> ".join(one.partition("@")[0] for one in (*history, at))
                raise InternalError(f"detected circular resolver redirect: [{names}]")
            to = redirect.service or service
            wanted = redirect.service_subset or ("" if redirect.service else subset)
            there = redirect.datacenter or datacenter
            if (to, wanted, there, redirect.peer) != (service, subset, datacenter, ""):
                return self._resolved(to, wanted, there, redirect.peer, (*history, at))
        subset = subset or resolver.default_subset
        if not resolver.has_subset(subset):
            raise InternalError(f'service "{service}" does not have a subset named "{subset}"')
        return self._target(service, subset, datacenter, "", resolver), resolver

    def _target(
        self, service: str, subset: str, datacenter: str, peer: str, resolver: ServiceResolver | None
    ) -> Target:
        id_ = target_id(service, subset, datacenter, peer)
        if id_ in self.targets:
            return self.targets[id_]
        own = self._entries.get(ServiceDefaults, service) if not peer else None
        everyone = self._entries.get(ProxyDefaults, "global")
        gateway, transparent = MeshGateway(), TransparentProxy()
        for entry in (everyone, own):
            if entry is not None and entry.mesh_gateway.mode:
                gateway = entry.mesh_gateway
            if entry is not None and entry.transparent_proxy != TransparentProxy():
                transparent = entry.transparent_proxy
        if self._overrides.mesh_gateway:
            if gateway.mode != self._overrides.mesh_gateway:
                self._customized.add("mesh_gateway")
            gateway = MeshGateway(mode=self._overrides.mesh_gateway)
        timeout = (resolver.connect_timeout if resolver is not None else "") or DEFAULT_CONNECT_TIMEOUT
        if self._overrides.connect_timeout:
            if timeout != self._overrides.connect_timeout:
                self._customized.add("connect_timeout")
            timeout = self._overrides.connect_timeout
        name = sni(service, subset, datacenter, self._trust_domain) if not peer else ""
        external = own.external_sni if own is not None and datacenter == self._datacenter else ""
        subsets = (resolver.subsets or {}) if resolver is not None else {}
        nearer = (resolver and resolver.prioritize_by_locality) or (everyone and everyone.prioritize_by_locality)
        target = self.targets[id_] = Target(
            id=id_,
            service=service,
            subset=subset,
            datacenter="" if peer else datacenter,
            peer=peer,
            connect_timeout=timeout,
            mesh_gateway=gateway,
            instances=subsets.get(subset, Subset()),
            transparent_proxy=transparent,
            external=bool(external),
            sni=external or name,
            name=name,
            prioritize_by_locality=nearer.mode if nearer else "",
        )
        return target

    def _take_protocol(self, service: str) -> None:
        if self._overrides.protocol:
            return
        protocol = protocol_of(self._entries, service)
        if protocol != self.protocol:
            raise InternalError(
                f'discovery chain "{self._service}" uses inconsistent protocols; service "{service}" has "{protocol}" '
                f'which is not "{self.protocol}"'
            )


def _inherited(definition: Split, parent: Split) -> Split:
    """An inner split with the header changes of the split above it; its own come last."""
    both = {
        "request_headers": joined(parent.request_headers, definition.request_headers),
        "response_headers": joined(parent.response_headers, definition.response_headers),
    }
    return changed(definition, **both)  # type: ignore[no-any-return]
