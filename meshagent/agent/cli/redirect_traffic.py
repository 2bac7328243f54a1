"""I/O edge: `meshagent connect redirect-traffic`: the traffic of a host or network namespace goes through a sidecar.

The rules are text (`connect/redirect.py`), given to `nft` (`nft.py`), all of them or none.

Source: surface row CL21; developer.hashicorp.com/consul/commands/connect/redirect-traffic; nft(8). `-dry-run` and
`-remove` are ours. What may change here: what a registration excludes.
"""

from __future__ import annotations

import ipaddress
import pwd
import socket
from collections.abc import Iterable
from typing import Any

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.nft import apply_rules
from meshagent.agent.cli.output import fail, say
from meshagent.agent.cli.proxy_lookup import registration
from meshagent.connect.redirect import OUTBOUND_PORT, Redirection, network, port_number, ports, removal, rules
from meshagent.errors import BadRequest, MeshError, Unavailable
from meshagent.hostport import split_host_port

__all__ = ["redirect_traffic"]

#: Keys of a proxy's configuration that open a port for others than the mesh.
_OPEN = ("envoy_prometheus_bind_addr", "envoy_stats_bind_addr")
_MAX_UID = 2**32 - 2


@api_command("redirect-traffic", short_help="Send the traffic of a host or network namespace through a sidecar")
@text("proxy-id", "Id of the proxy's registration: its ports, and what it opens, come from there")
@text("node-name", "With -proxy-id: the node where it is registered, if not at this agent")
@text("proxy-uid", "User (number or name) that the proxy runs as; what it sends is left alone. Required")
@text("proxy-inbound-port", "Port where the proxy takes what comes in, without -proxy-id")
@text("proxy-outbound-port", f"Port where it takes what leaves, without -proxy-id; {OUTBOUND_PORT} when left out")
@text(
    "exclude-inbound-port",
    "Port (22), range (8080:9000) or service (ssh) that is left alone; repeatable",
    multiple=True,
)
@text("exclude-outbound-port", "The same for what leaves; repeatable", multiple=True)
@text("exclude-outbound-cidr", "Network that is reached directly; repeatable", multiple=True)
@text("exclude-uid", "Another user whose traffic is left alone, names included; repeatable", multiple=True)
@text("consul-dns-ip", "Address that names are looked up at; 127.0.0.1 when only the port is given")
@text("consul-dns-port", "Its port; 53 when only the address is given")
@text("netns", "Network namespace where this holds, as a path: /var/run/netns/web")
@switch("dry-run", "Print the rules and change nothing")
@switch("remove", "Take the rules away; needs no other flag but -netns")
def redirect_traffic(
    client: Client, args: tuple[str, ...], netns: str, dry_run: bool, remove: bool, **given: Any
) -> None:
    """Send the traffic of a host or network namespace through a sidecar in transparent mode, with nftables.

    Whatever comes in over TCP then reaches the proxy's public listener, whatever leaves its outbound one. Existing
    connections go on as they are. Applying it again replaces the rules.
    """
    expect(args, 0, 0)
    if remove:
        script = removal()
    else:
        try:
            script = rules(_wanted(client, given))
        except BadRequest as error:
            raise fail(str(error)) from None
    if dry_run:
        say(script.rstrip("\n"))
        return
    try:
        apply_rules(script, netns)
    except Unavailable as error:
        raise fail(f"Error setting up traffic redirection: {error}") from None
    say(f"Successfully {'removed' if remove else 'applied'} traffic redirection rules")


def _wanted(client: Client, given: dict[str, Any]) -> Redirection:
    """What the flags ask for. Raises BadRequest that names the flag."""
    proxy_id, inbound, outbound = given["proxy_id"], given["proxy_inbound_port"], given["proxy_outbound_port"]
    if not given["proxy_uid"]:
        raise fail("-proxy-uid is required")
    if not proxy_id and not inbound:
        raise fail("either -proxy-id or -proxy-inbound-port are required")
    if proxy_id and (inbound or outbound):
        raise fail("-proxy-inbound-port and -proxy-outbound-port exclude -proxy-id: the registration says them")
    if given["node_name"] and not proxy_id:
        raise fail("-node-name needs -proxy-id")
    uids = [_uid("-proxy-uid", given["proxy_uid"]), *(_uid("-exclude-uid", one) for one in given["exclude_uid"])]
    opened: tuple[int, ...] = ()
    if proxy_id:
        try:
            found = _registered(client, proxy_id, given["node_name"])
            inbound_port, outbound_port, opened = _ports_of(client, found, elsewhere=bool(given["node_name"]))
        except MeshError as error:
            raise fail(f"Cannot tell what to redirect to: {error}") from None
    else:
        inbound_port = port_number("-proxy-inbound-port", inbound)
        outbound_port = port_number("-proxy-outbound-port", outbound) if outbound else OUTBOUND_PORT
    if given["consul_dns_ip"]:
        try:
            ipaddress.ip_address(given["consul_dns_ip"])
        except ValueError:
            raise BadRequest(f"-consul-dns-ip: {given['consul_dns_ip']!r} is not an address") from None
    dns_port = given["consul_dns_port"]
    return Redirection(
        uids=tuple(uids),
        inbound_port=inbound_port,
        outbound_port=outbound_port,
        inbound_ports=(*((port, port) for port in opened), *_ranges("-exclude-inbound-port", given)),
        outbound_ports=tuple(_ranges("-exclude-outbound-port", given)),
        networks=tuple(network("-exclude-outbound-cidr", one) for one in given["exclude_outbound_cidr"]),
        dns_ip=given["consul_dns_ip"],
        dns_port=port_number("-consul-dns-port", dns_port) if dns_port else 0,
    )


def _ranges(flag: str, given: dict[str, Any]) -> list[tuple[int, int]]:
    return [ports(flag, one, _service_port) for one in given[flag.lstrip("-").replace("-", "_")]]


def _service_port(name: str) -> int:
    try:
        return socket.getservbyname(name, "tcp")
    except OSError:
        return 0


def _uid(flag: str, given: str) -> int:
    if given.isascii() and given.isdecimal() and len(given) <= 10 and int(given) <= _MAX_UID:
        return int(given)
    try:
        return pwd.getpwnam(given).pw_uid
    except (KeyError, ValueError):
        raise BadRequest(f"{flag}: there is no user {given!r}") from None


# --- what a registration says -----------------------------------------------------------------------------------------


def _registered(client: Client, proxy_id: str, node: str) -> dict[str, Any]:
    """The registration of a proxy. Raises MeshError."""
    try:
        found = registration(client, proxy_id, node)
    except MeshError as error:
        if node:
            raise
        raise MeshError(f"failed to fetch proxy service from Consul Agent: {error}") from None
    if not found.get("Proxy") or not found["Proxy"].get("DestinationServiceName"):
        raise MeshError(f"service {proxy_id} is not a proxy service")
    return found


def _ports_of(client: Client, found: dict[str, Any], *, elsewhere: bool) -> tuple[int, int, tuple[int, ...]]:
    """(inbound port, outbound port, ports that anybody may reach) of a proxy. Raises MeshError."""
    proxy = found["Proxy"]
    config = proxy.get("Config") or {}
    inbound = config.get("bind_port") or found.get("Port") or 0
    if not isinstance(inbound, int | float) or not 1 <= inbound <= 65535:
        raise MeshError(f"the proxy has no port that others come in at: {inbound!r}")
    outbound = (proxy.get("TransparentProxy") or {}).get("OutboundListenerPort") or OUTBOUND_PORT
    opened = [_port_in(key, config[key]) for key in _OPEN if config.get(key)]
    expose = proxy.get("Expose") or {}
    opened += [path["ListenerPort"] for path in expose.get("Paths") or () if path.get("ListenerPort")]
    if expose.get("Checks") and not elsewhere:
        opened += _exposed(client.get("agent/checks").values(), proxy["DestinationServiceName"])
    return int(inbound), int(outbound), tuple(opened)


def _port_in(key: str, value: Any) -> int:
    port = split_host_port(value, 0)[1] if isinstance(value, str) else 0
    if not 1 <= port <= 65535:
        raise MeshError(f"{key} of the proxy's configuration is not host:port: {value!r}")
    return port


def _exposed(checks: Iterable[dict[str, Any]], service: str) -> list[int]:
    return [one["ExposedPort"] for one in checks if one.get("ServiceName") == service and one.get("ExposedPort")]
