"""`/v1/discovery-chain`: the compiled chain of a service, as Consul shows it.

Source: surface row DC1; developer.hashicorp.com/consul/api-docs/discovery-chain. What may change here: nothing that a
client of Consul reads; how a chain is compiled is `connect/chain.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from meshagent.agent.acl.guards import named, needs
from meshagent.agent.decode import decode_body
from meshagent.agent.http.connect_ca import check_enabled
from meshagent.agent.http.request import Request
from meshagent.agent.http.routes import Route
from meshagent.agent.http.views import LiveResult
from meshagent.catalog.entries.decoding import PREFIX, decode
from meshagent.catalog.entries.entry import Nanoseconds, Part
from meshagent.catalog.model import MeshGateway
from meshagent.catalog.watch import Topic
from meshagent.connect.chain import Chain, Node, Overrides, ResolverNode, SplitterNode, Target, compile_chain
from meshagent.durations import format_duration
from meshagent.errors import BadRequest

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

_MODES = frozenset({"", "none", "local", "remote"})
_FIELDS = ("overrideprotocol", "overrideconnecttimeout", "overridemeshgateway")


class _Body(Part, frozen=True, kw_only=True):
    override_protocol: str = ""
    override_connect_timeout: Nanoseconds = 0
    override_mesh_gateway: MeshGateway | None = None


def _overrides(request: Request) -> Overrides:
    if not request.body:
        return Overrides()
    raw: Any = decode_body(cast("Any", Any), request.body, prefix=PREFIX)
    if raw is not None and not isinstance(raw, dict):
        raise BadRequest(f"Request decoding failed: expected an object, not {type(raw).__name__}")
    known = {key: value for key, value in (raw or {}).items() if key.replace("_", "").lower() in _FIELDS}
    body = decode(_Body, known)
    mode = body.override_mesh_gateway.mode if body.override_mesh_gateway is not None else ""
    if mode not in _MODES:
        raise BadRequest("Invalid OverrideMeshGateway.Mode parameter")
    timeout = format_duration(body.override_connect_timeout) if body.override_connect_timeout else ""
    return Overrides(body.override_protocol, timeout, mode)


def _read(agent: Agent, request: Request) -> LiveResult[Any]:
    check_enabled(agent)
    service = request.name
    if not service:
        raise BadRequest("Missing chain name")
    overrides = _overrides(request)
    store = agent.store
    entries = store.config.watched()
    datacenter = request.query.get("compile-dc") or agent.datacenter
    chain = compile_chain(entries, service, datacenter, store.ca.trust_domain, overrides)
    registrations = store.registrations
    topic: Topic = ("connect", service.lower())
    topics = (*entries.topics, topic, "virtual-ips", "ca-config")
    virtual_ips = registrations.virtual_ips
    _, manual = virtual_ips.manual.get(service.lower(), ("", ()))
    rows = {"Chain": _shown(chain, virtual_ips.get(service.lower()), manual)}
    return LiveResult(rows, store.config.index, topics, lambda: store.config.index or 1)


def _shown(chain: Chain, virtual_ip: str | None, manual: tuple[str, ...]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "ServiceName": chain.service,
        "Namespace": "default",
        "Partition": "default",
        "Datacenter": chain.datacenter,
    }
    if chain.customization:
        fields["CustomizationHash"] = chain.customization
    if chain.default:
        fields["Default"] = True
    fields["Protocol"] = chain.protocol
    if chain.meta:
        fields["ServiceMeta"] = chain.meta
    fields["StartNode"] = chain.start
    fields["Nodes"] = {key: _node(node) for key, node in chain.nodes.items()}
    fields["Targets"] = {key: _target(target) for key, target in chain.targets.items()}
    fields["AutoVirtualIPs"] = [virtual_ip] if virtual_ip else None
    fields["ManualVirtualIPs"] = list(manual) if virtual_ip else None
    return fields


def _node(node: Node) -> dict[str, Any]:
    if isinstance(node, ResolverNode):
        resolver: dict[str, Any] = {"ConnectTimeout": node.connect_timeout}
        if node.request_timeout_ns:
            resolver["RequestTimeout"] = node.request_timeout_ns
        if node.default:
            resolver["Default"] = True
        resolver["Target"] = node.target
        if node.failover is not None:
            resolver["Failover"] = {"Targets": list(node.failover)}
        fields: dict[str, Any] = {"Type": "resolver", "Name": node.name, "Resolver": resolver}
        if node.load_balancer is not None:
            fields["LoadBalancer"] = node.load_balancer
        return fields
    if isinstance(node, SplitterNode):
        splits = [{"Definition": one.definition, "Weight": one.weight, "NextNode": one.next} for one in node.splits]
        return {"Type": "splitter", "Name": node.name, "Splits": splits}
    routes = [{"Definition": one.definition, "NextNode": one.next} for one in node.routes]
    return {"Type": "router", "Name": node.name, "Routes": routes}


def _target(target: Target) -> dict[str, Any]:
    fields: dict[str, Any] = {"ConnectTimeout": target.connect_timeout, "ID": target.id, "Service": target.service}
    if target.subset:
        fields["ServiceSubset"] = target.subset
    fields |= {"Namespace": "default", "Partition": "default"}
    if target.peer:
        fields["Peer"] = target.peer
    else:
        fields["Datacenter"] = target.datacenter
    fields |= {
        "MeshGateway": target.mesh_gateway,
        "Subset": target.instances,
        "TransparentProxy": target.transparent_proxy,
    }
    if target.external:
        fields["External"] = True
    if target.sni:
        fields |= {"SNI": target.sni, "Name": target.name}
    return fields


ROUTES = (
    Route(
        row="DC1", method="GET", path="/v1/discovery-chain/",
        guard=needs("service", "read", named),
        acl="service:read", flags="B C Kb", effective=True,
        read=_read,
        summary="the compiled discovery chain of a service", example="curl localhost:8500/v1/discovery-chain/web",
    ),
    Route(
        row="DC1", method="POST", path="/v1/discovery-chain/",
        guard=needs("service", "read", named),
        acl="service:read", flags="B C Kb", effective=True,
        read=_read,
        summary="the same with overrides",
        example="curl -X POST -d '{\"OverrideProtocol\":\"tcp\"}' localhost:8500/v1/discovery-chain/web",
    ),
)  # fmt: skip
