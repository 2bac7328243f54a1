"""What operators do with gossip, on three servers and a client (rows A3, A18-A20, EV1, OP7, CL2, CL3, CL9, CL11)."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.process import AgentProcess
from meshtest.servers import Servers, client_of

OLD = base64.b64encode(bytes(range(32))).decode()
NEW = base64.b64encode(bytes(range(9, 25))).decode()
FAST = {"gossip_interval": "20ms", "probe_interval": "200ms", "probe_timeout": "100ms"}
CONFIG: dict[str, Any] = {"encrypt": OLD, "gossip_lan": FAST, "gossip_wan": FAST}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers(3, CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def client(servers: Servers) -> Iterator[AgentProcess]:
    with client_of(servers.all, **{**CONFIG, "gossip_wan": {}}) as running:
        yield running


def cli(agent: AgentProcess, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "meshagent.agent.cli", words[0], f"-http-addr={agent.url}", *words[1:]]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def statuses(agent: AgentProcess, query: str = "") -> dict[str, int]:
    return {row["Name"]: row["Status"] for row in agent.get(f"/v1/agent/members{query}")}


def test_joining_by_command(servers: Servers) -> None:
    for words, port in (([], "serf_lan"), (["-wan"], "serf_wan")):
        ran = cli(servers[0], "join", *words, f"127.0.0.1:{servers[1].ports[port]}")
        assert ran.stdout == "Successfully joined cluster by contacting 1 nodes.\n"


def test_everybody_hears_who_leads(servers: Servers, client: AgentProcess) -> None:
    def heard() -> int:
        rows = servers[0].get("/v1/agent/metrics")["Counters"]
        return sum(row["Count"] for row in rows if row["Name"].endswith("serf.events.consul:new-leader"))

    assert servers[0].http("POST", "/v1/operator/raft/transfer-leader").status == 200
    servers.leader()
    servers[0].wait("the event", heard, within_s=25)


def ring(server: AgentProcess, name: str) -> list[str]:
    assert server.config is not None
    path = Path(server.config["data_dir"]) / "serf" / f"{name}.keyring"
    assert path.stat().st_mode & 0o777 == 0o600
    found: list[str] = json.loads(path.read_bytes())
    return found


def test_everybody_knows_everybody(servers: Servers, client: AgentProcess) -> None:
    everybody = dict.fromkeys(("c1", "s0", "s1", "s2"), 1)
    for agent in (*servers.all, client):
        agent.wait("all members", lambda agent=agent: statuses(agent) == everybody)
    assert client.get("/v1/agent/members?wan=1") == []
    ran = cli(client, "members", "-detailed")
    assert ran.returncode == 0
    assert "role=node" in ran.stdout
    assert client.get("/v1/agent/self")["Stats"]["serf_lan"]["encrypted"] == "true"


def test_servers_are_in_the_wide_pool_by_themselves(servers: Servers) -> None:
    wide = dict.fromkeys(("s0.dc1", "s1.dc1", "s2.dc1"), 1)
    for server in servers.all:
        server.wait("the WAN pool", lambda server=server: statuses(server, "?wan=1") == wide)

    def places() -> dict[str, float]:
        (area,) = servers[0].get("/v1/coordinate/datacenters")
        return {row["Node"]: row["Coord"]["Error"] for row in area["Coordinates"]}

    servers[0].wait("coordinates", lambda: set(places()) == {"s0", "s1", "s2"} and min(places().values()) < 1.5)


@pytest.mark.parametrize("at", ["server", "client"])
def test_an_event_reaches_every_agent(servers: Servers, client: AgentProcess, at: str) -> None:
    agent = client if at == "client" else servers[1]
    ran = cli(agent, "event", f"-name=deploy-{at}", "-node=^(s1|c1)$", "v2")
    assert ran.returncode == 0, ran.stderr
    event_id = ran.stdout.split()[-1]

    def heard(agent: AgentProcess) -> list[tuple[str, str]]:
        return [(row["ID"], row["Payload"]) for row in agent.get(f"/v1/event/list?name=deploy-{at}")]

    for meant in (servers[1], client):
        meant.wait("the event", lambda meant=meant: heard(meant) == [(event_id, "djI=")])
    assert heard(servers[0]) == heard(servers[2]) == []


def test_a_key_is_rotated_on_all_and_kept(servers: Servers, client: AgentProcess) -> None:
    asked = (servers[0], client, servers[2])
    for agent, (word, key) in zip(asked, (("install", NEW), ("use", NEW), ("remove", OLD)), strict=True):
        ran = cli(agent, "keyring", f"-{word}={key}", "-relay-factor=1")
        assert ran.returncode == 0, ran.stderr
    listed = cli(servers[1], "keyring", "-list").stdout
    assert f"dc1 (LAN):\n  {NEW} [4/4]" in listed
    assert f"WAN:\n  {NEW} [3/3]" in listed
    for server in servers.all:
        assert ring(server, "local") == ring(server, "remote") == [NEW]
    assert ring(client, "local") == [NEW]
    refused = cli(servers[1], "keyring", f"-use={OLD}")
    assert refused.returncode == 1
    assert "4/4 nodes reported failure" in refused.stderr
    servers[1].stop()
    servers[1].start()
    servers[1].wait("its pool", lambda: statuses(servers[1]) == dict.fromkeys(("c1", "s0", "s1", "s2"), 1))
    assert NEW not in servers[1].log()
    assert OLD not in servers[1].log()


def test_a_client_fails_and_is_forced_to_leave(servers: Servers, client: AgentProcess) -> None:
    assert cli(servers[0], "force-leave", "zz").stderr == (
        "Error force leaving: Unexpected response code: 500 (agent: No node found with name 'zz')\n"
    )
    client.kill()
    servers[0].wait("the failure", lambda: statuses(servers[0])["c1"] == 4, within_s=60.0)
    assert cli(servers[0], "force-leave", "c1").returncode == 0
    for server in servers.all:
        server.wait("the departure", lambda server=server: statuses(server)["c1"] == 3)
    assert cli(servers[2], "force-leave", "-prune", "c1").returncode == 0
    for server in servers.all:
        server.wait("nothing of it", lambda server=server: "c1" not in statuses(server))
