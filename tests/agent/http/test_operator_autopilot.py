"""`/v1/operator/autopilot`, against what a running Consul answered (OP4-OP6)."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.inprocess import NODE_ID, InProcess

CONFIG = "/v1/operator/autopilot/configuration"


async def test_a_new_cluster_has_the_configured_values(live: InProcess) -> None:  # OP4
    shown = await live.get(CONFIG)
    assert shown.pop("CreateIndex") == shown.pop("ModifyIndex") == 2
    assert shown == {
        "CleanupDeadServers": True, "LastContactThreshold": "200ms", "MaxTrailingLogs": 250, "MinQuorum": 0,
        "ServerStabilizationTime": "10s", "RedundancyZoneTag": "", "DisableUpgradeMigration": False,
        "UpgradeVersionTag": "",
    }  # fmt: skip


async def test_what_is_left_out_gets_its_default(live: InProcess) -> None:
    answer = await live.put(CONFIG, {"CleanupDeadServers": False, "MinQuorum": 3, "LastContactThreshold": "300ms"})
    assert answer.text == "true"
    await live.put(CONFIG, {"ServerStabilizationTime": "20s"})
    shown = await live.get(CONFIG)
    assert (shown["CleanupDeadServers"], shown["MinQuorum"], shown["LastContactThreshold"]) == (True, 0, "200ms")
    assert shown["ServerStabilizationTime"] == "20s"
    assert shown["CreateIndex"] == 2
    assert shown["ModifyIndex"] > 2


async def test_compare_and_set(live: InProcess) -> None:
    assert (await live.put(f"{CONFIG}?cas=1", {"MinQuorum": 3})).text == "false"
    assert (await live.put(f"{CONFIG}?cas=2", {"MinQuorum": 3})).text == "true"
    assert (await live.get(CONFIG))["MinQuorum"] == 3


@pytest.mark.parametrize(
    ("query", "body", "text"),
    [
        ("?cas=x", b"{}", 'Error parsing cas value: strconv.ParseUint: parsing "x": invalid syntax'),
        ("", b'{"LastContactThreshold":"zz"}', 'Error parsing autopilot config: time: invalid duration "zz"'),
        ("", b'{"Foo":1}', 'Error parsing autopilot config: json: unknown field "Foo"'),
        ("", b"nope", "Error parsing autopilot config: invalid character 'o' in literal null (expecting 'u')"),
        ("", b'{"MinQuorum":-1}', "Error parsing autopilot config: MinQuorum must not be negative"),
    ],
)
async def test_what_is_refused(live: InProcess, query: str, body: bytes, text: str) -> None:
    before = await live.get(CONFIG)
    answer = await live.ask("PUT", CONFIG + query, body=body)
    assert (answer.status, answer.text) == (400, text)
    assert await live.get(CONFIG) == before


async def test_health_of_a_server_alone(live: InProcess) -> None:  # OP5
    answer: Any = await live.get("/v1/operator/autopilot/health")
    (server,) = answer.pop("Servers")
    assert answer == {"Healthy": True, "FailureTolerance": 0}
    assert server.pop("LastIndex") > 0
    assert server == {
        "ID": NODE_ID, "Name": "n1", "Address": "127.0.0.1:8300", "SerfStatus": "alive", "Version": "1.20.1",
        "Leader": True, "LastContact": "0s", "LastTerm": 1, "Healthy": True, "Voter": True,
        "StableSince": "2024-01-01T00:00:00.020000Z",
    }  # fmt: skip


async def test_an_unhealthy_cluster_answers_429_with_the_same_body(live: InProcess) -> None:
    class Gone:
        def members(self) -> list[Any]:
            return []

    live.agent.extras["members"] = Gone()
    answer = await live.ask("GET", "/v1/operator/autopilot/health")
    assert answer.status == 429
    assert answer.json["Healthy"] is False
    assert answer.json["Servers"][0]["SerfStatus"] == "none"


async def test_the_state(live: InProcess) -> None:  # OP6
    answer: Any = await live.get("/v1/operator/autopilot/state")
    server = answer.pop("Servers")[NODE_ID]
    assert answer == {
        "Healthy": True, "FailureTolerance": 0, "OptimisticFailureTolerance": 0, "Leader": NODE_ID, "Voters": [NODE_ID],
    }  # fmt: skip
    assert (server["Status"], server["NodeType"], server["ReadReplica"]) == ("leader", "voter", False)
    assert server["Meta"]["consul-version"] == "1.20.1"


async def test_another_datacenter_is_out_of_reach(live: InProcess) -> None:
    for path in (CONFIG, "/v1/operator/autopilot/health", "/v1/operator/autopilot/state"):
        answer = await live.ask("GET", f"{path}?dc=dc9")
        assert (answer.status, answer.text) == (500, "No path to datacenter")
