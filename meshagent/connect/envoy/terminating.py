"""The resources of a terminating gateway: a chain for each service outside the mesh, with that service's leaf.

Source: surface rows X17, M28, M72; terminating.json of the golden mesh data. What may change here: how services outside
are reached.
"""

from __future__ import annotations

import msgspec

from meshagent.catalog.entries.graph import is_http
from meshagent.connect.envoy import by_name, connection_manager, jwt, listeners, names, rbac, routes, tls
from meshagent.connect.envoy.resources import Resource, Resources
from meshagent.connect.gateways.linked import LinkedService, TerminatingGateway
from meshagent.connect.snapshot import Outbound, ProxySnapshot

__all__ = ["terminating"]

#: What a name in a certificate may be.
_KINDS_OF_NAMES = ("URI", "DNS", "EMAIL", "IP_ADDRESS")


def terminating(snapshot: ProxySnapshot) -> Resources:
    """All resources of a `terminating-gateway`. A service without a leaf is not spoken for."""
    found = Resources()
    gateway = snapshot.gateway
    if not isinstance(gateway, TerminatingGateway) or not snapshot.roots:
        return found
    upstreams = {one.key: one for one in snapshot.outbound}
    chains: dict[str, Resource] = {}
    for service in gateway.services:
        for name, key in service.upstreams.items():
            outbound = upstreams.get(key)
            if outbound is None or outbound.chain is None:
                continue
            for target in outbound.chain.targets:
                more = _origination(snapshot, service)
                by_name.add_cluster(found, snapshot, snapshot.clusters[target], service.protocol, more)
            if not service.leaf_chain:
                continue
            chains[name] = _chain(snapshot, service, name, outbound)
            if is_http(service.protocol):
                options = routes.Options(auto_host_rewrite=service.rewrite_host)
                host = routes.virtual_host(name, ["*"], routes.of_chain(outbound.chain, options))
                found.routes[name] = routes.configuration(name, [host])
    for cluster in jwt.clusters(snapshot).values():
        found.clusters[cluster["name"]] = cluster
    for bind in gateway.binds:
        behind = by_name.everything_else(snapshot, f"terminating_gateway.{bind.name}")
        made = by_name.listener(snapshot, bind, [*(chains[at] for at in sorted(chains)), behind], "INBOUND")
        found.listeners[made["name"]] = made
    return found


def _chain(snapshot: ProxySnapshot, service: LinkedService, name: str, outbound: Outbound) -> Resource:
    """Who calls a service (subset) by its name: proven, decided, led on."""
    speaking = msgspec.structs.replace(snapshot, leaf_chain=service.leaf_chain, leaf_key=service.leaf_key)
    return {
        "filter_chain_match": {"server_names": [name]},
        "filters": _filters(snapshot, service, name, names.stat(outbound, snapshot.datacenter)),
        "transport_socket": tls.downstream(speaking),
    }


def _filters(snapshot: ProxySnapshot, service: LinkedService, name: str, stat: str) -> list[Resource]:
    default, domain = snapshot.default_allow, snapshot.trust_domain
    if not is_http(service.protocol):
        allowed = rbac.network(service.intentions, default, domain, snapshot.trusts)
        return [allowed, listeners.tcp_proxy(snapshot, stat, name)]
    deciding = (
        jwt.http(service.intentions, snapshot.jwt_providers),
        rbac.http(service.intentions, default, domain, snapshot.trusts, snapshot.jwt_providers),
    )
    manager = connection_manager.Manager(
        stat,
        service.protocol,
        rds=name,
        config=snapshot.config,
        filters=tuple(one for one in deciding if one is not None),
        logs=snapshot.observing.access_logs,
        mesh=snapshot.mesh,
        forwards=connection_manager.tells_who_asks(snapshot.mesh, service.protocol),
    )
    return [manager.filter()]


def _origination(snapshot: ProxySnapshot, service: LinkedService) -> Resource:
    """TLS to the service, where the entry names an authority; the files are on the gateway's host."""
    if not service.ca_file:
        return {}
    validation: Resource = {"trusted_ca": {"filename": service.ca_file}}
    if service.sni:
        matcher = {"exact": service.sni}
        validation["match_typed_subject_alt_names"] = [
            {"san_type": kind, "matcher": matcher} for kind in _KINDS_OF_NAMES
        ]
    common: Resource = {"tls_params": tls.params(snapshot.mesh.outgoing), "validation_context": validation}
    if service.cert_file and service.key_file:
        common["tls_certificates"] = [
            {"certificate_chain": {"filename": service.cert_file}, "private_key": {"filename": service.key_file}}
        ]
    context: Resource = {"common_tls_context": common}
    if service.sni:
        context["sni"] = service.sni
    return {"transport_socket": tls.socket("UpstreamTlsContext", context)}
