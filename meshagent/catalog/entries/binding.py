"""Which routes an api-gateway's listeners take: statuses and the bound form, computed from all entries.

Pure: `bind(entries, at)` gives the gateways, routes and bound gateways as they should be; the table writes those that
differ. `at` is the time of the command (RFC 3339): a condition keeps its time as long as it says the same.

Source: surface rows M31-M33; developer.hashicorp.com/consul/docs/connect/gateways/api-gateway. What may change here:
conditions are added, with Consul's types and reasons.
"""

from __future__ import annotations

from meshagent.catalog.entries.api_gateway import (
    APIGateway,
    APIListener,
    BoundAPIGateway,
    BoundListener,
    Condition,
    ParentRef,
    Reference,
    Status,
)
from meshagent.catalog.entries.certificates import FileSystemCertificate, InlineCertificate
from meshagent.catalog.entries.entry import Entry, changed
from meshagent.catalog.entries.gateway_routes import HTTPRoute, TCPRoute
from meshagent.catalog.entries.graph import Lookup, is_http, protocol_of

__all__ = ["KINDS", "bind"]

#: A change of these kinds may change a binding.
KINDS = frozenset(
    [
        "api-gateway",
        "file-system-certificate",
        "http-route",
        "inline-certificate",
        "proxy-defaults",
        "service-defaults",
        "tcp-route",
    ]
)

_Route = HTTPRoute | TCPRoute


def bind(entries: Lookup, at: str) -> list[Entry]:
    """All gateways and routes with their statuses, and what is bound to each gateway."""
    gateways = entries.all(APIGateway)
    routes: list[_Route] = [*entries.all(HTTPRoute), *entries.all(TCPRoute)]
    taken: dict[tuple[str, str], list[_Route]] = {}
    result: list[Entry] = []
    for route in routes:
        refused = _refused(entries, route)
        conditions = [refused or _condition("Accepted", "True", "Accepted", "route is valid")]
        for parent in route.parents or () if refused is None else ():
            gateway = next((one for one in gateways if one.name == parent.name), None)
            fitting = _fitting(gateway, parent, route)
            for listener in fitting:
                taken.setdefault((parent.name, listener.name), []).append(route)
            conditions.append(_bound(gateway, parent, bool(fitting), route))
        result.append(changed(route, status=_status(conditions, route.status, at)))
    for gateway in gateways:
        conditions = _gateway_conditions(entries, gateway, taken)
        result.append(changed(gateway, status=_status(conditions, gateway.status, at)))
        result.append(_bound_gateway(gateway, taken))
    return result


def _refused(entries: Lookup, route: _Route) -> Condition | None:
    """Why a route leads nowhere, None for one that can be taken."""
    services = route.services()
    if not services:
        reason = "NoUpstreamServicesTargeted"
        return _condition("Accepted", "False", reason, "route must target at least one upstream service")
    if isinstance(route, HTTPRoute) and not all(is_http(protocol_of(entries, one)) for one in services):
        message = "route protocol does not match targeted service protocol"
        return _condition("Accepted", "False", "InvalidDiscoveryChain", message)
    return None


def _protocol(route: _Route) -> str:
    return "http" if isinstance(route, HTTPRoute) else "tcp"


def _fitting(gateway: APIGateway | None, parent: ParentRef, route: _Route) -> list[APIListener]:
    return [
        one
        for one in (gateway.listeners if gateway is not None else None) or ()
        if parent.section_name in {"", one.name} and one.protocol == _protocol(route) and _host_fits(one, route)
    ]


def _host_fits(listener: APIListener, route: _Route) -> bool:
    hosts = route.hostnames if isinstance(route, HTTPRoute) else None
    if not listener.hostname or not hosts:
        return True
    return any(_within(listener.hostname, host) or _within(host, listener.hostname) for host in hosts)


def _within(pattern: str, host: str) -> bool:
    if pattern in {"*", host}:
        return True
    return pattern.startswith("*.") and host.endswith(pattern[1:])


def _bound(gateway: APIGateway | None, parent: ParentRef, fits: bool, route: _Route) -> Condition:
    reference = Reference(kind=parent.kind, name=parent.name, section_name=parent.section_name)
    if gateway is None:
        return _condition("Bound", "False", "GatewayNotFound", "gateway was not found", reference)
    if not fits:
        message = f"failed to bind route {route.name} to gateway {parent.name} with listener '{parent.section_name}'"
        return _condition("Bound", "False", "FailedToBind", message, reference)
    return _condition("Bound", "True", "Bound", "successfully bound route", reference)


def _gateway_conditions(
    entries: Lookup, gateway: APIGateway, taken: dict[tuple[str, str], list[_Route]]
) -> list[Condition]:
    listeners = gateway.listeners or ()
    missing = {one.name: _missing(entries, one) for one in listeners}
    if any(missing.values()):
        conditions = [_condition("Accepted", "False", "InvalidCertificates", "gateway references invalid certificates")]
    else:
        conditions = [_condition("Accepted", "True", "Accepted", "gateway is valid")]
    resources = {one.name: Reference(kind="api-gateway", name=gateway.name, section_name=one.name) for one in listeners}
    for one in listeners:
        resource = resources[one.name]
        if one.protocol == "tcp" and len(taken.get((gateway.name, one.name), ())) > 1:
            message = "TCP-based listeners currently only support binding a single route"
            conditions.append(_condition("Conflicted", "True", "RouteConflict", message, resource))
        else:
            message = "listener has no route conflicts"
            conditions.append(_condition("Conflicted", "False", "NoConflict", message, resource))
    for name, resource in resources.items():
        if missing[name]:
            message = f'certificate "{missing[name]}" not found'
            conditions.append(_condition("ResolvedRefs", "False", "InvalidCertificateRefs", message, resource))
        else:
            conditions.append(_condition("ResolvedRefs", "True", "ResolvedRefs", "resolved refs", resource))
    return conditions


def _missing(entries: Lookup, listener: APIListener) -> str:
    for ref in listener.tls.certificates or ():
        type_ = InlineCertificate if ref.kind == "inline-certificate" else FileSystemCertificate
        if entries.get(type_, ref.name) is None:
            return ref.name
    return ""


def _bound_gateway(gateway: APIGateway, taken: dict[tuple[str, str], list[_Route]]) -> BoundAPIGateway:
    listeners = []
    services: dict[str, tuple[Reference, ...]] = {}
    for one in gateway.listeners or ():
        routes = taken.get((gateway.name, one.name), [])
        references = tuple(Reference(kind=route.kind, name=route.name) for route in routes)
        certificates = tuple(Reference(kind=ref.kind, name=ref.name) for ref in one.tls.certificates or ())
        listeners.append(BoundListener(name=one.name, routes=references or None, certificates=certificates or None))
        for route, reference in zip(routes, references, strict=True):
            for service in route.services():
                held = services.get(service, ())
                services[service] = held if reference in held else (*held, reference)
    return BoundAPIGateway(
        name=gateway.name, meta=gateway.meta, listeners=tuple(listeners), services=dict(sorted(services.items()))
    )


def _condition(type_: str, status: str, reason: str, message: str, resource: Reference | None = None) -> Condition:
    return Condition(type=type_, status=status, reason=reason, message=message, resource=resource or Reference())


def _status(conditions: list[Condition], old: Status, at: str) -> Status:
    times = {changed(one, last_transition_time=""): one.last_transition_time for one in old.conditions or ()}
    return Status(conditions=tuple(changed(one, last_transition_time=times.get(one, at)) for one in conditions))
