"""A mesh gateway as Envoy's resources: what is not recorded, of more than one datacenter (surface rows X18, M72)."""

from __future__ import annotations

from typing import Any

from meshtest.gateways import World

from meshagent.catalog.model import Proxy
from meshagent.connect.envoy import wire
from meshagent.connect.envoy.render import render
from meshagent.connect.envoy.resources import ORDER, Resources


def resources(world: World, **config: Any) -> Resources:
    """Each shown to be a message."""
    found = render(world.build("mesh-gateway", "gw", proxy=Proxy(config=config)))
    for type_url in ORDER:
        for resource in found.of(type_url).values():
            wire.encode(resource, type_url)
    return found


def test_another_datacenter_has_a_chain_by_the_end_of_names_and_a_cluster() -> None:
    world = World("api")
    world.ways("dc2", "1.1.1.1")
    found = resources(world)
    (listener,) = found.listeners.values()
    remote, rest = listener["filter_chains"]
    assert remote["filter_chain_match"] == {"server_names": ["*.dc2.internal.td.consul"]}
    proxy = remote["filters"][0]["typed_config"]
    assert (proxy["cluster"], proxy["stat_prefix"]) == ("dc2.internal.td.consul", "mesh_gateway_remote.default.dc2")
    assert [one["name"] for one in rest["filters"]] == [
        "envoy.filters.network.sni_cluster", "envoy.filters.network.tcp_proxy",
    ]  # fmt: skip
    assert sorted(found.clusters) == ["api.default.dc1.internal.td.consul", "dc2.internal.td.consul"]
    assert "transport_socket" not in found.clusters["dc2.internal.td.consul"]
    endpoint = found.endpoints["dc2.internal.td.consul"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert endpoint["address"]["socket_address"] == {"address": "1.1.1.1", "port_value": 443}


def test_connections_to_other_datacenters_may_be_kept_alive() -> None:
    world = World("api")
    world.ways("dc2", "1.1.1.1")
    found = resources(
        world, envoy_gateway_remote_tcp_enable_keepalive=True, envoy_gateway_remote_tcp_keepalive_time=30,
        envoy_gateway_remote_tcp_keepalive_interval=5, envoy_gateway_remote_tcp_keepalive_probes=3,
    )  # fmt: skip
    assert found.clusters["dc2.internal.td.consul"]["upstream_connection_options"] == {
        "tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 30, "keepalive_interval": 5}
    }
    assert "upstream_connection_options" not in found.clusters["api.default.dc1.internal.td.consul"]


def test_gateways_with_host_names_are_looked_up() -> None:
    world = World()
    world.ways("dc2", "a.example.com", "b.example.com")
    cluster = resources(world).clusters["dc2.internal.td.consul"]
    assert (cluster["type"], len(cluster["load_assignment"]["endpoints"][0]["lb_endpoints"])) == ("LOGICAL_DNS", 1)
    cluster = resources(world, envoy_dns_discovery_type="STRICT_DNS").clusters["dc2.internal.td.consul"]
    assert (cluster["type"], len(cluster["load_assignment"]["endpoints"][0]["lb_endpoints"])) == ("STRICT_DNS", 2)
