"""Three servers: any of them takes reads and writes, one may be lost, all may be (C5, C15, C16, OP1-OP3, SE3, G15)."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest import certificates
from meshtest.process import AgentProcess, free_ports
from meshtest.register import register
from meshtest.servers import Servers


@pytest.fixture
def servers() -> Iterator[Servers]:
    with Servers(3) as running:
        yield running


def metric(server: AgentProcess, name: str, **labels: str) -> float:
    counters = server.get("/v1/agent/metrics")["Counters"]
    return sum(
        row["Count"]
        for row in counters
        if row["Name"] == f"consul.{name}" and all(row["Labels"].get(key) == value for key, value in labels.items())
    )


def test_what_is_written_anywhere_is_read_everywhere_at_once(servers: Servers) -> None:
    for number, writer in enumerate(servers.all):
        writer.put(f"/v1/kv/k{number}", body=b"v")
        assert writer.put(f"/v1/kv/k{number}?cas=0", body=b"w").body == b"false"
        for reader in servers.all:
            for mode in ("", "?consistent", "?consistent", ""):
                answer = reader.http("GET", f"/v1/kv/k{number}{mode}")
                assert answer.status == 200, (number, reader.log()[-2000:])
                assert (answer.headers["x-consul-knownleader"], answer.headers["x-consul-lastcontact"]) == ("true", "0")


def test_values_of_megabytes_where_the_limits_allow_them() -> None:
    """Surface row E12: an entry of the log may be as large as the limits; followers take it and have it at once."""
    value = bytes(range(256)) * (3 << 12)
    with Servers(3, {"limits": {"kv_max_value_size": 4 << 20, "txn_max_req_len": 8 << 20}}) as servers:
        assert servers.followers()[0].http("PUT", "/v1/kv/large", body=value).body == b"true"
        assert all(server.http("GET", "/v1/kv/large?raw").body == value for server in servers.all)
        refused = servers.followers()[0].http("PUT", "/v1/kv/larger", body=value + value)
        assert refused.status == 413


def test_transactions_and_errors_come_back_as_from_the_leader(servers: Servers) -> None:
    leader, follower = servers.leader(), servers.followers()[0]
    ops = [{"KV": {"Verb": "set", "Key": "a", "Value": "MQ=="}}, {"KV": {"Verb": "get", "Key": "a"}}]
    done = follower.http("PUT", "/v1/txn", json=ops)
    assert done.status == 200
    assert [row["KV"]["Value"] for row in json.loads(done.body)["Results"]] == [None, "MQ=="]
    wrong = [{"KV": {"Verb": "check-not-exists", "Key": "a"}}, {"KV": {"Verb": "set", "Key": "b", "Value": ""}}]
    answers = [server.http("PUT", "/v1/txn", json=wrong) for server in (leader, follower)]
    assert [answer.status for answer in answers] == [409, 409]
    assert answers[0].body == answers[1].body
    query = {"Name": "q", "Service": {"Service": "web"}}
    made = json.loads(follower.http("POST", "/v1/query", json=query).body)["ID"]
    twice = [server.http("POST", "/v1/query", json=query) for server in (leader, follower)]
    assert (twice[0].status, twice[0].body) == (twice[1].status, twice[1].body)
    assert follower.http("DELETE", f"/v1/query/{made}").status == 200
    assert follower.http("GET", f"/v1/query/{made}").status == 404


def test_every_server_registers_its_own_services(servers: Servers) -> None:
    for number, server in enumerate(servers.all):
        register(server, {"Name": "web", "ID": f"w{number}", "Port": 80 + number})
    for server in servers.all:
        server.wait("all three", lambda server=server: len(server.get("/v1/catalog/service/web")) == 3)
        assert {row["Node"] for row in server.get("/v1/catalog/nodes")} == {"s0", "s1", "s2"}


def test_status_and_configuration(servers: Servers) -> None:
    leader = servers.leader()
    addresses = sorted(f"127.0.0.1:{server.ports['server']}" for server in servers.all)
    for server in servers.all:
        assert server.get("/v1/status/leader") == f"127.0.0.1:{leader.ports['server']}"
        assert server.get("/v1/status/peers") == addresses
        rows = server.get("/v1/operator/raft/configuration")["Servers"]
        assert {row["ID"] for row in rows} == set(servers.node_ids)
        assert [row["Address"] for row in rows if row["Leader"]] == [f"127.0.0.1:{leader.ports['server']}"]
        stats = server.get("/v1/agent/self")["Stats"]
        assert stats["raft"]["num_peers"] == "2"
        assert stats["raft"]["state"] == ("Leader" if server is leader else "Follower")
        assert stats["consul"]["leader"] == ("true" if server is leader else "false")


def test_leadership_is_handed_over_on_request_to_any_server(servers: Servers) -> None:
    leader, (one, other) = servers.leader(), servers.followers()
    wanted = servers.node_ids[servers.all.index(one)]
    assert other.http("POST", f"/v1/operator/raft/transfer-leader?id={wanted}").body == b'{"Success":true}'
    assert servers.leader() is one
    one.wait("a log line", lambda: "cluster leadership acquired" in one.log())
    leader.wait("a log line", lambda: "cluster leadership lost" in leader.log())
    other.wait("a log line", lambda: "New leader elected: payload=" in other.log())


def test_a_removed_server_is_one_less(servers: Servers) -> None:
    leader, (one, other) = servers.leader(), servers.followers()
    address = f"127.0.0.1:{one.ports['server']}"
    one.kill()  # one that lives is added again with the next reconcile
    assert other.http("DELETE", f"/v1/operator/raft/peer?address={address}").status == 200
    assert address not in leader.get("/v1/status/peers")
    leader.put("/v1/kv/a", body=b"1")


def test_the_leader_is_killed_and_nothing_acknowledged_is_lost(servers: Servers) -> None:
    acknowledged: dict[str, bytes] = {}
    stop = threading.Event()

    def write(writer: int, server: AgentProcess) -> None:
        count = 0
        while not stop.is_set():
            key = f"w{writer}/{count}"
            try:
                if server.http("PUT", f"/v1/kv/{key}", body=b"v", timeout_s=10).body == b"true":
                    acknowledged[key] = b"v"
            except OSError:
                return
            count += 1

    for _ in range(2):
        leader, followers = servers.leader(), servers.followers()
        writers = [threading.Thread(target=write, args=(at, server)) for at, server in enumerate(followers * 2)]
        stop.clear()
        for one in writers:
            one.start()
        enough = len(acknowledged) + 30
        leader.wait("some writes", lambda enough=enough: len(acknowledged) > enough, within_s=60.0)
        leader.kill()
        enough = len(acknowledged) + 30
        followers[0].wait("writes go on", lambda enough=enough: len(acknowledged) > enough, within_s=60.0)
        stop.set()
        for one in writers:
            one.join(15)
        leader.start()
    for server in servers.all:
        keys = set(server.get("/v1/kv/?keys&consistent"))
        assert not set(acknowledged) - keys


def test_without_a_majority_nothing_is_promised_and_all_at_once_they_come_back(servers: Servers) -> None:
    config = {"performance": {"raft_multiplier": 1, "rpc_hold_timeout": "500ms"}}
    for server in servers.all:
        assert server.config is not None
        server.config |= config
    servers[0].put("/v1/kv/a", body=b"1")
    for server in servers.all:
        server.kill()
    last = servers[2]
    last.start(ready=False)
    last.wait("HTTP", lambda: last.http("GET", "/v1/status/leader").body == b'""')
    for method, path in (("GET", "/v1/kv/a"), ("GET", "/v1/kv/a?consistent"), ("PUT", "/v1/kv/a")):
        answer = last.http(method, path, body=b"2" if method == "PUT" else None)
        assert (answer.status, answer.body) == (500, b"No cluster leader")
    # Nothing tells this one how old its state is.
    assert last.http("GET", "/v1/kv/a?stale").body == b"No cluster leader"
    servers.start()
    for server in servers.all:
        assert server.http("GET", "/v1/kv/a?raw").body == b"1"
    # The ones that remain answer stale reads, and say so.
    leader, (one, other) = servers.leader(), servers.followers()
    leader.kill()
    other.kill()
    one.wait("no leader", lambda: one.get("/v1/status/leader") == "")
    answer = one.http("GET", "/v1/kv/a?stale&raw")
    assert (answer.body, answer.headers["x-consul-knownleader"]) == (b"1", "false")
    assert int(answer.headers["x-consul-lastcontact"]) > 0
    assert one.http("GET", "/v1/kv/a?max_stale=1ms").status == 500


def test_all_come_back_with_other_addresses_and_are_a_quorum(servers: Servers) -> None:
    """They find each other by their ids: no address that the log names is right any more, until it is mended."""
    servers[0].put("/v1/kv/a", body=b"1")
    for server in servers.all:
        server.kill()
    ports = free_ports([f"server{number}" for number in range(3)])
    for number, server in enumerate(servers.all):
        server.ports["server"] = ports[f"server{number}"]
        assert server.config is not None
        server.config["ports"] = {**server.config["ports"], "server": server.ports["server"]}
    servers.start()
    for number, server in enumerate(servers.all):
        assert server.http("GET", "/v1/kv/a?raw").body == b"1"
        server.put(f"/v1/kv/after{number}", body=b"2")
    expected = {f"127.0.0.1:{server.ports['server']}" for server in servers.all}
    servers[0].wait("addresses", lambda: set(servers[0].get("/v1/status/peers")) == expected, within_s=60)


def test_a_session_that_is_renewed_anywhere_outlives_its_leaders() -> None:
    with Servers(3, {"session_ttl_min": "500ms"}) as servers:
        leader, (one, other) = servers.leader(), servers.followers()
        body = {"Node": "s0", "TTL": "500ms", "NodeChecks": [], "LockDelay": "0s"}
        session = json.loads(one.put("/v1/session/create", body).body)["ID"]
        ends = time.monotonic() + 3.0
        killed = False
        while time.monotonic() < ends:
            assert other.http("PUT", f"/v1/session/renew/{session}").status == 200
            if not killed and time.monotonic() > ends - 2:
                killed = True
                leader.kill()
            time.sleep(0.1)
        one.wait("its end, when nobody renews it", lambda: one.get(f"/v1/session/info/{session}") == [], within_s=60.0)
        assert other.http("PUT", f"/v1/session/renew/{session}").status == 404


# --- who is let in -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    for name in ("ours", "strange"):
        authority = certificates.make_ca(name)
        (folder / f"{name}.pem").write_bytes(authority.pem)
        for leaf in ("server.dc1.consul", "client.dc1.consul"):
            certificate, key = certificates.make_leaf(authority, leaf)
            (folder / f"{name}-{leaf}.crt").write_bytes(certificate)
            (folder / f"{name}-{leaf}.key").write_bytes(key)
    return folder


def tls(pki: Path, authority: str = "ours", leaf: str = "server.dc1.consul") -> dict[str, Any]:
    return {
        "tls": {
            "internal_rpc": {
                "ca_file": str(pki / "ours.pem"),
                "cert_file": str(pki / f"{authority}-{leaf}.crt"),
                "key_file": str(pki / f"{authority}-{leaf}.key"),
                "verify_incoming": True,
                "verify_outgoing": True,
                "verify_server_hostname": True,
            }
        }
    }


def test_servers_with_certificates_and_one_without_a_good_one(pki: Path) -> None:
    wrong = [tls(pki, "strange"), tls(pki, leaf="client.dc1.consul"), {}]
    with Servers(3, tls(pki)) as servers:
        victim = servers.followers()[0]
        for config in wrong:
            victim.stop()
            assert victim.config is not None
            victim.config.pop("tls", None)
            victim.config |= config
            victim.start(ready=False)
            leader = servers.leader()
            leader.wait("refusals", lambda leader=leader: metric(leader, "rpc.refused") > 0, within_s=60.0)
            victim.wait("HTTP", lambda: victim.http("GET", "/v1/status/leader").body == b'""')
            leader.put("/v1/kv/a", body=b"1")  # the cluster goes on
        assert victim.config is not None
        victim.stop()
        victim.config |= tls(pki)
        victim.start()
        assert victim.http("GET", "/v1/kv/a?raw").body == b"1"


def test_garbage_and_plain_tcp_are_refused_and_counted(pki: Path) -> None:
    with Servers(3, tls(pki)) as servers:
        leader = servers.leader()
        for words, reason in ((b"GET / HTTP/1.1\r\n\r\n", "garbage"), (b"MSH1" + bytes(50), "plain")):
            with (
                socket.create_connection(("127.0.0.1", leader.ports["server"]), timeout=5) as peer,
                contextlib.suppress(ConnectionResetError),
            ):
                peer.sendall(words)
                assert peer.recv(100) == b""
            leader.wait(reason, lambda reason=reason: metric(leader, "rpc.refused", reason=reason) >= 1, within_s=60.0)
        assert servers.leader() is leader
        leader.put("/v1/kv/a", body=b"1")


def test_a_server_of_another_cluster_is_refused(servers: Servers, tmp_path: Path) -> None:
    """Its data_dir was copied together from two clusters: it must not vote here."""
    with Servers(3) as strangers:
        strangers.leader().put("/v1/kv/secret", body=b"1")
        foreign = (strangers[0].directory / "data" / "cluster-id").read_text()
    victim = servers.followers()[0]
    victim.stop()
    (victim.directory / "data" / "cluster-id").write_text(foreign)
    victim.start(ready=False)
    leader = servers.leader()
    leader.wait("a refusal", lambda: metric(leader, "rpc.refused", reason="wrong_cluster") >= 1, within_s=60.0)
    victim.wait("HTTP", lambda: victim.http("GET", "/v1/status/leader").body == b'""')
    assert "belongs to cluster" in victim.log()
    leader.put("/v1/kv/a", body=b"1")


def test_a_reload_takes_new_certificates_and_keeps_the_old_ones_when_they_are_bad(pki: Path, tmp_path: Path) -> None:
    with Servers(3, tls(pki)) as servers:
        victim = servers.followers()[0]
        assert victim.config is not None
        good = victim.config["tls"]
        broken = tmp_path / "broken.pem"
        broken.write_text("nonsense")
        block = {**good["internal_rpc"], "cert_file": str(broken)}
        (victim.directory / "agent.json").write_text(json.dumps({**victim.config, "tls": {"internal_rpc": block}}))
        refused = victim.http("PUT", "/v1/agent/reload")
        assert refused.status == 500
        assert b"tls.internal_rpc" in refused.body
        (victim.directory / "agent.json").write_text(json.dumps(victim.config))
        assert victim.http("PUT", "/v1/agent/reload").status == 200
        victim.put("/v1/kv/a", body=b"1")
