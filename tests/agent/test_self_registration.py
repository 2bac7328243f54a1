"""Surface rows O1, O7, K22: the rows of a server are those a running Consul shows."""

import json
from pathlib import Path

import pytest

from meshagent import CONSUL_VERSION
from meshagent.agent.self_registration import (
    ServerFacts,
    node_row,
    serf_health,
    server_registration,
    tagged_addresses,
)
from meshagent.catalog import commands, queries
from meshagent.catalog.store import Store

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "http" / "catalog-basic.json"


def golden_node_services():
    steps = json.loads(GOLDEN.read_text())["steps"]
    return next(step["response"]["json"] for step in steps if step["request"]["path"] == "/v1/catalog/node/n1")


def test_o7_the_service_and_the_node_are_consuls():
    store = Store()
    facts = ServerFacts(
        node_id="id", name="n1", address="127.0.0.1", datacenter="dc1", server_port=1, grpc_port=2, grpc_tls_port=3
    )
    store.execute(server_registration(facts))
    store.execute(commands.Register(node_row(node_id="id", name="n1", datacenter="dc1", address="127.0.0.1")))
    node, services = queries.node_services(store, "n1").rows
    wanted = golden_node_services()
    assert node.tagged_addresses == wanted["Node"]["TaggedAddresses"]
    assert set(node.meta) == set(wanted["Node"]["Meta"])
    assert node.meta["consul-version"] == CONSUL_VERSION
    assert node.create_index < node.modify_index
    placeholders = {"grpc_port": "2", "grpc_tls_port": "3", "version": CONSUL_VERSION}
    assert services[0].meta == wanted["Services"]["consul"]["Meta"] | placeholders
    assert (services[0].port, services[0].modify_index) == (1, node.create_index)
    (check,) = queries.health_node(store, "n1").rows
    assert (check.check_id, check.name, check.status, check.output, check.modify_index) == (
        "serfHealth",
        "Serf Health Status",
        "passing",
        "Agent alive and reachable",
        node.create_index,
    )


def test_o7_without_grpc_its_ports_are_not_told():
    facts = ServerFacts(node_id="id", name="n1", address="127.0.0.1", datacenter="dc1", server_port=1, grpc_port=-1)
    meta = server_registration(facts).service.meta
    assert "grpc_port" not in meta
    assert "grpc_tls_port" not in meta


def test_k22_a_dead_member_is_critical():
    check = serf_health("n1", alive=False)
    assert (check.status, check.output) == ("critical", "Agent not live or unreachable")


def test_o1_the_operators_addresses_and_meta_stand_beside_the_agents():
    node = node_row(
        node_id="", name="n", datacenter="d", address="10.0.0.1", tagged={"nat": "1.2.3.4"}, meta={"rack": "7"}
    )
    assert node.tagged_addresses["nat"] == "1.2.3.4"
    assert node.meta["rack"] == "7"


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("10.0.0.1", {"lan", "lan_ipv4", "wan", "wan_ipv4"}),
        ("::1", {"lan", "lan_ipv6", "wan", "wan_ipv6"}),
        ("host.example", {"lan", "wan"}),
    ],
)
def test_o1_addresses_stand_under_their_family(address, names):
    assert set(tagged_addresses(address, address)) == names
