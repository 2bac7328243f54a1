"""X4, N8: real Envoys told over xDS: what changes arrives, a restart of the agent is not felt, sockets and TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.certificates import make_ca, make_leaf
from meshtest.envoysidecars import EnvoySidecar, bootstrap, envoy_of, envoy_sidecar
from meshtest.process import AgentProcess, free_ports
from meshtest.sidecars import Echo, Sidecars, dial, exchange, free_port

WITHIN_S = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("xds")
    authority = make_ca()
    certificate, key = make_leaf(authority, "localhost", "127.0.0.1")
    for name, data in {"ca.pem": authority.pem, "cert.pem": certificate, "key.pem": key}.items():
        (made / name).write_bytes(data)
    return made


@pytest.fixture(scope="module")
def agent(folder: Path) -> Iterator[AgentProcess]:
    extra = {
        "addresses": {"grpc": f"127.0.0.1 unix://{folder / 'grpc.sock'}"},
        "tls": {"grpc": {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}},
    }
    with AgentProcess.server(extra, ports=free_ports()) as running:
        running.wait("roots", lambda: running.get("/v1/connect/ca/roots")["Roots"])
        yield running


class Pair:
    """`web` dials `api`, both behind Envoys."""

    def __init__(self, agent: AgentProcess, mesh: Sidecars, api: Echo, upstream: int) -> None:
        self.agent = agent
        self.mesh = mesh
        self.api = api
        self.upstream = upstream
        self.public = free_port()
        self.web: EnvoySidecar

    def register(self, **upstreams: int) -> None:
        """`web` with these upstreams beside `api`."""
        self.mesh.register("web", free_port(), {"api": self.upstream, **upstreams}, sidecar_port=self.public)

    def wait(self, what: str, condition: Any) -> None:
        self.agent.wait(what, condition, within_s=WITHIN_S)

    def talks(self) -> bool:
        return exchange(self.upstream) == b"hello"


@pytest.fixture(scope="module")
def pair(agent: AgentProcess, folder: Path) -> Iterator[Pair]:
    mesh, api = Sidecars(agent, folder), Echo()
    made = Pair(agent, mesh, api, free_port())
    mesh.register("api", api.port, sidecar_port=free_port())
    made.register()
    with envoy_sidecar(agent, folder, "api"), envoy_sidecar(agent, folder, "web") as made.web:
        made.wait("a first exchange", made.talks)
        yield made
    api.close()


def test_an_envoy_has_what_its_proxy_is_to_have(pair: Pair) -> None:
    assert {name.partition(":")[0] for name in pair.web.listeners()} == {"public_listener", "api"}
    assert {name.partition(".")[0] for name in pair.web.clusters()} == {"local_app", "api"}
    assert pair.web.stats("control_plane.connected_state") == {"control_plane.connected_state": 1}
    (row,) = [row for row in pair.agent.get("/v1/agent/connect/envoys") if row["ProxyID"] == "web-sidecar-proxy"]
    assert row["Authorized"]
    assert row["EnvoyVersion"].startswith("1.")
    assert row["Acknowledged"]["Listener"] >= 1
    assert row["Rejected"] == {}


def test_an_intention_counts_at_once(pair: Pair) -> None:
    pair.mesh.intention("web", "api", "deny")
    pair.wait("denied", lambda: exchange(pair.upstream) == b"")
    pair.mesh.intention("web", "api", "allow")
    pair.wait("allowed again", pair.talks)


def test_an_upstream_comes_and_goes(pair: Pair) -> None:
    other, extra = Echo(), free_port()
    pair.register(db=extra)
    pair.wait("a listener for it", lambda: any(name.startswith("db:") for name in pair.web.listeners()))
    assert any(name.startswith("db.") for name in pair.web.clusters())
    pair.register()
    pair.wait("it is gone", lambda: not any(name.startswith("db.") for name in pair.web.clusters()))
    assert not any(name.startswith("db:") for name in pair.web.listeners())
    other.close()


def test_connections_outlive_the_agent(pair: Pair) -> None:
    with dial(pair.upstream, WITHIN_S) as live:
        live.sendall(b"live")
        assert live.recv(4) == b"live"
        pair.agent.stop()
        assert pair.talks()
        pair.agent.start()
        connected = {"control_plane.connected_state": 1}
        pair.wait("it has come back", lambda: pair.web.stats("control_plane.connected_state") == connected)
        live.sendall(b"more")
        assert live.recv(4) == b"more"
    pair.mesh.intention("web", "api", "deny")
    pair.wait("what changes arrives", lambda: exchange(pair.upstream) == b"")
    pair.mesh.intention("web", "api", "allow")
    pair.wait("allowed again", pair.talks)
    refusals = [line for line in pair.agent.log().splitlines() if "Envoy did not accept" in line]
    assert refusals == []


@pytest.mark.parametrize("way", ["socket", "tls"])
def test_other_ways_to_the_agent(agent: AgentProcess, pair: Pair, folder: Path, way: str) -> None:
    upstream, admin = free_port(), free_port()
    name = f"by-{way}"
    pair.mesh.register(name, free_port(), {"api": upstream}, sidecar_port=free_port())
    pair.mesh.intention(name, "api", "allow")
    if way == "socket":
        made = bootstrap(agent, "-sidecar-for", name, grpc=f"unix://{folder / 'grpc.sock'}", admin=admin)
    else:
        address = f"https://127.0.0.1:{agent.ports['grpc_tls']}"
        made = bootstrap(
            agent, "-sidecar-for", name, "-grpc-ca-file", str(folder / "ca.pem"), grpc=address, admin=admin
        )
    with envoy_of(made, folder, name, admin):
        pair.wait("an exchange", lambda: exchange(upstream) == b"hello")
    assert agent.http("PUT", f"/v1/agent/service/deregister/{name}").status == 200


def test_what_an_envoy_refuses_is_told(pair: Pair, folder: Path) -> None:
    """An escape hatch with a listener that no Envoy takes: the rest goes on."""
    name, upstream = "broken", free_port()
    bad = {
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": "bad",
        "address": {"socket_address": {"address": "not-an-address", "port_value": 1}},
    }
    proxy = {"Config": {"envoy_public_listener_json": json.dumps(bad)}}
    pair.mesh.register(name, free_port(), {"api": upstream}, proxy=proxy, sidecar_port=free_port())
    pair.mesh.intention(name, "api", "allow")
    with envoy_sidecar(pair.agent, folder, name) as sidecar:
        pair.wait("the good listener", lambda: exchange(upstream) == b"hello")

        def refused() -> Any:
            rows = pair.agent.get("/v1/agent/connect/envoys")
            return [row["Rejected"] for row in rows if row["ProxyID"] == f"{name}-sidecar-proxy" and row["Rejected"]]

        pair.wait("the refusal is shown", refused)
        assert "not-an-address" in json.dumps(refused())
        assert "Envoy did not accept: proxy=broken-sidecar-proxy" in pair.agent.log()
        assert sidecar.stats("listener_manager.lds.update_rejected")["listener_manager.lds.update_rejected"] >= 1


def test_a_proxy_that_is_deregistered_is_told_no_more(pair: Pair, folder: Path) -> None:
    name = "leaving"
    pair.mesh.register(name, free_port(), sidecar_port=free_port())
    with envoy_sidecar(pair.agent, folder, name) as sidecar:
        pair.wait("its listener", sidecar.listeners)
        assert pair.agent.http("PUT", f"/v1/agent/service/deregister/{name}").status == 200

        def ended() -> bool:
            rows = pair.agent.get("/v1/agent/connect/envoys")
            return all(row["ProxyID"] != f"{name}-sidecar-proxy" or not row["Authorized"] for row in rows)

        pair.wait("its stream has ended", ended)
        assert sidecar.listeners(), "it keeps what it has"


def test_a_changed_cluster_is_in_use_without_waiting_for_endpoints(pair: Pair) -> None:
    """Envoy holds it back, and listeners with it, until its endpoints have been told again or 15 s have passed."""
    entry = {"Kind": "service-resolver", "Name": "api", "ConnectTimeout": "7s"}
    assert pair.agent.put("/v1/config", entry).status == 200

    def timeouts() -> set[str]:
        dump = json.loads(pair.web.get("/config_dump?resource=dynamic_active_clusters"))
        return {row["cluster"]["connect_timeout"] for row in dump["configs"]}

    pair.wait("the changed cluster", lambda: "7s" in timeouts())
    waited = pair.web.stats("cluster.api.*init_fetch_timeout")
    assert waited
    assert set(waited.values()) == {0}
    assert pair.agent.http("DELETE", "/v1/config/service-resolver/api").status == 200
    pair.wait("the cluster as before", lambda: "7s" not in timeouts())


def test_p7_one_without_an_agent(pair: Pair, folder: Path) -> None:
    """Its registration is in the catalog only, on a node without an agent, as a pod's is; a server leads it."""
    agent, upstream, admin = pair.agent, free_port(), free_port()
    proxy = {
        "DestinationServiceName": "pod", "LocalServicePort": free_port(),
        "Upstreams": [{"DestinationName": "api", "LocalBindPort": upstream}],
    }  # fmt: skip
    sidecar = {"Kind": "connect-proxy", "Service": "pod-proxy", "ID": "pod-1-proxy", "Port": free_port()}
    body = {"Node": "k8s-virtual", "Address": "127.0.0.1", "Service": {**sidecar, "Proxy": proxy}}
    assert agent.put("/v1/catalog/register", body).status == 200
    made = bootstrap(agent, "-proxy-id", "pod-1-proxy", "-node-name", "k8s-virtual", admin=admin)
    assert made["node"]["metadata"]["node_name"] == "k8s-virtual"
    with envoy_of(made, folder, "pod", admin):
        pair.wait("a first exchange", lambda: exchange(upstream) == b"hello")
        pair.mesh.intention("pod", "api", "deny")
        pair.wait("the deny", lambda: exchange(upstream) != b"hello")
    pair.mesh.intention("pod", "api", "allow")
