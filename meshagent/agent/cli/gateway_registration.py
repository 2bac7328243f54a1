"""`connect envoy -register`: what is registered for a gateway: its addresses, its binds, its check.

Pure: addresses come in as texts, the host's own addresses as a set. Source: surface row CL19;
developer.hashicorp.com/consul/commands/connect/envoy ("Envoy gateway options"). What may change here: nothing that an
existing gateway is registered with.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from meshagent.errors import BadRequest
from meshagent.hostport import join_host_port

__all__ = ["KINDS", "Wanted", "address", "registration"]

#: What `-gateway` says -> the kind that is registered.
KINDS = {
    "api": "api-gateway",
    "ingress": "ingress-gateway",
    "mesh": "mesh-gateway",
    "terminating": "terminating-gateway",
}
#: The port of a gateway whose address is not given.
DEFAULT_PORT = 443
#: Meta of a mesh gateway behind which the servers are.
_EXPOSES_SERVERS = "consul-wan-federation"

Place = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the flags say. An address is (host, port), its host "" where it was not given."""

    kind: str
    name: str
    proxy_id: str
    lan: Place = ("", DEFAULT_PORT)
    wan: Place = ("", DEFAULT_PORT)
    binds: Mapping[str, Place] = field(default_factory=dict)
    expose_servers: bool = False
    deregister_after: str = "6h"


def address(flag: str, text: str) -> Place:
    """("10.0.0.1", 8443) of "10.0.0.1:8443"; the host may be left out. Raises BadRequest."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise BadRequest(f'invalid value for flag {flag}: Error parsing address "{text}": missing port in address')
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise BadRequest(f'invalid value for flag {flag}: Error parsing port "{port}"')
    return host.strip("[]"), int(port)


def registration(wanted: Wanted, own_addresses: Collection[str]) -> dict[str, Any]:
    """The body of `agent/service/register`. Raises BadRequest for an address that this host does not have."""
    lan, wan = wanted.lan, wanted.wan
    config: dict[str, Any] | None = None
    if wanted.binds:
        config = {
            "envoy_gateway_no_default_bind": True,
            "envoy_gateway_bind_addresses": {name: _place(place) for name, place in wanted.binds.items()},
        }
    elif lan[0] in own_addresses and wan[0] in own_addresses:
        config = {"envoy_gateway_no_default_bind": True, "envoy_gateway_bind_tagged_addresses": True}
    elif lan[0] and lan[0] not in own_addresses:
        raise BadRequest(
            f'The LAN address "{lan[0]}" will not be bindable. Either set a bindable address or override the bind '
            "addresses with -bind-address"
        )
    body: dict[str, Any] = {
        "Kind": wanted.kind,
        "ID": wanted.proxy_id,
        "Name": wanted.name,
        "Address": lan[0],
        "Port": lan[1],
        "TaggedAddresses": {name: _place(place) for name, place in (("lan", lan), ("wan", wan)) if place[0]},
        "Check": {
            "Name": f"{wanted.kind} listening",
            # Without an address it is in the agent's network namespace.
            "TCP": join_host_port(lan[0] or "127.0.0.1", lan[1]),
            "Interval": "10s",
            "DeregisterCriticalServiceAfter": wanted.deregister_after,
        },
    }
    if wanted.expose_servers:
        body["Meta"] = {_EXPOSES_SERVERS: "1"}
    if config is not None:
        body["Proxy"] = {"Config": config}
    return body


def _place(place: Place) -> dict[str, Any]:
    return {"Address": place[0], "Port": place[1]}
