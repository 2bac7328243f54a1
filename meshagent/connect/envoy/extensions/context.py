"""What an extension sees of an Envoy: its resources, which of them are inbound, and of which upstream the others are.

Source: surface rows M80-M86; developer.hashicorp.com/consul/docs/connect/proxies/envoy-extensions (inbound: the public
listener and the application; outbound: what belongs to upstreams). What may change here: further kinds of proxies.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from meshagent.connect.envoy import names
from meshagent.connect.envoy.resources import Resource, Resources
from meshagent.connect.snapshot import ProxySnapshot

__all__ = ["INBOUND", "OUTBOUND", "Context"]

INBOUND, OUTBOUND = "inbound", "outbound"
_PUBLIC = "public_listener:"
_MANAGER = "envoy.filters.network.http_connection_manager"
#: What may stand in front of the name of a cluster.
_IN_FRONT = re.compile(r"(?:passthrough~|failover-target~\d+~|[0-9a-f]+~)+")


@dataclass(slots=True)
class Context:
    """One extension at work. `resources` are its own copy: what it leaves half done counts for nothing."""

    snapshot: ProxySnapshot
    resources: Resources
    required: bool = False
    envoy_version: str = ""
    _upstreams: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def over(cls, snapshot: ProxySnapshot, resources: Resources, *, required: bool, envoy_version: str) -> Context:
        """A context with a copy of the resources, but for the endpoints: those are copied by who changes them."""
        copied = Resources(
            clusters={name: copy.deepcopy(one) for name, one in resources.clusters.items()},
            endpoints=dict(resources.endpoints),
            listeners={name: copy.deepcopy(one) for name, one in resources.listeners.items()},
            routes={name: copy.deepcopy(one) for name, one in resources.routes.items()},
        )
        made = cls(snapshot, copied, required, envoy_version)
        for outbound in snapshot.outbound:
            chain = outbound.chain
            if chain is not None:
                for target in chain.targets.values():
                    for name in (target.name, target.sni):
                        made._upstreams.setdefault(name, set()).add(outbound.name)
        return made

    # --- which is which ----------------------------------------------------------------------------------------

    def direction_of_cluster(self, name: str) -> str:
        """INBOUND, OUTBOUND, or "" for one that is of no side."""
        if name == names.LOCAL_APP:
            return INBOUND
        return OUTBOUND if self.services_of_cluster(name) else ""

    def services_of_cluster(self, name: str) -> set[str]:
        """The upstreams that a cluster is of."""
        return self._upstreams.get(name) or self._upstreams.get(_IN_FRONT.sub("", name, count=1)) or set()

    def direction_of_listener(self, listener: Resource) -> str:
        """INBOUND for where others come in, OUTBOUND for where the application or a gateway's callers do."""
        if listener["name"].startswith(_PUBLIC):
            return INBOUND
        return OUTBOUND if listener.get("traffic_direction") == "OUTBOUND" else ""

    def services_of_listener(self, name: str) -> set[str]:
        """The upstreams that a listener is of; none for that of transparent mode."""
        return {one.name for one in self.snapshot.outbound if one.listens and names.listener(one) == name}

    def services_of_route(self, name: str) -> set[str]:
        """The upstreams whose routes these are."""
        return {one.name for one in self.snapshot.outbound if names.upstream(one) == name}

    def cluster_of_service(self, service: str) -> str:
        """The cluster of an upstream; "" when it is none of this proxy."""
        for outbound in self.snapshot.outbound:
            if outbound.name == service and outbound.chain is not None:
                targets = outbound.chain.targets
                own = next((at for at, one in targets.items() if one.service == service), next(iter(targets), ""))
                if own:
                    return names.cluster(outbound.chain, own)
        return ""

    # --- filters -----------------------------------------------------------------------------------------------

    def chains(self, direction: str) -> Iterator[tuple[Resource, Resource]]:
        """(listener, filter chain) of one direction."""
        for listener in self.resources.listeners.values():
            if self.direction_of_listener(listener) == direction:
                last = listener.get("default_filter_chain")
                for chain in [*listener.get("filter_chains", ()), *([last] if last else ())]:
                    yield listener, chain

    def service_chains(self, service: str) -> Iterator[Resource]:
        """The filter chains through which calls of one service go."""
        addresses = {ip for one in self.snapshot.outbound if one.name == service for ip in one.virtual_ips}
        for name, listener in self.resources.listeners.items():
            own = service in self.services_of_listener(name)
            for chain in listener.get("filter_chains", ()):
                match = chain.get("filter_chain_match", {})
                by_name = any(service in self.services_of_cluster(sni) for sni in match.get("server_names", ()))
                by_address = any(one["address_prefix"] in addresses for one in match.get("prefix_ranges", ()))
                if own or by_name or by_address:
                    yield chain

    def managers(self, direction: str) -> Iterator[Resource]:
        """The configurations of connection managers of one direction."""
        for _, chain in self.chains(direction):
            for one in chain.get("filters", ()):
                if one["name"] == _MANAGER:
                    yield one["typed_config"]
