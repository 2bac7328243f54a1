"""I/O edge: `meshagent troubleshoot upstreams|proxy|ports`: why a call through the mesh does not work.

With `-envoy-admin-endpoint` an Envoy is looked at, as Consul's command does; without it the agent and the built-in
sidecar are asked. Connections are tried, nothing is sent over them.

Source: surface row CL24; developer.hashicorp.com/consul/commands/troubleshoot. What may change here: further findings
(`connect/diagnosis.py`).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from meshagent.agent.cli.client import ApiError, Client
from meshagent.agent.cli.flags import api_command, expect, text
from meshagent.agent.cli.output import fail, say, show_json

if TYPE_CHECKING:
    from meshagent.connect.diagnosis import Finding

__all__ = ["ports", "proxy", "upstreams"]

#: How long one connection may take, and how many are tried at a time.
_TRY_S, _AT_ONCE = 2.0, 16
#: The most instances of an upstream that are tried.
_MOST = 64
#: What an agent and its servers listen on by default.
_PORTS = (8600, 8500, 8501, 8502, 8503, 8301, 8302, 8300)

_PROXY = text("proxy-id", "The proxy, by the id of its registration; without it the only one here")
_ADMIN = text("envoy-admin-endpoint", "host:port of Envoy's admin interface; without it the built-in sidecar is meant")


@api_command("upstreams", short_help="List the upstreams of a proxy")
@_PROXY
@_ADMIN
def upstreams(client: Client, args: tuple[str, ...], proxy_id: str, envoy_admin_endpoint: str) -> None:
    """List the upstreams that a proxy registered at the agent works from, or that an Envoy has."""
    expect(args, 0, 0)
    if envoy_admin_endpoint:
        from meshagent.agent.cli.envoy_admin import look
        from meshagent.connect.envoy.findings import upstream_ids

        explicit, clusters = upstream_ids(look(envoy_admin_endpoint))
        virtual = [(addresses, " ".join(names)) for addresses, names in clusters]
    else:
        from meshagent.connect.diagnosis import upstream_names

        explicit, virtual = upstream_names(_snapshot(client, proxy_id))
    say(f"==> Upstreams (explicit upstreams only) ({len(explicit)})")
    for name in explicit:
        say(name)
    say(f"==> Upstreams IPs (transparent proxy only) ({len(virtual)})")
    for addresses, name in virtual:
        say(f"[{' '.join(addresses)}] {name}")


@api_command("proxy", short_help="Find out why an upstream does not answer")
@_PROXY
@_ADMIN
@text("upstream-envoy-id", "The upstream, by its name")
@text("upstream-ip", "The upstream, by its virtual address or that of an instance")
@text("format", "pretty or json", default="pretty")
def proxy(
    client: Client,
    args: tuple[str, ...],
    proxy_id: str,
    envoy_admin_endpoint: str,
    upstream_envoy_id: str,
    upstream_ip: str,
    format: str,
) -> int:
    """Look at certificates, sidecar, listener, route, instances and intentions on the way to one upstream. The status
    is 1 when something is wrong."""
    expect(args, 0, 0)
    if bool(upstream_envoy_id) == bool(upstream_ip):
        raise fail("-upstream-envoy-id OR -upstream-ip is required.\n Please run `troubleshoot upstreams` to find it.")
    if envoy_admin_endpoint:
        from meshagent.agent.cli.envoy_admin import look
        from meshagent.connect.envoy.findings import find

        found = find(look(envoy_admin_endpoint), upstream_envoy_id, upstream_ip)
    else:
        found = _diagnosed(client, proxy_id, upstream_envoy_id, upstream_ip)
    if format == "json":
        show_json([{"Good": one.good, "Text": one.text, "Action": one.action} for one in found])
    else:
        say("==> Validation")
        for one in found:
            say(f"{'✓' if one.good else '!'} {one.text}")
            if one.action:
                say(f"  -> {one.action}")
    return 0 if all(one.good for one in found) else 1


@api_command("ports", short_help="Try which ports of a host are open")
@text("host", "The host; without it that of -http-addr or CONSUL_HTTP_ADDR")
@text("ports", "Ports, separated by commas; without them those of an agent")
def ports(client: Client, args: tuple[str, ...], host: str, ports: str) -> None:
    """Print which TCP ports of a host are open."""
    expect(args, 0, 0)
    wanted: Sequence[int] = _PORTS
    if ports:
        words = [word.strip() for word in ports.split(",")]
        for word in words:
            if not (word.isascii() and word.isdigit() and 0 < int(word) < 65536):
                raise fail(f"-ports: {word!r} is no port")
        wanted = [int(word) for word in words]
    name = host or _host_of(client)
    for port, problem in zip(wanted, _tried([(name, port) for port in wanted]), strict=True):
        how = "is closed, unreachable, or the connection timed out" if problem else "is open"
        say(f"TCP: Port {port} on {name} {how}.")


def _host_of(client: Client) -> str:
    address = client.endpoint.address
    if address.startswith("unix://"):
        raise fail("-host is required: the agent is reached by a Unix socket")
    return urlsplit(address if "//" in address else f"//{address}").hostname or address


def _snapshot(client: Client, proxy_id: str) -> dict[str, Any]:
    """That of the proxy, without its key."""
    try:
        if not proxy_id:
            proxy_id = _only_proxy(client)
        found: dict[str, Any] = client.get(f"agent/connect/proxy/{proxy_id}")
    except ApiError as error:
        raise fail(f"Error reading what the proxy {proxy_id or 'here'} works from: {error}") from None
    return found


def _only_proxy(client: Client) -> str:
    services: dict[str, Any] = client.get("agent/services")
    here = sorted(name for name, one in services.items() if one.get("Kind") == "connect-proxy")
    if len(here) == 1:
        return here[0]
    if here:
        raise fail(f"several proxies are registered here, say which with -proxy-id: {', '.join(here)}")
    raise fail("no proxy is registered at this agent that the token may read")


def _diagnosed(client: Client, proxy_id: str, name: str, address: str) -> list[Finding]:
    """What is found about an upstream of the built-in sidecar."""
    from meshagent.connect.diagnosis import diagnose, find_upstream

    snapshot = _snapshot(client, proxy_id)
    upstream = find_upstream(snapshot, name, address)
    if upstream is None:
        raise fail(f"the proxy {snapshot['proxy_id']} has no upstream {name or address}")
    return diagnose(_facts(client, snapshot, upstream))


def _facts(client: Client, snapshot: dict[str, Any], upstream: dict[str, Any]) -> Any:
    from meshagent.agent.cli.admin_client import running
    from meshagent.connect.diagnosis import Facts

    listener: str | None = None
    if upstream["socket_path"]:
        listener = _try_unix(upstream["socket_path"])
    elif upstream["port"]:
        [listener] = _tried([(upstream["address"], upstream["port"])])
    chain = upstream["chain"]
    clusters = [snapshot["clusters"].get(target) for target in (chain["targets"] if chain is not None else ())]
    places = [(one["address"], one["port"]) for cluster in clusters if cluster for one in cluster["endpoints"]][:_MOST]
    sidecars = [one for one in running() if one.proxy_id == snapshot["proxy_id"]]
    return Facts(
        snapshot=snapshot,
        upstream=upstream,
        now=datetime.now(UTC),  # noqa: TID251  a person's terminal
        edges=[edge for one in sidecars for edge in one.edges] if sidecars else None,
        listener=listener,
        reached={f"{host}:{port}": said for (host, port), said in zip(places, _tried(places), strict=True)},
        decision=_decision(client, snapshot["service"], upstream["name"]),
        root_ends=[datetime.fromisoformat(root["NotAfter"]) for root in client.get("agent/connect/ca/roots")["Roots"]],
    )


def _decision(client: Client, source: str, destination: str) -> tuple[bool, str] | None:
    query = {"source": source, "destination": destination}
    answer = client.request("GET", "connect/intentions/explain", query, accept=(200, 403))
    if answer.status != 200:
        return None
    found = answer.json()
    return bool(found["Allowed"]), str(found.get("Reason", ""))


def _tried(places: Sequence[tuple[str, int]]) -> list[str]:
    """For each place why no connection comes about, "" when one does."""
    if not places:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(places))) as pool:
        return list(pool.map(_try_tcp, places))


def _try_tcp(place: tuple[str, int]) -> str:
    try:
        socket.create_connection(place, _TRY_S).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _try_unix(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as tried:
        tried.settimeout(_TRY_S)
        try:
            tried.connect(path)
        except OSError as error:
            return error.strerror or str(error)
    return ""
