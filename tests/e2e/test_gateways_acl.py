"""L6, L27, M20, M70: gateways on a client agent with access control: what tokens need, and what is not theirs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.certificates import make_ca, make_leaf
from meshtest.httpapp import ask, http_app
from meshtest.process import AgentProcess, free_ports, meshagent_command
from meshtest.servers import client_of
from meshtest.sidecars import Sidecars, sidecars

MANAGER = "00000000-0000-0000-0000-00000000aaaa"
AGENT = "00000000-0000-0000-0000-00000000bbbb"
#: What an agent with proxies needs: its own node, the names of all, and the entries of API gateways.
RULES = """
node_prefix "" { policy = "write" }
service_prefix "" { policy = "read" }
mesh = "read"
"""


class World:
    """web behind a sidecar on the client; `ports` are of the gateways' listeners."""

    def __init__(self, server: AgentProcess, client: AgentProcess, mesh: Sidecars) -> None:
        self.server, self.client, self.mesh = server, client, mesh
        self.ports = free_ports(["ingress", "plain", "secure", "edge", "gw"])

    def write(self, path: str, value: Any, agent: AgentProcess | None = None) -> Any:
        answer = (agent or self.server).put(path, value, headers={"X-Consul-Token": MANAGER})
        assert answer.status == 200, answer
        return json.loads(answer.body) if answer.body else None

    def token(self, **given: Any) -> str:
        return str(self.write("/v1/acl/token", given)["SecretID"])

    def run(self, name: str, kind: str, secret: str) -> None:
        """A gateway that registers itself with its token."""
        self.mesh.environ["CONSUL_HTTP_TOKEN"] = secret
        flags = ("-gateway", kind, "-register", "-address", f"127.0.0.1:{self.ports[name]}")
        self.mesh.start(name, *flags, by="-service")

    def status(self, port: str, **more: Any) -> int:
        try:
            return ask(self.ports[port], headers={"Host": "web.example.com"}, **more).status
        except OSError:
            return 0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("gateways")
    acl = {"enabled": True, "default_policy": "deny"}
    tokens = {"initial_management": MANAGER, "agent": MANAGER}
    manager = {"X-Consul-Token": MANAGER}
    with AgentProcess.server({"acl": {**acl, "tokens": tokens}}) as server:
        server.wait("CA roots", lambda: server.get("/v1/connect/ca/roots", headers=manager)["Roots"])
        for path, value in (
            ("policy", {"Name": "agents", "Rules": RULES}),
            ("token", {"SecretID": AGENT, "Policies": [{"Name": "agents"}]}),
        ):
            assert server.put(f"/v1/acl/{path}", value, headers=manager).status == 200
        with (
            client_of([server], acl={**acl, "tokens": {"agent": AGENT}}) as client,
            http_app("web") as web,
            sidecars(client, folder) as mesh,
        ):
            made = World(server, client, mesh)
            made.write("/v1/config", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"})
            registration = {"Name": "web", "Port": web.port, "Connect": {"SidecarService": {}}}
            made.write("/v1/agent/service/register", registration, client)
            mesh.environ["CONSUL_HTTP_TOKEN"] = made.token(ServiceIdentities=[{"ServiceName": "web"}])
            mesh.start("web")
            yield made


def test_an_ingress_gateway_runs_with_its_service_identity(world: World) -> None:
    services = [{"Name": "web", "Hosts": ["web.example.com"]}]
    listeners = [{"Port": world.ports["ingress"], "Protocol": "http", "Services": services}]
    world.write("/v1/config", {"Kind": "ingress-gateway", "Name": "edge", "Listeners": listeners})
    world.run("edge", "ingress", world.token(ServiceIdentities=[{"ServiceName": "edge"}]))
    world.server.wait("the default denies", lambda: world.status("ingress") == 403)
    allow = {"Kind": "service-intentions", "Name": "web", "Sources": [
        {"Name": "edge", "Action": "allow"}, {"Name": "gw", "Action": "allow"},
    ]}  # fmt: skip
    world.write("/v1/config", allow)
    world.server.wait("the intention allows", lambda: world.status("ingress") == 200)


def test_an_api_gateway_needs_to_read_the_mesh_for_its_certificates(world: World) -> None:
    chain, key = (one.decode() for one in make_leaf(make_ca(), "web.example.com"))
    certificate = {"Kind": "inline-certificate", "Name": "c", "Certificate": chain, "PrivateKey": key}
    world.write("/v1/config", certificate)
    tls = {"Certificates": [{"Kind": "inline-certificate", "Name": "c"}]}
    listeners = [
        {"Name": "plain", "Port": world.ports["plain"], "Protocol": "http"},
        {"Name": "secure", "Port": world.ports["secure"], "Protocol": "http", "TLS": tls},
    ]
    world.write("/v1/config", {"Kind": "api-gateway", "Name": "gw", "Listeners": listeners})
    route = {"Kind": "http-route", "Name": "r", "Parents": [{"Kind": "api-gateway", "Name": "gw"}],
             "Rules": [{"Services": [{"Name": "web"}]}]}  # fmt: skip
    world.write("/v1/config", route)
    path = "/v1/agent/connect/proxy/gw?secrets"
    registration = {"Kind": "api-gateway", "Name": "gw", "Address": "127.0.0.1", "Port": world.ports["gw"]}
    world.write("/v1/agent/service/register", registration, world.client)

    def listeners_of(secret: str) -> list[int]:
        answer = world.client.http("GET", path, headers={"X-Consul-Token": secret})
        assert answer.status == 200, answer
        return [one["port"] for one in json.loads(answer.body)["gateway"]["listeners"] if not one["ready"]]

    templated = world.token(
        TemplatedPolicies=[{"TemplateName": "builtin/api-gateway", "TemplateVariables": {"Name": "gw"}}]
    )
    both = [world.ports["plain"], world.ports["secure"]]
    world.server.wait("both listeners", lambda: listeners_of(templated) == both)
    plain = world.token(ServiceIdentities=[{"ServiceName": "gw"}])
    assert listeners_of(plain) == both[:1]
    assert key.splitlines()[1].encode() not in world.client.http("GET", path, headers={"X-Consul-Token": plain}).body
    other = world.token(ServiceIdentities=[{"ServiceName": "other"}])
    assert world.client.http("GET", path, headers={"X-Consul-Token": other}).status == 403
    world.run("gw", "api", templated)
    world.server.wait("a first answer", lambda: world.status("plain") == 200)


def test_who_may_not_write_the_gateway_cannot_register_it(world: World) -> None:
    line = [*meshagent_command(), "connect", "proxy", "-gateway", "ingress", "-register", "-service", "edge"]
    environ = {**world.mesh.environ, "CONSUL_HTTP_TOKEN": world.token(ServiceIdentities=[{"ServiceName": "web"}])}
    done = subprocess.run(
        [*line, "-address", "127.0.0.1:1"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "Permission denied" in done.stderr + done.stdout
