"""Whether a change of one entry leaves all others valid.

`problem(entries, kind, name, entry)` looks at the entries as they would be after the change (`entry` None: deleted) and
checks only what the change can break: the chains that name the service, gateways and intentions over them, exports,
references to JWT providers.

Source: surface rows CF1, CF4, M21, M26-M28, M30 (texts watched on a running Consul). What may change here: checks are
added, with the words of Consul.
"""

from __future__ import annotations

from meshagent.catalog.entries.entry import Entry, multierror
from meshagent.catalog.entries.exported_services import ExportedServices
from meshagent.catalog.entries.graph import Chain, Lookup, is_http
from meshagent.catalog.entries.ingress_gateway import IngressGateway
from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.mesh import Mesh
from meshagent.catalog.entries.proxy_defaults import ProxyDefaults, global_only
from meshagent.catalog.entries.service_defaults import ServiceDefaults
from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.entries.service_resolver import ServiceResolver
from meshagent.catalog.entries.service_router import ServiceRouter
from meshagent.catalog.entries.service_splitter import ServiceSplitter
from meshagent.catalog.entries.terminating_gateway import TerminatingGateway

__all__ = ["problem"]

#: Kinds that make a chain more than its service.
_CHAIN_KINDS: tuple[type[Entry], ...] = (ServiceResolver, ServiceRouter, ServiceSplitter)
#: Kinds that no chain depends on.
_APART = frozenset({"mesh", "sameness-group", "jwt-provider"})


def problem(entries: Lookup, kind: str, name: str, entry: Entry | None) -> str:
    """What the change would break, in Consul's words; "" for nothing."""
    if kind == "proxy-defaults":
        found = global_only(name)
    elif isinstance(entry, IngressGateway | TerminatingGateway):
        found = _clash(entries, entry)
    elif isinstance(entry, ServiceIntentions):
        found = _providers_problem(entries, entry)
    elif kind == "jwt-provider":
        found = "" if entry is not None else _provider_in_use(entries, name)
    else:
        found = ""
    if not found and isinstance(entry, ServiceDefaults | ProxyDefaults) and entry.mutual_tls_mode == "permissive":
        mesh = entries.get(Mesh, "mesh")
        if mesh is None or not mesh.allow_enabling_permissive_mutual_tls:
            found = (
                "cannot set MutualTLSMode=permissive because AllowEnablingPermissiveMutualTLS=false in the mesh config "
                "entry"
            )
    return found or _graph_problem(entries, kind, name, entry)


def _clash(entries: Lookup, entry: IngressGateway | TerminatingGateway) -> str:
    if not entry.name and isinstance(entry, IngressGateway):
        return "failed inserting config entry: object missing primary index"
    other: type[Entry] = TerminatingGateway if isinstance(entry, IngressGateway) else IngressGateway
    if entries.get(other, entry.name) is None:
        return ""
    kind = other.__struct_config__.tag
    return (
        f'cannot create a "{entry.kind}" config entry with name "{entry.name}", a "{kind}" config entry with that name '
        "already exists"
    )


def _providers_problem(entries: Lookup, entry: ServiceIntentions) -> str:
    return multierror(
        [
            f"Referenced JWT Provider does not exist. Provider Name: {name}"
            for name in entry.providers()
            if entries.get(JWTProvider, name) is None
        ]
    )


def _provider_in_use(entries: Lookup, name: str) -> str:
    for intention in entries.all(ServiceIntentions):
        if name in intention.providers():
            return (
                "cannot delete jwt provider config entry referenced by an intention. "
                f"Provider name: {name}, intention name: {intention.name}"
            )
    return ""


def _graph_problem(entries: Lookup, kind: str, name: str, entry: Entry | None) -> str:
    if kind in _APART:
        return ""
    if kind == "exported-services":
        return _export_problem(entries, entry) if isinstance(entry, ExportedServices) else ""
    services: set[str] = set()
    intentions: list[ServiceIntentions] = []
    ingress: list[IngressGateway] = []
    if kind == "proxy-defaults":
        services.update(one.name for type_ in _CHAIN_KINDS for one in entries.all(type_))
        intentions = entries.all(ServiceIntentions)
        ingress = entries.all(IngressGateway)
    elif kind == "service-intentions":
        intentions = [entry] if isinstance(entry, ServiceIntentions) and entry.has_permissions else []
    elif kind == "ingress-gateway":
        ingress = [entry] if isinstance(entry, IngressGateway) else []
    elif entry is not None or name:
        services.add(name)
        own = entries.get(ServiceIntentions, name)
        intentions = [own] if own is not None else []
        ingress = [one for one in entries.all(IngressGateway) if name in one.related()]
        services.update(one.name for type_ in _CHAIN_KINDS for one in entries.all(type_) if name in one.related())
    for gateway in ingress:
        services.update(gateway.related())
    intentions = [one for one in intentions if one.name != "*" and one.has_permissions]
    services.update(one.name for one in intentions)
    chains = {service: Chain(entries, service) for service in sorted(services)}
    for chain in chains.values():
        if chain.problem:
            return chain.problem
    return (
        _ingress_problem(ingress, chains, strict=kind == "ingress-gateway")
        or _intention_problem(intentions, chains)
        or _exports_of(entries, chains)
    )


def _ingress_problem(ingress: list[IngressGateway], chains: dict[str, Chain], strict: bool) -> str:
    for gateway in ingress:
        for listener in gateway.listeners or ():
            for service in listener.services or ():
                chain = chains.get(service.name)
                if chain is None or chain.protocol == listener.protocol:
                    continue
                if strict or listener.protocol != "tcp" or chain.top != "resolver":
                    return (
                        f'service "{service.name}" has protocol "{chain.protocol}", which does not match defined '
                        f'listener protocol "{listener.protocol}"'
                    )
    return ""


def _intention_problem(intentions: list[ServiceIntentions], chains: dict[str, Chain]) -> str:
    for intention in intentions:
        protocol = chains[intention.name].protocol
        if not is_http(protocol):
            return (
                f'service "{intention.name}" has protocol "{protocol}", which is incompatible with L7 intentions '
                "permissions"
            )
    return ""


def _exports_of(entries: Lookup, chains: dict[str, Chain]) -> str:
    exported = entries.get(ExportedServices, "default")
    if exported is None:
        return ""
    peers = exported.to_peers()
    return next((found for name in chains if (name in peers or "*" in peers) and (found := _unsafe(entries, name))), "")


def _export_problem(entries: Lookup, entry: ExportedServices) -> str:
    names = set(entry.to_peers())
    if "*" in names:
        names.remove("*")
        names.update(one.name for one in entries.all(ServiceResolver))
    return next((found for name in sorted(names) if (found := _unsafe(entries, name))), "")


def _unsafe(entries: Lookup, name: str) -> str:
    """Peers reach only this datacenter: an exported chain must not lead out of it."""
    resolver = entries.get(ServiceResolver, name)
    if resolver is None:
        return ""
    if resolver.redirect is not None and resolver.redirect.datacenter:
        return f'peer exported service "{name}" contains cross-datacenter resolver redirect'
    for failover in (resolver.failover or {}).values():
        if failover.datacenters or any(target.datacenter for target in failover.targets):
            return f'peer exported service "{name}" contains cross-datacenter failover'
    return ""
