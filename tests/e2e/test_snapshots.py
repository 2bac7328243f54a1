"""The state of one cluster, saved and restored into another that was just made (SN1, SN2, CL12, CL13, OP4-OP6)."""

from __future__ import annotations

import base64
import json
import random
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from meshtest.process import AgentProcess, meshagent_command
from meshtest.servers import Servers, client_of

from meshagent.catalog.archive import ArchiveMeta, ArchiveWriter
from meshagent.catalog.commands import KVSet
from meshagent.catalog.store import Store

KEYS = 3000


@pytest.fixture
def old() -> Iterator[Servers]:
    with Servers(3) as running:
        yield running


@pytest.fixture
def fresh() -> Iterator[Servers]:
    with Servers(3) as running:
        yield running


def run(server: AgentProcess, *words: str, status: int = 0) -> str:
    """A command that talks to `server`; its output."""
    verbs = [word for word in words if not word.startswith("-") and "/" not in word]
    rest = [word for word in words if word not in verbs]
    address = f"-http-addr=127.0.0.1:{server.ports['http']}"
    done = subprocess.run(
        [*meshagent_command(), *verbs, address, *rest], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == status, (words, done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stderr


def fill(servers: Servers) -> None:
    server = servers.followers()[0]
    for start in range(0, KEYS, 100):
        ops = [
            {"KV": {"Verb": "set", "Key": f"k/{n:05}", "Value": base64.b64encode(b"value %d" % n).decode()}}
            for n in range(start, min(start + 100, KEYS))
        ]
        server.put("/v1/txn", ops)
    server.put("/v1/config", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"})
    server.http("POST", "/v1/query", json={"Name": "q", "Service": {"Service": "web"}})
    server.put("/v1/catalog/register", {
        "Node": "far", "Address": "10.9.9.9", "Service": {"Service": "web", "Port": 80},
        "Check": {"Name": "up", "Status": "passing"},
    })  # fmt: skip
    server.put("/v1/session/create", {"Node": "far", "Name": "held", "TTL": "3600s", "NodeChecks": []})


def facts(server: AgentProcess) -> dict[str, Any]:
    """What the fill has made, as this server has it."""
    keys = server.get("/v1/kv/k?recurse&stale")
    return {
        "keys": [(row["Key"], row["Value"]) for row in keys],
        "config": server.get("/v1/config/service-defaults/web?stale")["Protocol"],
        "query": [row["Name"] for row in server.get("/v1/query?stale")],
        "far": [row["ServicePort"] for row in server.get("/v1/catalog/service/web?stale")],
        "held": [row["Name"] for row in server.get("/v1/session/list?stale")],
    }


def index_of(server: AgentProcess) -> int:
    return int(server.http("GET", "/v1/catalog/nodes").headers["x-consul-index"])


@pytest.mark.timeout(180)
def test_a_cluster_is_restored_from_the_snapshot_of_another(old: Servers, fresh: Servers, tmp_path: Path) -> None:
    fill(old)
    expected = facts(old.leader())
    assert len(expected["keys"]) == KEYS
    assert (expected["config"], expected["query"], expected["far"], expected["held"]) == ("http", ["q"], [80], ["held"])
    file = str(tmp_path / "backup.snap")
    said = run(old.followers()[0], "snapshot", "save", file)
    saved = int(said.rsplit(" ", 1)[1])
    assert "Saved and verified snapshot to index" in said
    shown = inspect(file)
    counts = {row["Name"]: row["Count"] for row in shown["Stats"]}
    assert (shown["Meta"]["Index"], counts["KVS"], counts["ConfigEntry"], counts["PreparedQuery"]) == (
        saved,
        KEYS,
        1,
        1,
    )
    run(old.all[1], "snapshot", "save", "-stale", str(tmp_path / "stale.snap"))

    cluster_before = {server.get("/v1/agent/self")["Config"]["NodeID"] for server in fresh.all}
    fresh.leader().put("/v1/kv/doomed", body=b"1")
    for number, server in enumerate(fresh.all):
        server.put("/v1/agent/service/register", {"Name": f"own-{number}", "Port": 1000 + number})
    before = max(index_of(server) for server in fresh.all)
    assert run(fresh.followers()[0], "snapshot", "restore", file) == "Restored snapshot\n"
    for server in fresh.all:
        server.wait("the restored state", lambda server=server: facts(server) == expected, within_s=60.0)
        assert server.http("GET", "/v1/kv/doomed").status == 404
    for number in range(3):  # what the agents hold comes back without waiting for the next regular look
        fresh.leader().wait(
            "the agents' own services", lambda number=number: fresh.leader().get(f"/v1/catalog/service/own-{number}")
        )
    fresh.leader().put("/v1/kv/after", body=b"1")
    written = fresh.followers()[0].get("/v1/kv/after")[0]["ModifyIndex"]
    assert written > max(saved, before)

    # The cluster is still itself: its servers are registered, agree, and survive a restart of all.
    assert {server.get("/v1/agent/self")["Config"]["NodeID"] for server in fresh.all} == cluster_before
    own = {f"127.0.0.1:{server.ports['server']}" for server in fresh.all}
    rows = fresh.leader().get("/v1/operator/raft/configuration")["Servers"]
    assert {row["Address"] for row in rows} == own
    for server in fresh.all:
        assert server.stop() == 0
    fresh.start()
    for server in fresh.all:
        server.wait("the restored state again", lambda server=server: facts(server) == expected, within_s=60.0)
    assert fresh.leader().get("/v1/kv/after")[0]["ModifyIndex"] == written


def inspect(file: str) -> Any:
    done = subprocess.run(
        [*meshagent_command(), "snapshot", "inspect", "-format=json", file], capture_output=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.timeout(120)
def test_what_is_not_a_snapshot_changes_no_server(old: Servers, tmp_path: Path) -> None:
    leader, follower = old.leader(), old.followers()[0]
    leader.put("/v1/kv/kept", body=b"1")
    file = tmp_path / "backup.snap"
    run(leader, "snapshot", "save", str(file))
    whole = file.read_bytes()
    for damaged in (b"", b"not an archive", whole[:-10], whole[:200] + b"\0" * 50 + whole[250:]):
        file.write_bytes(damaged)
        for server in (leader, follower):
            assert "Error restoring snapshot: " in run(server, "snapshot", "restore", str(file), status=1)
            assert server.get("/v1/kv/kept")[0]["Value"] == "MQ=="


@pytest.mark.timeout(180)
def test_a_leader_that_is_killed_over_a_restore_leaves_one_state_everywhere(tmp_path: Path) -> None:
    file = tmp_path / "large.snap"
    file.write_bytes(large_archive(60_000))
    with Servers(3, {"performance": {"raft_multiplier": 5}}) as servers:
        servers.leader().put("/v1/kv/doomed", body=b"1")
        asked = servers.followers()[0]
        address = f"-http-addr=127.0.0.1:{asked.ports['http']}"
        command = [*meshagent_command(), "snapshot", "restore", address, str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as restoring:

            def begun() -> AgentProcess | None:
                return next((server for server in servers.all if "restoring a snapshot" in server.log()), None)

            victim = servers.all[0].wait("the restore to begin", begun, within_s=60.0, every_s=0.01)
            if victim is not asked:  # which may have been elected meanwhile
                victim.kill()
            said, _ = restoring.communicate(timeout=120)
        if not victim.alive:
            victim.start()
        assert (restoring.returncode, said) == (0, "Restored snapshot\n")
        for server in servers.all:
            server.wait(
                "the restored state",
                lambda server=server: len(server.get("/v1/kv/k?keys&stale")) == 60_000,
                within_s=60.0,
            )
            assert server.http("GET", "/v1/kv/doomed").status == 404


def large_archive(keys: int) -> bytes:
    store = Store()
    rng = random.Random(1)
    for number in range(keys):
        store.execute(KVSet(f"k/{number:06}", rng.randbytes(300)))
    writer = ArchiveWriter(ArchiveMeta(index=store.index, term=1, time=datetime(2024, 1, 1, tzinfo=UTC)))
    return writer.begin() + b"".join(map(writer.add, store.snapshot())) + writer.end()


@pytest.mark.timeout(120)
def test_a_client_agent_saves_restores_and_asks_for_operators(old: Servers, tmp_path: Path) -> None:
    fill(old)
    expected = facts(old.leader())
    file = str(tmp_path / "backup.snap")
    with client_of(old.all) as client:
        client.wait("a server", lambda: client.get("/v1/status/leader"))
        run(client, "snapshot", "save", file)
        assert inspect(file)["Stats"]
        client.put("/v1/kv/doomed", body=b"1")
        assert run(client, "snapshot", "restore", file) == "Restored snapshot\n"
        assert client.http("GET", "/v1/kv/doomed").status == 404
        assert facts(old.leader()) == expected
        answer = client.http("PUT", "/v1/snapshot", body=b"not an archive")
        assert (answer.status, answer.body) == (500, b"failed to decompress snapshot: gzip: invalid header")
        assert len(client.get("/v1/operator/autopilot/state")["Voters"]) == 3
        assert client.get("/v1/operator/autopilot/configuration")["MinQuorum"] == 0
        assert client.get("/v1/operator/usage")["Usage"]["dc1"]["Services"] == 2
        assert run(client, "operator", "raft", "list-peers").count("\n") == 4


@pytest.mark.timeout(120)
def test_operators_ask_any_server(old: Servers) -> None:
    leader, follower = old.leader(), old.followers()[0]
    for server in (leader, follower):
        peers = run(server, "operator", "raft", "list-peers")
        assert peers.count("\n") == 4
        state = server.wait(
            "a healthy cluster",
            lambda server=server: (state := server.get("/v1/operator/autopilot/state"))["Healthy"] and state,
            within_s=60.0,
        )
        assert (state["FailureTolerance"], len(state["Voters"])) == (1, 3)
        assert run(server, "operator", "autopilot", "health").endswith("Failure tolerance: 1\n")
    assert run(follower, "operator", "autopilot", "set-config", "-min-quorum=3") == "Configuration updated!\n"
    assert "MinQuorum = 3\n" in run(leader, "operator", "autopilot", "get-config")
    assert "Nodes" in run(follower, "operator", "usage", "instances")
    old.followers()[1].kill()
    unhealthy = follower.wait(
        "the loss to be seen",
        lambda: (answer := follower.http("GET", "/v1/operator/autopilot/health")).status == 429 and answer,
        within_s=60.0,
    )
    body = json.loads(unhealthy.body)
    assert (body["Healthy"], body["FailureTolerance"]) == (False, 0)
