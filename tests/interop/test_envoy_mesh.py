"""Real Envoys that the agent configures over xDS: alone, beside built-in sidecars, through changes and restarts.

web, api (version 1) and db have an Envoy, api (version 2) and shop a built-in sidecar. Real processes on loopback.
Surface rows X4-X8, X12-X14, X20, CL19.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.envoys import Envoys, envoys
from meshtest.httpapp import Answer, HttpApp, ask, http_app
from meshtest.process import AgentProcess, free_ports
from meshtest.sidecars import Echo, Sidecars, exchange, sidecars
from meshtest.wasm import PLUGIN


class World:
    """The services and their proxies; `ports` are upstreams' local ones, named "<who>-<whom>"."""

    def __init__(self, agent: AgentProcess, mesh: Sidecars, found: Envoys, one: HttpApp, two: HttpApp) -> None:
        self.agent, self.mesh, self.envoys, self.one, self.two = agent, mesh, found, one, two
        self.echo = Echo()
        self.ports = free_ports(["web-api", "web-db", "shop-api", "web", "shop", "api1", "api2", "db", "app", "app2"])
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        for name in ("web", "api", "shop", "spare"):
            self.write(Kind="service-defaults", Name=name, Protocol="http")
        subsets = {f"v{at}": {"Filter": f"Service.Meta.version == {at}"} for at in (1, 2)}
        self.write(Kind="service-resolver", Name="api", DefaultSubset="v1", Subsets=subsets)
        at = self.ports
        mesh.register("api", one.port, ID="api1", Meta={"version": "1"}, sidecar_port=at["api1"])
        mesh.register("api", two.port, ID="api2", Meta={"version": "2"}, sidecar_port=at["api2"])
        mesh.register("db", self.echo.port, sidecar_port=at["db"])
        mesh.register("web", at["app"], {"api": at["web-api"], "db": at["web-db"]}, sidecar_port=at["web"])
        mesh.register("shop", at["app2"], {"api": at["shop-api"]}, sidecar_port=at["shop"])
        for name in ("web", "api1", "db"):
            found.start(name)
        for name in ("api2", "shop"):
            mesh.start(name)
        found.ready()

    def write(self, **entry: Any) -> None:
        assert self.agent.put("/v1/config", entry).status == 200

    def delete(self, kind: str, name: str = "api") -> None:
        assert self.agent.http("DELETE", f"/v1/config/{kind}/{name}").status == 200

    def get(self, path: str = "/", who: str = "web", **more: Any) -> Answer:
        return ask(self.ports[f"{who}-api"], path, **more)

    def answers(self, who: str = "web") -> str:
        """Which application answers; the status when none does."""
        answer = self.get(who=who)
        return str(json.loads(answer.text)["app"]) if answer.status == 200 else f"{answer.status} {answer.text}"

    def wait(self, what: str, condition: Callable[[], Any]) -> None:
        self.envoys.wait(what, condition)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("xds")
    with (
        AgentProcess.server() as agent,
        http_app("one") as one,
        http_app("two") as two,
        sidecars(agent, folder) as mesh,
        envoys(agent, folder) as found,
    ):
        yield World(agent, mesh, found, one, two)


def test_requests_and_connections_through_two_envoys(world: World) -> None:
    world.wait("a first answer", lambda: world.get("/x?y=1").status == 200)
    seen = json.loads(world.get("/x?y=1", headers={"X-Forwarded-Client-Cert": "By=evil"}).text)
    assert (seen["app"], seen["path"]) == ("one", "/x?y=1")
    told = seen["headers"]["x-forwarded-client-cert"]
    assert "URI=spiffe://" in told
    assert "/svc/web" in told.rpartition("URI=")[2]
    world.wait("a first exchange", lambda: exchange(world.ports["web-db"]) == b"hello")
    names = world.envoys.stats("web", "^cluster.*upstream_rq_completed")
    assert any(name.startswith("cluster.v1.api.default.dc1.internal.") and value for name, value in names.items())


def test_a_built_in_sidecar_calls_an_envoy(world: World) -> None:
    world.wait("an answer", lambda: world.answers("shop") == "one")


def test_an_envoy_calls_a_built_in_sidecar_and_traffic_is_split(world: World) -> None:
    splits = [{"Weight": 50, "ServiceSubset": "v1"}, {"Weight": 50, "ServiceSubset": "v2"}]
    world.write(Kind="service-splitter", Name="api", Splits=splits)
    seen: set[str] = set()

    def both() -> bool:
        seen.add(world.answers())
        return seen >= {"one", "two"}

    world.wait("both versions", both)
    world.delete("service-splitter")


def test_intentions_hold_within_a_moment(world: World) -> None:
    world.mesh.intention("web", "api", "deny")
    world.mesh.intention("web", "db", "deny")
    world.wait("a denied request", lambda: world.get().status == 403)
    world.wait("a denied connection", lambda: exchange(world.ports["web-db"]) == b"")
    assert world.get(who="shop").status == 200, "others may"
    rule = {"Action": "deny", "HTTP": {"PathPrefix": "/admin"}}
    open_ = {"Action": "allow", "HTTP": {"PathPrefix": "/"}}
    world.write(Kind="service-intentions", Name="api", Sources=[{"Name": "web", "Permissions": [rule, open_]}])
    world.delete("service-intentions", "db")
    world.wait("an allowed path", lambda: world.get("/").status == 200)
    assert world.get("/admin/x").status == 403
    assert world.get("/admin/x", "shop").status == 200
    world.wait("an allowed connection", lambda: exchange(world.ports["web-db"]) == b"hello")
    world.delete("service-intentions")
    world.wait("nothing is denied", lambda: world.get("/admin/x").status == 200)


def test_extensions_do_what_they_say(world: World) -> None:
    script = "function envoy_on_request(h) h:headers():add('x-lua', 'in') end"
    nobody = {"Target": {"URI": f"localhost:{world.ports['app2']}"}}
    chosen = {"ResourceType": "cluster", "TrafficDirection": "inbound"}
    patch = {"ResourceFilter": chosen, "Op": "add", "Path": "/alt_stat_name", "Value": "mine"}
    plugin = world.envoys.folder / "plugin.wasm"
    plugin.write_bytes(PLUGIN)
    vm = {"VmConfig": {"Code": {"Local": {"Filename": str(plugin)}}}, "Configuration": "x"}
    extensions = {
        "builtin/wasm": {"Protocol": "http", "ListenerType": "inbound", "PluginConfig": vm},
        "builtin/lua": {"Listener": "inbound", "Script": script},
        "builtin/ext-authz": {"Config": {"GrpcService": nobody, "WithRequestBody": {"MaxRequestBytes": 10}}},
        "builtin/otel-access-logging": {
            "Config": {"GrpcService": nobody, "Body": "%PROTOCOL%", "Attributes": {"a": 1}}
        },
        "builtin/property-override": {"Patches": [patch]},
    }
    rows = [{"Name": name, "Arguments": arguments} for name, arguments in extensions.items()]
    world.write(Kind="service-defaults", Name="api", Protocol="http", EnvoyExtensions=rows)
    world.wait("the script", lambda: json.loads(world.get().text)["headers"].get("x-lua") == "in")
    world.wait("another name", lambda: any(world.envoys.stats("api1", "^cluster.mine.upstream_rq_total").values()))
    assert world.envoys.stats("api1", "wasm.envoy.wasm.runtime.v8.active")["wasm.envoy.wasm.runtime.v8.active"] > 0
    limit = {"MaxTokens": 1, "TokensPerFill": 1, "FillInterval": 3600}
    rows = [{"Name": "builtin/http/localratelimit", "Arguments": limit}]
    world.write(Kind="service-defaults", Name="api", Protocol="http", EnvoyExtensions=rows)
    world.wait("a request too many", lambda: world.get().status == 429)
    world.write(Kind="service-defaults", Name="api", Protocol="http")
    world.wait("as many as one likes", lambda: {world.get().status for _ in range(5)} == {200})


def test_an_extension_that_cannot_be_is_refused_when_it_is_written(world: World) -> None:
    chosen = {"ResourceType": "cluster", "TrafficDirection": "outbound"}
    patch = {"ResourceFilter": chosen, "Op": "add", "Path": "/nope", "Value": 1}
    rows = [{"Name": "builtin/property-override", "Arguments": {"Patches": [patch]}}]
    entry = {"Kind": "service-defaults", "Name": "api", "Protocol": "http", "EnvoyExtensions": rows}
    answer = world.agent.http("PUT", "/v1/config", json=entry)
    assert answer.status == 500
    assert "no match for field 'nope'!" in answer.body.decode()


def test_troubleshoot_looks_at_an_envoy(world: World) -> None:
    admin = f"127.0.0.1:{world.envoys.admin['web']}"
    world.wait("a request", lambda: world.get().status == 200)
    shown = world.mesh.run("troubleshoot", "upstreams", "-envoy-admin-endpoint", admin)
    assert {"api", "db"} <= set(shown.splitlines())
    line = ("troubleshoot", "proxy", "-envoy-admin-endpoint", admin, "-upstream-envoy-id", "api")
    shown = world.mesh.run(*line)
    assert "! " not in shown
    assert 'Healthy endpoints for cluster "v1.api.default.dc1.internal.' in shown


def test_requests_are_tried_again(world: World) -> None:
    again = {"NumRetries": 3, "RetryOnStatusCodes": [503]}
    world.write(
        Kind="service-router",
        Name="api",
        Routes=[{"Match": {"HTTP": {"PathPrefix": "/flaky"}}, "Destination": again}],
    )

    def answered() -> bool:
        world.one.failures = 0
        return world.get("/flaky/2").status == 200

    world.wait("the third try", answered)
    assert world.one.failures == 3
    world.delete("service-router")


def test_faults_and_copies_on_purpose(world: World) -> None:
    broken, copied = {"Fault": {"AbortStatus": 418}}, {"Mirror": {"ServiceSubset": "v2"}}
    world.write(
        Kind="service-router",
        Name="api",
        Routes=[
            {"Match": {"HTTP": {"PathExact": "/broken"}}, "Destination": broken},
            {"Match": {"HTTP": {"PathExact": "/copied"}}, "Destination": copied},
        ],
    )
    world.wait("an error on purpose", lambda: world.get("/broken").status == 418)
    assert world.get("/other").status == 200
    world.wait("a copy", lambda: world.get("/copied").status == 200 and "/copied" in world.two.seen)
    world.delete("service-router")


def test_failover_to_the_other_version(world: World) -> None:
    subsets = {f"v{at}": {"Filter": f"Service.Meta.version == {at}"} for at in (1, 2)}
    failover = {"v1": {"ServiceSubset": "v2"}}
    base = {"Kind": "service-resolver", "Name": "api", "DefaultSubset": "v1", "Subsets": subsets}
    world.write(**base, Failover=failover)
    fail = "/v1/agent/check/fail/service:api1-sidecar-proxy"
    assert world.agent.http("PUT", fail).status == 200
    world.wait("the other version", lambda: world.answers() == "two")
    assert world.agent.http("PUT", fail.replace("fail", "pass")).status == 200
    world.wait("the first again", lambda: world.answers() == "one")
    world.write(**base)


class Caller:
    """Requests one after the other in a thread; `bad` are those that were not answered with 200."""

    def __init__(self, world: World) -> None:
        self.done, self.bad = 0, []  # type: ignore[var-annotated]
        self._world, self._ends = world, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ends.wait(0.01):
            try:
                status = self._world.get().status
            except OSError as error:
                self.bad.append(error)
            else:
                if status != 200:
                    self.bad.append(status)
            self.done += 1

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(60)


def _serial_numbers(world: World, name: str) -> set[str]:
    """Of the roots that an Envoy trusts."""
    certificates = json.loads(world.envoys.get(name, "/certs"))["certificates"]
    return {one["serial_number"] for each in certificates for one in each["ca_cert"]}


def test_a_new_root_fails_no_request(world: World) -> None:
    before = {name: _serial_numbers(world, name) for name in ("web", "api1")}
    config = world.agent.get("/v1/connect/ca/configuration")
    config["Config"] |= {"PrivateKeyType": "ec", "PrivateKeyBits": 384}
    world.wait("a request", lambda: world.get().status == 200)
    with Caller(world) as caller:
        assert world.agent.put("/v1/connect/ca/configuration", config).status == 200
        world.wait(
            "both Envoys trust another root",
            lambda: all(_serial_numbers(world, name) - held for name, held in before.items()),
        )

        def signed_anew() -> bool:
            roots = world.agent.get("/v1/connect/ca/roots")
            active = next(one for one in roots["Roots"] if one["Active"])
            leaf = world.agent.get("/v1/agent/connect/ca/leaf/web")["CertPEM"]
            return len(roots["Roots"]) > 1 and active["ID"] == roots["ActiveRootID"] and bool(leaf)

        world.wait("the second root is active", signed_anew)
        more = caller.done + 50
        world.wait("requests after it", lambda: caller.done > more)
    assert caller.bad == []


def test_the_agent_goes_and_comes_back(world: World) -> None:
    world.wait("a request", lambda: world.get().status == 200)
    with Caller(world) as caller:
        world.agent.stop()
        more = caller.done + 20
        world.wait("requests without an agent", lambda: caller.done > more)
        world.agent.start()
        more = caller.done + 20
        world.wait("requests with the new one", lambda: caller.done > more)
    assert caller.bad == []
    world.mesh.intention("web", "api", "deny")
    world.wait("the new agent is heard", lambda: world.get().status == 403)
    world.delete("service-intentions")
    world.wait("and heard again", lambda: world.get().status == 200)


def test_nothing_was_rejected(world: World) -> None:
    """The last one: over all that the others did."""
    assert world.envoys.rejected() == {}
    for name in ("web", "api1", "db"):
        assert "rejected" not in world.envoys.log(name)
        assert "[critical]" not in world.envoys.log(name)
