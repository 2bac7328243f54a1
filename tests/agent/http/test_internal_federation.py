"""Federation states (IN6)."""

from __future__ import annotations

from meshtest.httpapi import Api

from meshagent.catalog.commands import FederationStateSet, Register
from meshagent.catalog.model import Node, Service

STATES = "/v1/internal/federation-states"


async def test_states_of_the_datacenter(api: Api) -> None:
    await api.write(FederationStateSet("dc1", "2024-01-01T00:00:00Z"))
    row = {
        "Datacenter": "dc1", "UpdatedAt": "2024-01-01T00:00:00Z", "PrimaryModifyIndex": 2, "CreateIndex": 2,
        "ModifyIndex": 2,
    }  # fmt: skip
    answer = await api.get(STATES)
    assert (answer.json, answer.index) == ([row], 2)
    assert (await api.get(f"{STATES}/mesh-gateways")).json == {}
    one = (await api.get("/v1/internal/federation-state/dc1")).json
    assert (one["State"], one["KnownLeader"], one["ConsistencyLevel"]) == (row, True, "")
    missing = await api.get("/v1/internal/federation-state/dc9")
    assert (missing.status, missing.body) == (404, b"")
    unnamed = await api.get("/v1/internal/federation-state/")
    assert (unnamed.status, unnamed.text) == (400, "Missing datacenter name")


async def test_mesh_gateways_are_read_from_the_catalog(api: Api) -> None:
    await api.write(FederationStateSet("dc1", "2024-01-01T00:00:00Z"))
    assert (await api.get(f"{STATES}/mesh-gateways")).json == {}
    await api.write(Register(Node(name="n1", address="10.0.0.1"), Service(id="g", kind="mesh-gateway", name="gate")))
    found = (await api.get(f"{STATES}/mesh-gateways")).json
    assert [row["Service"]["Service"] for row in found["dc1"]] == ["gate"]
    state = (await api.get(STATES)).json[0]
    assert [row["Node"]["Node"] for row in state["MeshGateways"]] == ["n1"]
