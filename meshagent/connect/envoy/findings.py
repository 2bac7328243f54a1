"""Why a call through an Envoy does or does not work: findings from what its administration interface shows. Pure.

Source: surface row CL24; developer.hashicorp.com/consul/commands/troubleshoot (what is looked at, in which order);
envoyproxy.io "Administration interface" (`/certs`, `/stats`, `/config_dump`, `/clusters`). What may change here:
further findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from meshagent.connect.diagnosis import Finding

__all__ = ["Seen", "find", "upstream_ids"]

_PUBLIC, _OUTBOUND, _EXPOSED = "public_listener:", "outbound_listener:", "exposed_path_"
_MANAGER, _TCP = "envoy.filters.network.http_connection_manager", "envoy.filters.network.tcp_proxy"
_AGGREGATE = "envoy.clusters.aggregate"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the interface answered, as JSON: `/certs`, `/stats?format=json`, `/config_dump`, `/clusters?format=json`."""

    certs: dict[str, Any]
    stats: dict[str, Any]
    dump: dict[str, Any]
    clusters: dict[str, Any]
    now: datetime

    def listeners(self) -> dict[str, dict[str, Any]]:
        """Those that are in use, by name."""
        found = {}
        for one in self._dynamic("dynamic_listeners"):
            if "active_state" in one:
                found[one["name"]] = one["active_state"]["listener"]
        return found

    def routes(self) -> dict[str, dict[str, Any]]:
        """Route configurations by name."""
        rows = self._dynamic("dynamic_route_configs")
        return {one["route_config"]["name"]: one["route_config"] for one in rows if "name" in one["route_config"]}

    def held_clusters(self) -> dict[str, dict[str, Any]]:
        """Clusters by name."""
        return {one["cluster"]["name"]: one["cluster"] for one in self._dynamic("dynamic_active_clusters")}

    def counters(self) -> dict[str, int]:
        """Counters and gauges by name."""
        rows = self.stats.get("stats", ())
        return {one["name"]: int(one["value"]) for one in rows if isinstance(one.get("value"), int)}

    def _dynamic(self, kind: str) -> Iterator[dict[str, Any]]:
        for part in self.dump.get("configs", ()):
            yield from part.get(kind, ())


def upstream_ids(seen: Seen) -> tuple[list[str], list[tuple[list[str], list[str]]]]:
    """(upstreams with a listener of their own, (addresses, clusters) of those that transparent mode reaches)."""
    explicit, virtual = [], []
    for name, listener in sorted(seen.listeners().items()):
        if name.startswith(_OUTBOUND):
            for chain in listener.get("filter_chains", ()):
                addresses = _addresses(chain)
                if addresses:
                    virtual.append((addresses, sorted(_clusters_of(chain, seen))))
        elif not name.startswith((_PUBLIC, _EXPOSED)) and listener.get("traffic_direction") == "OUTBOUND":
            explicit.append(_id(name))
    return explicit, virtual


def find(seen: Seen, upstream: str, address: str) -> list[Finding]:
    """All findings about one upstream, by its id or by an address, in the order of a call's way."""
    named = f'upstream "{upstream or address}"'
    findings = [*_certificates(seen), *_rejected(seen), *_failures(seen)]
    chains = _chains(seen, upstream, address)
    if not chains:
        findings.append(
            Finding(
                False,
                f"No listener for {named} found",
                "check that the upstream is in the registration, or that an intention allows it, and that the name is "
                "one of `troubleshoot upstreams`",
            )
        )
        return findings
    findings.append(Finding(True, f"Listener for {named} found"))
    wanted: set[str] = set()
    for chain in chains:
        name = _route_name(chain)
        if name and name not in seen.routes():
            findings.append(Finding(False, f"No route for {named} found", "check the router of the service"))
        elif _is_http(chain):
            findings.append(Finding(True, f"Route for {named} found"))
        wanted |= _clusters_of(chain, seen)
    for cluster in sorted(wanted):
        findings += _cluster(seen, cluster, named)
    return findings


# --- what is looked at ----------------------------------------------------------------------------------------------


def _certificates(seen: Seen) -> Iterator[Finding]:
    held = seen.certs.get("certificates", ())
    if not held:
        yield Finding(False, "There are no certificates", "see in the agent's log whether it can sign them")
    for kind, what in (("cert_chain", "leaf"), ("ca_cert", "root")):
        for one in (each for certificate in held for each in certificate.get(kind, ())):
            if datetime.fromisoformat(one["expiration_time"].replace("Z", "+00:00")) <= seen.now:
                yield Finding(
                    False,
                    f"A {what} certificate ended at {one['expiration_time']}",
                    "see why the agent gives no new one",
                )
                return
    if held:
        yield Finding(True, "Certificates are valid")


def _rejected(seen: Seen) -> Iterator[Finding]:
    rejected = sum(value for name, value in seen.counters().items() if name.endswith(".update_rejected"))
    action = "" if rejected == 0 else "the agent's log says what was rejected and why: an escape hatch, an extension"
    yield Finding(rejected == 0, f"Envoy has {rejected} rejected configurations", action)


def _failures(seen: Seen) -> Iterator[Finding]:
    failed = sum(value for name, value in seen.counters().items() if name.endswith(".upstream_cx_connect_fail"))
    yield Finding(True, f"Envoy has detected {failed} connection failure(s)")


def _cluster(seen: Seen, name: str, named: str) -> Iterator[Finding]:
    held = seen.held_clusters().get(name)
    if held is None:
        yield Finding(False, f'No cluster "{name}" for {named} found', "check the resolver of the service")
        return
    yield Finding(True, f'Cluster "{name}" for {named} found')
    members = _members(held) or (name,)
    if any(_has_healthy(seen, member) for member in members):
        yield Finding(True, f'Healthy endpoints for cluster "{name}" for {named} found')
    else:
        yield Finding(
            False,
            f'No healthy endpoints for cluster "{name}" for {named} found',
            "check that the service has instances whose checks pass, and that the subset fits: `meshagent health`",
        )


# --- inside ---------------------------------------------------------------------------------------------------------


def _id(listener: str) -> str:
    """`api` of `api:127.0.0.1:9191`; `prepared_query:geo` keeps its first part."""
    if listener.startswith("prepared_query:"):
        return ":".join(listener.split(":")[:2])
    return listener.partition(":")[0]


def _addresses(chain: dict[str, Any]) -> list[str]:
    ranges = chain.get("filter_chain_match", {}).get("prefix_ranges", ())
    return [str(one["address_prefix"]) for one in ranges]


def _chains(seen: Seen, upstream: str, address: str) -> list[dict[str, Any]]:
    found = []
    for name, listener in seen.listeners().items():
        for chain in listener.get("filter_chains", ()):
            if name.startswith(_OUTBOUND):
                hit = address in _addresses(chain) if address else _names(chain, upstream)
            else:
                hit = bool(upstream) and not name.startswith((_PUBLIC, _EXPOSED)) and _id(name) == upstream
            if hit:
                found.append(chain)
    return found


def _names(chain: dict[str, Any], upstream: str) -> bool:
    """Whether a chain of transparent mode is that of an upstream: its statistics begin with its name."""
    return any(
        one.get("typed_config", {}).get("stat_prefix", "").startswith(f"upstream.{upstream}.")
        for one in chain.get("filters", ())
    )


def _is_http(chain: dict[str, Any]) -> bool:
    return any(one["name"] == _MANAGER for one in chain.get("filters", ()))


def _route_name(chain: dict[str, Any]) -> str:
    """The route configuration that a chain asks for; "" when it has its routes in line."""
    for one in chain.get("filters", ()):
        if "rds" in one.get("typed_config", {}):
            return str(one["typed_config"]["rds"].get("route_config_name", ""))
    return ""


def _clusters_of(chain: dict[str, Any], seen: Seen) -> set[str]:
    """Where a chain sends to."""
    found: set[str] = set()
    for one in chain.get("filters", ()):
        config = one.get("typed_config", {})
        if one["name"] == _TCP:
            found |= _targets(config)
        elif one["name"] == _MANAGER:
            routes = config.get("route_config") or seen.routes().get(_route_name(chain), {})
            for host in routes.get("virtual_hosts", ()):
                for route in host.get("routes", ()):
                    found |= _targets(route.get("route", {}))
    return found


def _targets(action: dict[str, Any]) -> set[str]:
    shares = action.get("weighted_clusters", {}).get("clusters", ())
    return {str(one["name"]) for one in shares} | ({str(action["cluster"])} if action.get("cluster") else set())


def _members(cluster: dict[str, Any]) -> tuple[str, ...]:
    """The clusters that stand behind an aggregate."""
    kind = cluster.get("cluster_type", {})
    return tuple(kind.get("typed_config", {}).get("clusters", ())) if kind.get("name") == _AGGREGATE else ()


def _has_healthy(seen: Seen, name: str) -> bool:
    for one in seen.clusters.get("cluster_statuses", ()):
        if one.get("name") == name:
            for host in one.get("host_statuses", ()):
                health = host.get("health_status", {})
                if health.get("eds_health_status", "HEALTHY") == "HEALTHY" and not any(
                    value is True for value in health.values()
                ):
                    return True
    return False
