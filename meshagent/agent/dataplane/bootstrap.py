"""`DataplaneService`: what servers can do for dataplanes, and what an Envoy is to be started with.

Source: surface rows X30, P7; github.com/hashicorp/consul-dataplane (MPL-2.0), which reads it. What may change here:
further features.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from meshagent.agent.dataplane.callers import identify, require_some_token
from meshagent.agent.dataplane.messages import (
    BOOTSTRAP_PARAMS,
    BOOTSTRAP_PARAMS_REQUEST,
    FEATURES,
    BootstrapParams,
    BootstrapParamsRequest,
    Feature,
    Features,
)
from meshagent.connect.central import MERGED_KINDS, merged
from meshagent.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.grpc.channel import Call
    from meshagent.catalog.model import Node, Service
    from meshagent.catalog.store import Store

__all__ = ["bootstrap_params", "features"]

WATCH_SERVERS, EDGE_CERTIFICATES, ENVOY_BOOTSTRAP, FIPS = 1, 2, 3, 4
_FEATURES = Features((Feature(WATCH_SERVERS, True), Feature(EDGE_CERTIFICATES, True), Feature(ENVOY_BOOTSTRAP, True)))


async def features(agent: Agent, call: Call, message: bytes) -> bytes:
    """`GetSupportedDataplaneFeatures`."""
    await identify(agent, call.token, require_some_token)
    return FEATURES.encode(_FEATURES)


async def bootstrap_params(agent: Agent, call: Call, message: bytes) -> bytes:
    """`GetEnvoyBootstrapParams`: a proxy or gateway of the catalog, with the central configuration in it."""
    identity = await identify(agent, call.token, lambda access: None)
    asked = BOOTSTRAP_PARAMS_REQUEST.decode(message)
    proxy_id = asked.proxy_id or asked.service_id
    if not asked.node_id and not asked.node_name:
        raise BadRequest("Node ID or name is required (node_id, node_name)")
    if not proxy_id:
        raise BadRequest("Proxy ID is required (proxy_id)")
    found = _find(agent.store, asked, proxy_id)
    if found is None:  # it may have been registered at the leader a moment ago
        await agent.log.read_barrier()
        found = _find(agent.store, asked, proxy_id)
    if found is None:
        if identity is not None:  # what is there is not told to who may have nothing of it
            identity.access.require_any("service", "write")
        raise NotFound("Service not found")
    node, service = found
    name = service.proxy.destination_service_name if service.kind == "connect-proxy" else service.name
    if identity is not None:
        identity.access.require("service", "write", name)
    if service.kind not in MERGED_KINDS:
        raise BadRequest(f"service {service.id!r} is neither a proxy nor a gateway")
    return BOOTSTRAP_PARAMS.encode(_params(agent, node, service, name))


def _find(store: Store, asked: BootstrapParamsRequest, proxy_id: str) -> tuple[Node, Service] | None:
    node = store.registrations.node(asked.node_id or asked.node_name)
    if node is None:
        return None
    service = store.registrations.services.get((node.name.lower(), proxy_id.lower()))
    return (node, service) if service is not None else None


def _params(agent: Agent, node: Node, service: Service, name: str) -> BootstrapParams:
    from meshagent.connect.envoy import access_logs

    whole = merged(service, agent.store.config.lookup())
    return BootstrapParams(
        service=name,
        identity=name,
        namespace="default",
        partition="default",
        datacenter=agent.datacenter,
        config=whole.proxy.config or {},
        node_name=node.name,
        access_logs=tuple(json.dumps(one) for one in access_logs.filter_logs(whole.proxy.access_logs)),
    )
