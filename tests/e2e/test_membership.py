"""Gossip decides who the servers are: joining, leaving, failing, moving, one after the other (E4, G5, G7, G10, G13)."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from meshtest.process import AgentProcess, free_ports
from meshtest.servers import Servers, peers_json

FAST = {"autopilot": {"server_stabilization_time": "500ms"}}


def addresses(server: AgentProcess) -> set[str]:
    return set(server.get("/v1/status/peers"))


def rpc(server: AgentProcess) -> str:
    return f"127.0.0.1:{server.ports['server']}"


def health(server: AgentProcess) -> dict[str, str]:
    rows = server.get("/v1/health/state/any")
    return {row["Node"]: row["Status"] for row in rows if row["CheckID"] == "serfHealth"}


def test_servers_of_a_pool_begin_a_cluster_and_are_registered() -> None:
    with Servers(3, FAST) as servers:
        for server in servers.all:
            assert addresses(server) == {rpc(one) for one in servers.all}
            server.wait("serfHealth", lambda server=server: set(health(server).values()) == {"passing"})
            rows = server.get("/v1/catalog/service/consul")
            assert {(row["Node"], row["ServicePort"]) for row in rows} == {
                (f"s{number}", one.ports["server"]) for number, one in enumerate(servers.all)
            }
            assert server.get("/v1/agent/self")["Stats"]["serf_lan"]["members"] == "3"


def test_one_more_server_joins_without_a_vote_and_gets_one(tmp_path: Path) -> None:
    with Servers(3, FAST) as servers:
        servers[0].put("/v1/kv/a", body=b"1")
        config = {"node_name": "s3", "bootstrap_expect": 0, **FAST, **servers.joining}
        with AgentProcess.server(config, directory=tmp_path) as late:

            def row() -> dict[str, Any]:
                found = servers[0].get("/v1/operator/raft/configuration")["Servers"]
                return next((one for one in found if one["Address"] == rpc(late)), {})

            assert late.http("GET", "/v1/kv/a?raw").body == b"1"
            late.wait("a vote", lambda: row().get("Voter") is True, within_s=60.0)
            assert row()["Node"] == "s3"


def test_a_server_that_leaves_is_one_less_and_its_node_is_gone() -> None:
    with Servers(3, {**FAST, "performance": {"raft_multiplier": 1, "leave_drain_time": "500ms"}}) as servers:
        leader, (one, other) = servers.leader(), servers.followers()
        name = f"s{servers.all.index(leader)}"
        assert leader.http("PUT", "/v1/agent/leave").status == 200
        assert leader.process is not None
        assert leader.process.wait(20) == 0
        one.wait("one less", lambda: addresses(one) == {rpc(one), rpc(other)})
        one.wait("no node", lambda: name not in {row["Node"] for row in one.get("/v1/catalog/nodes")})
        one.put("/v1/kv/a", body=b"1")
        assert "leadership was handed over" in leader.log()


def test_a_server_that_fails_is_critical_and_can_be_taken_for_left() -> None:
    gossip = {"gossip_lan": {"probe_interval": "100ms", "probe_timeout": "50ms", "suspicion_mult": 1}}
    with Servers(3, {**gossip, "autopilot": {"cleanup_dead_servers": False}}) as servers:
        leader, (one, victim) = servers.leader(), servers.followers()
        name = f"s{servers.all.index(victim)}"
        leader.wait("passing", lambda: health(leader).get(name) == "passing")
        victim.kill()
        leader.wait("critical", lambda: health(leader)[name] == "critical", within_s=60.0)
        assert health(one)[name] == "critical"
        assert rpc(victim) in addresses(leader)
        assert one.http("PUT", f"/v1/agent/force-leave/{name}").status == 200
        leader.wait("removed", lambda: rpc(victim) not in addresses(leader), within_s=60.0)
        victim.start()
        leader.wait("back", lambda: health(leader).get(name) == "passing", within_s=60.0)


def test_servers_that_all_come_back_with_other_addresses_find_each_other() -> None:
    with Servers(3) as servers:
        servers[0].put("/v1/kv/a", body=b"1")
        for server in servers.all:
            server.kill()
        for server in servers.all:
            moved = free_ports(("server",))["server"]
            assert server.config is not None
            server.ports["server"] = moved
            server.config["ports"] = {**server.config["ports"], "server": moved}
        servers.start()
        assert servers[1].http("GET", "/v1/kv/a?raw").body == b"1"
        wanted = {rpc(one) for one in servers.all}
        for server in servers.all:
            server.wait("new addresses", lambda server=server: addresses(server) == wanted, within_s=60.0)


def test_one_after_the_other_is_restarted_while_writes_go_on() -> None:
    """Nobody who tries again for a moment notices; no write fails."""
    with Servers(3) as servers:
        written: list[str] = []
        failures: list[str] = []
        stop = threading.Event()

        def write(number: int) -> None:
            count = 0
            while not stop.is_set():
                server = servers[(number + count) % 3]
                count += 1
                key = f"w{number}/{count}"
                try:
                    answer = server.http("PUT", f"/v1/kv/{key}", body=b"v", timeout_s=15)
                except OSError:
                    continue  # that one is being restarted: a client asks the next
                if answer.body == b"true":
                    written.append(key)
                elif answer.status != 503:  # what arrives while it stops is told so
                    failures.append(f"{answer.status} {answer.body!r}")

        writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
        for one in writers:
            one.start()
        for server in servers.all:
            enough = len(written) + 50
            server.wait("writes", lambda enough=enough: len(written) > enough, within_s=60.0)
            assert server.stop() == 0
            server.start()
        stop.set()
        for one in writers:
            one.join(20)
        assert not failures
        keys = set(servers[0].get("/v1/kv/?keys&consistent"))
        assert not set(written) - keys


def test_two_of_three_are_lost_for_good_and_peers_json_goes_on_with_the_rest() -> None:
    with Servers(3, FAST) as servers:
        servers[0].put("/v1/kv/a", body=b"1")
        assert servers[2].http("GET", "/v1/kv/a?consistent").status == 200
        for server in servers.all:
            server.kill()
        rest = servers[2]
        (rest.directory / "data" / "raft" / "peers.json").write_text(peers_json([rest], servers.node_ids[2:]))
        rest.start()
        assert rest.http("GET", "/v1/kv/a?raw").body == b"1"
        rest.put("/v1/kv/a", body=b"2")
        assert not (rest.directory / "data" / "raft" / "peers.json").exists()


def test_nobody_to_join_ends_the_process_when_told_so(tmp_path: Path) -> None:
    ports = free_ports()
    config = {
        "bootstrap_expect": 0, "retry_join": [f"127.0.0.1:{ports['serf_wan']}"], "retry_interval": "100ms",
        "retry_max": 2, "ports": {**ports, "serf_wan": -1},
    }  # fmt: skip
    agent = AgentProcess.server(config, ports=ports, directory=tmp_path)
    agent.start(ready=False)
    assert agent.process is not None
    try:
        assert agent.process.wait(20) == 1
        assert "max join LAN retry exhausted" in agent.log()
    finally:
        agent.stop()


def test_servers_that_expect_other_numbers_begin_nothing() -> None:
    with_two = Servers(2, lambda number: {"bootstrap_expect": 2 + number})
    try:
        for server in with_two.all:
            server.start(ready=False)
        first = with_two[0]
        first.wait("a warning", lambda: "bootstrap_expect must be the same on all" in first.log(), within_s=60.0)
        assert json.loads(first.http("GET", "/v1/status/leader").body) == ""
    finally:
        with_two.__exit__()
