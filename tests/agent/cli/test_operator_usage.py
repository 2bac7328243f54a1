"""`operator usage instances` (CL12)."""

from __future__ import annotations

from typing import Any

MESH = {"connect-native": 0, "connect-proxy": 0, "mesh-gateway": 1}
DC1 = {
    "Nodes": 1, "Services": 2, "ServiceInstances": 4, "BillableServiceInstances": 3, "ConnectServiceInstances": MESH,
}  # fmt: skip
DC2 = {**DC1, "Nodes": 2, "Services": 1, "BillableServiceInstances": 1}


def test_the_agents_datacenter(cli: Any, stub: Any) -> None:
    stub.answer("operator/usage", {"Usage": {"dc1": DC1}})
    assert cli("operator usage instances").out == (
        "Billable Service Instances Total: 3\n"
        "dc1 Billable Service Instances: 3\n"
        "\n"
        "Billable Services\n"
        "Services      Service instances\n"
        "2             3\n"
        "\n"
        "Nodes\n"
        "Datacenter      Count\n"
        "dc1             1\n"
        "\n"
        "Total           1\n"
        "\n"
        "Connect Services\n"
        "Type                Service instances\n"
        "connect-native      0\n"
        "connect-proxy       0\n"
        "mesh-gateway        1\n"
    )


def test_all_datacenters(cli: Any, stub: Any) -> None:
    stub.answer("operator/usage", {"Usage": {"dc1": DC1, "dc2": DC2}})
    out = cli("operator usage instances -all-datacenters").out
    assert stub.last.query == {"global": ""}
    assert out.startswith("Billable Service Instances Total: 4\n")
    assert "dc2             1             1\n\nTotal           3             4\n" in out
    assert out.endswith("Total                               2\n")


def test_parts(cli: Any, stub: Any) -> None:
    stub.answer("operator/usage", {"Usage": {"dc1": DC1}})
    assert "Connect" not in cli("operator usage instances -billable").out
    assert "Billable" not in cli("operator usage instances -connect").out
    assert cli("operator usage instances -connect -billable").status == 1
