"""What py-consul's own tests do not call: run.py puts it beside them, so that every public method is called."""

from __future__ import annotations

import time
from typing import Any

import pytest
from consul import Check, Consul
from consul.exceptions import ClientError


def until(condition: Any, within_s: float = 60.0) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def test_prepared_queries(consul_obj: tuple[Consul, str]) -> None:
    client, _ = consul_obj
    assert client.query.list() == []
    client.agent.service.register("web", service_id="web1", port=80, check=Check.ttl("1h"))
    client.agent.check.ttl_pass("service:web1")
    made = client.query.create("web", "near", onlypassing=True, tags=[])
    [held] = client.query.get(made["ID"])
    assert (held["Name"], held["Service"]["Service"]) == ("near", "web")
    until(lambda: [row["Service"]["ID"] for row in client.query.execute("near")["Nodes"]] == ["web1"])
    assert client.query.explain("near")["Query"]["ID"] == made["ID"]
    assert client.query.update(made["ID"], service="web", name="nearer")
    assert [row["Name"] for row in client.query.list()] == ["nearer"]
    assert client.query.delete(made["ID"])
    assert client.query.list() == []


def test_the_mesh(consul_obj: tuple[Consul, str]) -> None:
    client, _ = consul_obj
    roots = until(lambda: client.connect.ca.roots()["Roots"])
    assert client.agent.connect.ca.roots()["Roots"][0]["ID"] == roots[0]["ID"]
    leaf = client.agent.connect.ca.leaf("web")
    assert leaf["PrivateKeyPEM"].startswith("-----BEGIN")
    uri, serial = leaf["ServiceURI"], leaf["SerialNumber"]
    with pytest.raises(ClientError, match="405"):  # it is sent by PUT, which Consul refuses, too
        client.agent.connect.authorize("web", uri, serial)


def test_the_agent(consul_obj: tuple[Consul, str]) -> None:
    client, _ = consul_obj
    client.agent.service.register("web", service_id="web1", port=80)
    assert client.agent.service_definition("web1")["Port"] == 80
    own = client.agent.self()["Member"]
    assert client.agent.join(f"{own['Addr']}:{own['Port']}")


def test_coordinates(consul_obj: tuple[Consul, str]) -> None:
    client, _ = consul_obj
    node = client.coordinate.datacenters()[0]["Coordinates"][0]["Node"]
    assert client.coordinate.update(node, {"Adjustment": 0, "Error": 1.5, "Height": 0.1, "Vec": [0.0] * 8}) is True
    until(lambda: node in [row["Node"] for row in client.coordinate.nodes()[1]])
    _, [row] = client.coordinate.node(node)
    assert len(row["Coord"]["Vec"]) == 8
