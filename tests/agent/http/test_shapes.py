from __future__ import annotations

import json

import msgspec

from meshagent.agent.http.shapes import NodeServiceList, NodeServices, catalog_service, health_entry
from meshagent.catalog.model import Check, Node, Service, ServiceAddress, ServiceEntry

ENTRY = ServiceEntry(
    Node(name="n", address="1.1.1.1", id="i", datacenter="dc1", meta={"a": "b"}),
    Service(
        id="s1", name="s", tags=("t",), tagged_addresses={"lan": ServiceAddress(address="1.1.1.2", port=1)}, port=2
    ),
    (Check(node="n", check_id="c"),),
)


def test_o2_is_flat() -> None:
    row = json.loads(msgspec.json.encode(catalog_service(ENTRY)))
    assert (row["ID"], row["Node"], row["ServiceID"], row["ServiceName"], row["ServicePort"]) == (
        "i",
        "n",
        "s1",
        "s",
        2,
    )
    assert row["ServiceTaggedAddresses"] == {"lan": {"Address": "1.1.1.2", "Port": 1}}
    assert (row["NodeMeta"], row["ServiceMeta"], row["ServiceKind"]) == ({"a": "b"}, {}, "")
    bare = catalog_service(ServiceEntry(ENTRY.node, Service(id="x", name="x"), ()))
    assert "ServiceTaggedAddresses" not in json.loads(msgspec.json.encode(bare))


def test_o5_is_nested() -> None:
    row = json.loads(msgspec.json.encode(health_entry(ENTRY)))
    assert (row["Node"]["Node"], row["Service"]["Service"], row["Checks"][0]["CheckID"]) == ("n", "s", "c")


def test_ct8_ct9() -> None:
    by_id = json.loads(msgspec.json.encode(NodeServices(ENTRY.node, {"s1": ENTRY.service})))
    assert list(by_id["Services"]) == ["s1"]
    assert json.loads(msgspec.json.encode(NodeServiceList(None, None))) == {"Node": None, "Services": None}
