"""I/O edge: `-gateway`, `-register` and addresses of a gateway, the same for `connect envoy` and `connect proxy`.

Source: surface rows CL19, CL20; developer.hashicorp.com/consul/commands/connect/envoy ("Envoy gateway options"). What
may change here: nothing that an existing gateway is registered with.
"""

from __future__ import annotations

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import pairs
from meshagent.agent.cli.gateway_registration import KINDS, Wanted, address, registration
from meshagent.agent.cli.output import fail
from meshagent.agent.cli.proxy_lookup import only_gateway
from meshagent.errors import MeshError

__all__ = ["gateway_of", "place", "register", "which"]


def gateway_of(gateway: str, service: str) -> tuple[str, str]:
    """(kind of gateway, name of its service), "" for a sidecar."""
    if not gateway:
        return "", ""
    kind = KINDS.get(gateway)
    if kind is None:
        raise fail("Gateway must be one of: api, terminating, mesh, or ingress")
    return kind, service or kind


def which(client: Client, proxy_id: str, kind: str, name: str, *, registers: bool) -> tuple[str, str]:
    """(id of a gateway's registration, name of its service)."""
    if proxy_id:
        return proxy_id, name
    if registers:
        return name, name
    found = only_gateway(client, kind)
    return found["ID"], found["Service"]


def register(
    client: Client,
    kind: str,
    name: str,
    proxy_id: str,
    *,
    lan: str,
    wan: str,
    binds: tuple[str, ...],
    deregister_after: str,
    expose_servers: bool = False,
) -> None:
    """Register a gateway at the agent. Addresses may be templates, `binds` are name=address."""
    from meshagent.agent.interfaces import host_interfaces

    try:
        wanted = Wanted(
            kind=kind,
            name=name,
            proxy_id=proxy_id,
            lan=place("-address", lan),
            wan=place("-wan-address", wan or ":443"),
            binds={one: place("-bind-address", at) for one, at in pairs(binds, "bind-address").items()},
            expose_servers=expose_servers,
            deregister_after=deregister_after,
        )
        body = registration(wanted, {one.address for one in host_interfaces()})
    except MeshError as error:
        raise fail(str(error)) from None
    try:
        client.put("agent/service/register", value=body)
    except MeshError as error:
        raise fail(f'Error registering service "{name}": {error}') from None


def place(flag: str, written: str) -> tuple[str, int]:
    """(host, port) of an address that may be a template. Raises BadRequest."""
    from meshagent.agent.interfaces import host_interfaces
    from meshagent.agent.sockaddr import evaluate

    return address(flag, evaluate(written, host_interfaces))
