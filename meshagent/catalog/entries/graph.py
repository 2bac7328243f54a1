"""What entries must be together: discovery chains that compile, protocols that agree.

Pure: a `Lookup` of entries as they would be after a change goes in, a problem in Consul's words comes out ("" for
none). A chain is walked as the compiler walks it: router, splitters, resolvers, with the protocol of every service.

Source: surface rows M40-M42, CF1, CF4 (texts watched on a running Consul);
developer.hashicorp.com/consul/docs/connect/manage-traffic/discovery-chain. What may change here: checks are added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.experiments import Mirror
from meshagent.catalog.entries.proxy_defaults import ProxyDefaults
from meshagent.catalog.entries.service_defaults import ServiceDefaults
from meshagent.catalog.entries.service_resolver import Failover, ServiceResolver
from meshagent.catalog.entries.service_router import ServiceRouter
from meshagent.catalog.entries.service_splitter import ServiceSplitter

__all__ = ["Chain", "Lookup", "chain_problem", "is_http", "protocol_of"]

E = TypeVar("E", bound=Entry)
_HTTP = frozenset({"http", "http2", "grpc"})


class Lookup:
    """Entries by kind and name, and all of a kind by name."""

    def __init__(self, get: Callable[[str, str], Entry | None], kind: Callable[[str], Iterable[Entry]]) -> None:
        self._get = get
        self._kind = kind

    def get(self, type_: type[E], name: str) -> E | None:
        """One entry."""
        found = self._get(str(type_.__struct_config__.tag), name)
        return found if isinstance(found, type_) else None

    def all(self, type_: type[E]) -> list[E]:
        """All entries of a kind, by name."""
        return [one for one in self._kind(str(type_.__struct_config__.tag)) if isinstance(one, type_)]

    def over(self, made: Mapping[tuple[str, str], Entry]) -> Lookup:
        """These entries, those of `made` (by kind and name in lower case) in place of their own."""
        return Lookup(lambda kind, name: made.get((kind, name.lower())) or self._get(kind, name), self._kind)


def is_http(protocol: str) -> bool:
    """Whether a protocol allows routing, splitting and L7 permissions."""
    return protocol in _HTTP


def protocol_of(entries: Lookup, service: str) -> str:
    """The protocol of a service: its own, else that of all proxies, else tcp."""
    own = entries.get(ServiceDefaults, service)
    if own is not None and own.protocol:
        return own.protocol.lower()
    defaults = entries.get(ProxyDefaults, "global")
    return (defaults.protocol if defaults is not None else "") or "tcp"


class _Refused(Exception):
    """The chain does not compile; the text is for the user."""


class Chain:
    """The walk through one chain: its protocol, what stands at its top, what is wrong with it."""

    def __init__(self, entries: Lookup, service: str) -> None:
        self._entries = entries
        self.service = service
        self.protocol = ""
        self.top = "resolver"
        self.problem = ""
        self._done: set[tuple[str, str]] = set()
        try:
            self._walk()
        except _Refused as refused:
            self.problem = str(refused)

    def _walk(self) -> None:
        if not self.service:
            raise _Refused("serviceName is required")
        router = self._entries.get(ServiceRouter, self.service)
        if router is not None:
            self.top = "router"
            self._take_protocol(self.service)
            for route in router.routes or ():
                destination = route.destination
                service = destination.service if destination is not None and destination.service else self.service
                if destination is not None and destination.service_subset:
                    self._resolve(service, destination.service_subset, ())
                else:
                    self._split(service, ())
                if destination is not None and destination.mirror is not None:
                    self._copy(service, destination.mirror)
        elif self._entries.get(ServiceSplitter, self.service) is not None:
            self.top = "splitter"
            self._take_protocol(self.service)
        self._split(self.service, ())
        if self.top != "resolver" and not is_http(self.protocol):
            raise _Refused(
                f'discovery chain "{self.service}" uses a protocol "{self.protocol}" that does not permit advanced '
                "routing or splitting behavior"
            )

    def _split(self, service: str, above: tuple[str, ...]) -> None:
        splitter = self._entries.get(ServiceSplitter, service)
        if splitter is None:
            self._resolve(service, "", ())
            return
        if service in above:
            nodes = " -> ".join(f"splitter:{name}" for name in (*above[above.index(service) :], service))
            raise _Refused(f"detected circular reference: [{nodes}]")
        self._take_protocol(service)
        for split in splitter.splits or ():
            to = split.service or service
            if to != service and not split.service_subset:
                self._split(to, (*above, service))
            else:
                self._resolve(to, split.service_subset, ())

    def _resolve(self, service: str, subset: str, history: tuple[str, ...], failing_over: bool = False) -> None:
        if (service, subset) in self._done:
            return
        self._take_protocol(service)
        resolver = self._entries.get(ServiceResolver, service)
        key = f"{subset}.{service}" if subset else service
        if key in history:
            raise _Refused(f"detected circular resolver redirect: [{' -> '.join((*history, key))}]")
        history = (*history, key)
        if resolver is None:
            if subset:
                raise _Refused(f'service "{service}" does not have a subset named "{subset}"')
            self._done.add((service, subset))
            return
        redirect = resolver.redirect
        if redirect is not None:
            self._check_external(resolver)
            if redirect.peer or redirect.datacenter:
                self._elsewhere(redirect.service or service, redirect.peer)
                return
            target = (redirect.service or service, redirect.service_subset or ("" if redirect.service else subset))
            if target != (service, subset):
                self._resolve(*target, history, failing_over)
                return
        if not subset and resolver.default_subset:
            subset = resolver.default_subset
        if not resolver.has_subset(subset):
            raise _Refused(f'service "{service}" does not have a subset named "{subset}"')
        self._check_external(resolver)
        if failing_over:
            return
        self._done.add((service, subset))
        if resolver.mirror is not None:
            self._copy(service, resolver.mirror)
        failover = (resolver.failover or {}).get(subset) or (resolver.failover or {}).get("*")
        if failover is not None:
            self._fail_over(service, subset, failover)

    def _copy(self, service: str, mirror: Mirror) -> None:
        """Copies go to instances like requests, by no splits."""
        self._resolve(mirror.service or service, mirror.service_subset, ())

    def _fail_over(self, service: str, subset: str, failover: Failover) -> None:
        for target in failover.targets:
            if target.peer or target.datacenter:
                self._elsewhere(target.service or service, target.peer)
            else:
                kept = "" if target.service and target.service != service else subset
                self._resolve(target.service or service, target.service_subset or kept, (), failing_over=True)
        if failover.datacenters:
            self._elsewhere(failover.service or service, "")
        elif failover.service or failover.service_subset:
            self._resolve(failover.service or service, failover.service_subset, (), failing_over=True)

    def _elsewhere(self, service: str, peer: str) -> None:
        """Another datacenter has the same entries; a peer has its own."""
        if not peer:
            self._take_protocol(service)

    def _check_external(self, resolver: ServiceResolver) -> None:
        defaults = self._entries.get(ServiceDefaults, resolver.name)
        if defaults is None or not defaults.external_sni:
            return
        for what, given in (
            ("redirects", resolver.redirect),
            ("subsets", resolver.subsets),
            ("failover", resolver.failover),
        ):
            if given:
                raise _Refused(
                    f'service "{resolver.name}" has an external SNI set; cannot define {what} for external services'
                )

    def _take_protocol(self, service: str) -> None:
        protocol = protocol_of(self._entries, service)
        if not self.protocol:
            self.protocol = protocol
        elif self.protocol != protocol:
            raise _Refused(
                f'discovery chain "{self.service}" uses inconsistent protocols; service "{service}" has "{protocol}" '
                f'which is not "{self.protocol}"'
            )


def chain_problem(entries: Lookup, service: str) -> str:
    """Why the chain of a service does not compile; "" when it does."""
    return Chain(entries, service).problem
