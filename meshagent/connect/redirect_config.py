"""A redirection as JSON: what Nomad gives to a CNI plugin, and consul-k8s writes into an annotation. Pure.

    {"ProxyUserID": "101", "ProxyInboundPort": 20000, "ExcludeInboundPorts": ["22"], "ConsulDNSPort": 8600}

Source: surface rows N11, P2; github.com/hashicorp/consul/sdk 0.16.1, iptables.Config (MPL-2.0). `NetNS` and
`IptablesProvider` are its own, fields that are not known are left alone. What may change here: further fields.
"""

from __future__ import annotations

import ipaddress

import msgspec

from meshagent.connect.redirect import OUTBOUND_PORT, Network, Redirection, network, port_number, ports
from meshagent.errors import BadRequest

__all__ = ["MAX_BYTES", "redirection_of"]

#: CNI arguments are an environment variable.
MAX_BYTES = 128 * 1024
_MAX_UID = 2**32 - 2


class _Config(msgspec.Struct, rename="pascal"):
    consul_dns_ip: str = msgspec.field(default="", name="ConsulDNSIP")
    consul_dns_port: int = msgspec.field(default=0, name="ConsulDNSPort")
    proxy_user_id: str = msgspec.field(default="", name="ProxyUserID")
    proxy_inbound_port: int = 0
    proxy_outbound_port: int = 0
    exclude_inbound_ports: list[str] | None = None
    exclude_outbound_ports: list[str] | None = None
    exclude_outbound_cidrs: list[str] | None = msgspec.field(default=None, name="ExcludeOutboundCIDRs")
    exclude_uids: list[str] | None = msgspec.field(default=None, name="ExcludeUIDs")


def redirection_of(text: str | bytes) -> Redirection:
    """The redirection that JSON describes. Raises BadRequest that names the field."""
    if len(text) > MAX_BYTES:
        raise BadRequest(f"the redirection has more than {MAX_BYTES} bytes")
    try:
        given = msgspec.json.decode(text, type=_Config)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the redirection cannot be read: {error}") from None
    if not given.proxy_user_id:
        raise BadRequest("ProxyUserID is required to set up traffic redirection")
    if not given.proxy_inbound_port:
        raise BadRequest("ProxyInboundPort is required to set up traffic redirection")
    if given.consul_dns_ip:
        try:
            ipaddress.ip_address(given.consul_dns_ip)
        except ValueError:
            raise BadRequest(f"ConsulDNSIP: {given.consul_dns_ip!r} is not an address") from None
    return Redirection(
        uids=(
            _uid("ProxyUserID", given.proxy_user_id),
            *(_uid("ExcludeUIDs", one) for one in given.exclude_uids or ()),
        ),
        inbound_port=port_number("ProxyInboundPort", str(given.proxy_inbound_port)),
        outbound_port=_port("ProxyOutboundPort", given.proxy_outbound_port) or OUTBOUND_PORT,
        inbound_ports=_ports("ExcludeInboundPorts", given.exclude_inbound_ports),
        outbound_ports=_ports("ExcludeOutboundPorts", given.exclude_outbound_ports),
        networks=_networks(given.exclude_outbound_cidrs),
        dns_ip=given.consul_dns_ip,
        dns_port=_port("ConsulDNSPort", given.consul_dns_port),
    )


def _port(field: str, value: int) -> int:
    return port_number(field, str(value)) if value else 0


def _ports(field: str, given: list[str] | None) -> tuple[tuple[int, int], ...]:
    return tuple(ports(field, one, lambda name: 0) for one in given or ())


def _networks(given: list[str] | None) -> tuple[Network, ...]:
    return tuple(network("ExcludeOutboundCIDRs", one) for one in given or ())


def _uid(field: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= _MAX_UID):
        raise BadRequest(f"{field}: {text!r} is not the number of a user")
    return int(text)
