from typing import Any

import pytest

NODES = [
    {
        "ID": "11111111-2222-3333-4444-555555555555",
        "Node": "web-1",
        "Address": "10.0.0.1",
        "Datacenter": "dc1",
        "TaggedAddresses": {"wan": "198.51.100.1", "lan": "10.0.0.1"},
        "Meta": {"rack": "r1"},
    },
    {"ID": "", "Node": "a", "Address": "10.0.0.2", "Datacenter": "dc1", "TaggedAddresses": None, "Meta": None},
]


def test_nodes_are_sorted_columns(cli: Any, stub: Any) -> None:  # CL5
    stub.answer("catalog/nodes", NODES)
    ran = cli("catalog nodes")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == "Node   ID        Address   DC\na                10.0.0.2  dc1\nweb-1  11111111  10.0.0.1  dc1\n"


def test_nodes_detailed(cli: Any, stub: Any) -> None:  # CL5
    stub.answer("catalog/nodes", NODES)
    lines = cli("catalog nodes -detailed").out.splitlines()
    assert lines[0].split() == ["Node", "ID", "Address", "DC", "TaggedAddresses", "Meta"]
    assert lines[2].endswith("dc1  lan=10.0.0.1, wan=198.51.100.1  rack=r1")
    assert NODES[0]["ID"] in lines[2]


def test_nodes_pass_their_conditions_on(cli: Any, stub: Any) -> None:  # CL5
    stub.answer("catalog/nodes", NODES)
    ran = cli("catalog", "nodes", "-near=_agent", "-filter", "Meta.rack == r1", "-node-meta", "rack=r1", "-stale")
    assert stub.last.query == {"near": "_agent", "filter": "Meta.rack == r1", "node-meta": "rack:r1", "stale": ""}
    assert [line.split()[0] for line in ran.out.splitlines()] == ["Node", "web-1", "a"]


def test_nodes_of_a_service_are_listed_once(cli: Any, stub: Any) -> None:  # CL5
    row = NODES[0] | {"NodeMeta": {"rack": "r1"}}
    stub.answer("catalog/service/web", [row | {"ServiceID": "w1"}, row | {"ServiceID": "w2"}])
    assert len(cli("catalog nodes -service=web -detailed").out.splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "path", "answer"),
    [("catalog nodes", "catalog/nodes", []), ("catalog services", "catalog/services", {})],
)
def test_nothing_found_is_said_and_no_failure(cli: Any, stub: Any, line: str, path: str, answer: Any) -> None:
    stub.answer(path, answer)
    ran = cli(line)
    assert (ran.status, ran.out) == (0, "")
    assert "match the given query - try expanding your search." in ran.err


def test_services_are_names_or_names_with_tags(cli: Any, stub: Any) -> None:  # CL5
    stub.answer("catalog/services", {"web": ["v2", "v1"], "consul": []})
    assert cli("catalog services").out == "consul\nweb\n"
    assert cli("catalog services -tags -node-meta a=b").out == "consul\nweb         v1,v2\n"
    assert stub.last.query == {"node-meta": "a:b"}


def test_services_of_a_node(cli: Any, stub: Any) -> None:  # CL5
    services = {"w1": {"Service": "web", "Tags": ["a"]}, "w2": {"Service": "web", "Tags": None}}
    stub.answer("catalog/node/n1", {"Node": {}, "Services": services})
    assert cli("catalog services -node n1 -tags").out == "web      a\n"


def test_datacenters_and_json(cli: Any, stub: Any) -> None:  # CL5
    stub.answer("catalog/datacenters", ["dc1", "dc2"])
    assert cli("catalog datacenters").out == "dc1\ndc2\n"
    stub.answer("catalog/services", {"web": []})
    assert cli("catalog services -format=json").out == '{\n    "web": []\n}\n'
    stub.answer("catalog/nodes", [])
    assert cli("catalog nodes -format json").out == "[]\n"


def test_a_bad_pair_is_refused(cli: Any, stub: Any) -> None:
    ran = cli("catalog nodes -node-meta rack")
    assert (ran.status, ran.err) == (1, 'invalid value "rack" for flag -node-meta: expected key=value\n')
