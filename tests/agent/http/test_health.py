from __future__ import annotations

import pytest
from meshtest.httpapi import Api, instance

from meshagent.catalog import commands
from meshagent.catalog.model import Check, Node


async def scene(api: Api) -> None:
    for number, status in enumerate(("passing", "warning", "critical", "passing")):
        tags = ("blue" if number < 2 else "green", f"v{number % 2}")
        await api.write(
            instance(f"h{number}", "app", number=number, status=status, tags=tags, meta={"rack": f"r{number // 2}"})
        )
    check = Check(node="h3", check_id="disk", name="disk", status="critical", output="full")
    await api.write(commands.Register(Node(name="h3", address=""), None, (check,), True))


async def ids(api: Api, target: str) -> list[str]:
    return [entry["Service"]["ID"] for entry in (await api.get(target)).json]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["app0", "app1", "app2", "app3"]),
        ("?passing", ["app0"]),
        ("?passing=true", ["app0"]),
        ("?passing=1", ["app0"]),
        ("?passing=false", ["app0", "app1", "app2", "app3"]),
        ("?tag=blue", ["app0", "app1"]),
        ("?tag=blue&tag=v1", ["app1"]),
        ("?tag=nope", []),
        ("?node-meta=rack:r1", ["app2", "app3"]),
        ("?filter=Checks.Status%20==%20warning", ["app1"]),
        ("?filter=Service.Port%20!=%208000&passing", []),
    ],
)
async def test_hl3_service(api: Api, query: str, found: list[str]) -> None:
    await scene(api)
    assert await ids(api, f"/v1/health/service/app{query}") == found


async def test_hl3_bad_passing(api: Api) -> None:
    answer = await api.get("/v1/health/service/app?passing=zz")
    assert (answer.status, answer.text) == (400, "Invalid value for ?passing")


async def test_o5_node_checks_come_first(api: Api) -> None:
    await scene(api)
    (entry,) = (await api.get("/v1/health/service/app?filter=Node.Node==h3")).json
    assert [check["CheckID"] for check in entry["Checks"]] == ["disk", "c-app3"]
    assert list(entry) == ["Node", "Service", "Checks"]


async def test_hl1_hl2_hl6_checks(api: Api) -> None:
    await scene(api)

    async def checks(target: str) -> list[str]:
        return [check["CheckID"] for check in (await api.get(target)).json]

    assert await checks("/v1/health/node/h3") == ["c-app3", "disk"]
    assert await checks("/v1/health/node/nope") == []
    assert await checks("/v1/health/checks/app?filter=Status==passing") == ["c-app0", "c-app3"]
    assert await checks("/v1/health/state/critical") == ["c-app2", "disk"]
    assert len(await checks("/v1/health/state/any")) == 5
    assert await checks("/v1/health/state/bogus") == []


async def test_c11_lists_of_checks_carry_the_index_of_all_checks(api: Api) -> None:
    await scene(api)
    before = await api.get("/v1/health/node/h0")
    await api.write(instance("other", "other"))
    after = await api.get("/v1/health/node/h0")
    assert after.json == before.json
    assert after.index == api.agent.store.index > before.index


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("node", "Missing node name"),
        ("checks", "Missing service name"),
        ("service", "Missing service name"),
        ("connect", "Missing service name"),
        ("state", "Missing check state"),
    ],
)
async def test_names_are_required(api: Api, path: str, text: str) -> None:
    answer = await api.get(f"/v1/health/{path}/")
    assert (answer.status, answer.text) == (400, text)
