"""The JSON objects of `/v1/agent` where they differ from the rows of the catalog.

The agent speaks with the types of Consul's Go client: empty fields are left out where the catalog writes them, a proxy
shows what it will be configured with, and checks of the health endpoints have neither type nor tags.

Source: surface rows O3, O4, O6, A5-A9. What may change here: fields of later Consul releases.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.agent.content_hash import content_hash
from meshagent.catalog.model import Check, Proxy, Service

__all__ = ["agent_service", "hashed_service", "health_check"]

#: Kinds whose proxy block is shown.
_PROXIES = frozenset({"connect-proxy", "mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway"})


def agent_service(service: Service, datacenter: str) -> dict[str, Any]:
    """The object of `agent/services` (surface row O3)."""
    shown: dict[str, Any] = {
        "ID": service.id,
        "Service": service.name,
        "Tags": list(service.tags),
        "Meta": service.meta or {},
        "Port": service.port,
        "Address": service.address,
        "Weights": msgspec.to_builtins(service.weights),
        "EnableTagOverride": service.enable_tag_override,
        "Datacenter": datacenter,
    }
    if service.kind:
        shown["Kind"] = service.kind
    if service.socket_path:
        shown["SocketPath"] = service.socket_path
    if service.tagged_addresses:
        shown["TaggedAddresses"] = msgspec.to_builtins(service.tagged_addresses)
    if service.kind in _PROXIES:
        shown["Proxy"] = _proxy(service.proxy)
    if service.connect.native:
        shown["Connect"] = {"Native": True}
    if service.peer_name:
        shown["PeerName"] = service.peer_name
    if service.locality is not None:
        shown["Locality"] = msgspec.to_builtins(service.locality)
    return shown


def hashed_service(service: Service, datacenter: str) -> dict[str, Any]:
    """The object of `agent/service/:id`: the same with its `ContentHash` (surface row C14)."""
    shown = agent_service(service, datacenter)
    return shown | {"ContentHash": content_hash(shown)}


def _proxy(proxy: Proxy) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(proxy)
    if not proxy.mode:
        del shown["Mode"]
    for path in shown["Expose"].get("Paths") or ():
        path.setdefault("ParsedFromCheck", False)
    mode = proxy.mesh_gateway.mode
    upstreams = [_upstream(upstream, mode) for upstream in shown.get("Upstreams") or ()]
    if mode and proxy.mode == "transparent":
        # What holds for every service that is dialled without being listed.
        gateway = {"Mode": mode}
        wildcard = {"DestinationNamespace": "default", "DestinationPartition": "default", "DestinationName": "*"}
        upstreams.append(wildcard | {"Config": {"mesh_gateway": gateway}, "MeshGateway": gateway})
    if upstreams:
        shown["Upstreams"] = upstreams
    return shown


def _upstream(shown: dict[str, Any], mesh_gateway: str) -> dict[str, Any]:
    """An upstream without its empty fields; services (not prepared queries) take the proxy's mesh gateway mode."""
    if mesh_gateway and shown["DestinationType"] == "service" and not shown["MeshGateway"]:
        shown["MeshGateway"] = {"Mode": mesh_gateway}
    return {name: value for name, value in shown.items() if value != "" or name == "DestinationName"}


def health_check(check: Check) -> dict[str, Any]:
    """A check as the health endpoints of the agent show it (surface rows A8, A9)."""
    return {
        "Node": check.node,
        "CheckID": check.check_id,
        "Name": check.name,
        "Status": check.status,
        "Notes": check.notes,
        "Output": check.output,
        "ServiceID": check.service_id,
        "ServiceName": check.service_name,
        "ServiceTags": None,
        "Type": "",
        "ExposedPort": check.exposed_port,
        "Definition": _EMPTY_DEFINITION,
        "CreateIndex": 0,
        "ModifyIndex": 0,
    }


_EMPTY_DEFINITION: dict[str, Any] = {
    "HTTP": "",
    "Header": None,
    "Method": "",
    "Body": "",
    "TLSServerName": "",
    "TLSSkipVerify": False,
    "TCP": "",
    "TCPUseTLS": False,
    "UDP": "",
    "GRPC": "",
    "OSService": "",
    "GRPCUseTLS": False,
    "Interval": "0s",
    "Timeout": "0s",
    "DeregisterCriticalServiceAfter": "0s",
}
