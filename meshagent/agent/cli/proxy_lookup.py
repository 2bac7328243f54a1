"""Which registration a command means: the sidecar of a service, the only gateway of a kind, a proxy by its id.

Source: surface rows CL19, CL20, CL21 (words of what is refused). What may change here: nothing that a script reads.
"""

from __future__ import annotations

from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.output import fail
from meshagent.errors import MeshError

__all__ = ["only_gateway", "registration", "sidecar_of"]


def sidecar_of(client: Client, service_id: str) -> str:
    """The id of the one sidecar of a service at the agent."""
    try:
        services = client.get("agent/services")
    except MeshError as error:
        raise fail(f"Failed looking up sidecar proxy info for {service_id}: {error}") from None
    found = sorted(
        one["ID"]
        for one in services.values()
        if one.get("Kind") == "connect-proxy" and one.get("Proxy", {}).get("DestinationServiceID") == service_id
    )
    if not found:
        raise fail(f"No sidecar proxy registered for {service_id}")
    if len(found) > 1:
        raise fail(
            f"More than one sidecar proxy registered for {service_id}.\n"
            f"    Start proxy with -proxy-id and one of the following IDs: {', '.join(found)}"
        )
    return str(found[0])


def only_gateway(client: Client, kind: str) -> dict[str, Any]:
    """The one registration of a kind ("mesh-gateway") at the agent."""
    try:
        services = client.get("agent/services")
    except MeshError as error:
        raise fail(f"Failed looking up {kind} instances: {error}") from None
    found = [one for one in services.values() if one.get("Kind") == kind]
    if not found:
        raise fail(f"No {kind} services registered with this agent")
    if len(found) > 1:
        raise fail(f"Cannot lookup the {kind}'s proxy ID because multiple are registered with the agent")
    return dict(found[0])


def registration(client: Client, proxy_id: str, node: str = "") -> dict[str, Any]:
    """A proxy at the agent or of a node in the catalog, with the central configuration in it. Raises MeshError."""
    if not node:
        return dict(client.get(f"agent/service/{proxy_id}"))
    listed = client.get(f"catalog/node-services/{node}", {"merge-central-config": ""})
    services = [one for one in (listed or {}).get("Services") or () if one.get("ID") == proxy_id]
    if not services:
        raise MeshError(f"the node {node} has no service {proxy_id}")
    return dict(services[0])
