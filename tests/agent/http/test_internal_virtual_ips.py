"""Manual virtual addresses (IN7)."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.httpapi import Answer, Api

from meshagent.catalog.commands import Register
from meshagent.catalog.model import Connect, Node, Service

PATH = "/v1/internal/service-virtual-ip"


async def put(api: Api, service: str, *addresses: str) -> Answer:
    return await api.put(PATH, {"Service": service, "ManualVIPs": list(addresses)})


async def test_a_service_of_the_mesh_gets_them(api: Api) -> None:
    node = Node(name="n1", address="10.0.0.1")
    for name in ("web", "db"):
        await api.write(Register(node, Service(id=name, name=name, connect=Connect(native=True))))
    assert (await put(api, "web", "240.9.9.9")).json == {"Found": True, "UnassignedFrom": None}
    assert (await put(api, "db", "240.9.9.9")).json == {
        "Found": True, "UnassignedFrom": [{"ServiceName": {"Name": "web"}, "Peer": ""}],
    }  # fmt: skip
    assert api.agent.store.registrations.virtual_ips.manual == {"db": ("db", ("240.9.9.9",))}


async def test_others_get_none(api: Api) -> None:
    for body in ({"Service": "nope", "ManualVIPs": ["1.2.3.4"]}, {}):
        answer: Any = await api.put(PATH, body)
        assert (answer.status, answer.json) == (200, {"Found": False, "UnassignedFrom": None})


@pytest.mark.parametrize(
    ("addresses", "text"),
    [
        (["bad"], '"<nil>" is not a valid IPv4 address'),
        (["::1"], '"::1" is not a valid IPv4 address'),
        (
            [f"240.9.9.{n}" for n in range(9)],
            "cannot associate more than 8 manual virtual IPs with the same service",
        ),
    ],
)
async def test_what_is_refused(api: Api, addresses: list[str], text: str) -> None:
    answer = await put(api, "web", *addresses)
    assert (answer.status, answer.text) == (500, text)
