"""X15, X16: real Envoys as ingress and API gateways before built-in sidecars: hosts, TLS by name, rules, tokens."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.certificates import make_ca, make_leaf
from meshtest.envoysidecars import bootstrap, envoy_of
from meshtest.httpapp import Answer, HttpApp, ask, http_app
from meshtest.jwts import Issuer
from meshtest.process import AgentProcess, free_ports
from meshtest.sidecars import Echo, Sidecars, exchange, free_port, sidecars

PORTS = ("ingress", "plain", "secure", "raw")


class World:
    """`web` (HTTP) and `db` behind built-in sidecars; one Envoy for each gateway."""

    def __init__(self, agent: AgentProcess, mesh: Sidecars, web: HttpApp, db: Echo) -> None:
        self.agent = agent
        self.authority = make_ca()
        self.issuer = Issuer()
        self.ports = free_ports(PORTS)
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        self.write(Kind="service-defaults", Name="web", Protocol="http")
        mesh.register("web", web.port)
        mesh.register("db", db.port)
        for name in ("web", "db"):
            mesh.start(name)
        self._ingress()
        self._api()

    def _ingress(self) -> None:
        service = {"Name": "web", "Hosts": ["web.example.com"], "RequestHeaders": {"Set": {"x-edge": "1"}}}
        listener = {"Port": self.ports["ingress"], "Protocol": "http", "Services": [service]}
        self.write(Kind="ingress-gateway", Name="edge", TLS={"Enabled": True}, Listeners=[listener])

    def _api(self) -> None:
        for host in ("web.example.com", "other.example.com"):
            chain, key = (one.decode() for one in make_leaf(self.authority, host))
            self.write(Kind="inline-certificate", Name=host, Certificate=chain, PrivateKey=key)
        self.write(**self.issuer.provider())
        certificates = [{"Kind": "inline-certificate", "Name": f"{name}.example.com"} for name in ("web", "other")]
        listeners = [
            {"Name": "plain", "Port": self.ports["plain"], "Protocol": "http"},
            {"Name": "secure", "Port": self.ports["secure"], "Protocol": "http", "TLS": {"Certificates": certificates}},
            {"Name": "raw", "Port": self.ports["raw"], "Protocol": "tcp"},
        ]
        self.write(Kind="api-gateway", Name="gw", Listeners=listeners)
        token = {"JWT": {"Providers": [{"Name": "issuer", "VerifyClaims": [{"Path": ["role"], "Value": "admin"}]}]}}
        rules = [
            {
                "Matches": [{"Path": {"Match": "prefix", "Value": "/admin"}}], "Services": [{"Name": "web"}],
                "Filters": token,
            },
            {
                "Matches": [{"Path": {"Match": "prefix", "Value": "/old"}}], "Services": [{"Name": "web"}],
                "Filters": {"URLRewrite": {"Path": "/new"}},
            },
            {"Matches": [{"Path": {"Match": "prefix", "Value": "/"}}], "Services": [{"Name": "web"}]},
        ]  # fmt: skip
        parents = [{"Kind": "api-gateway", "Name": "gw", "SectionName": one} for one in ("plain", "secure")]
        self.write(Kind="http-route", Name="r", Parents=parents, Hostnames=["web.example.com"], Rules=rules)
        raw = [{"Kind": "api-gateway", "Name": "gw", "SectionName": "raw"}]
        self.write(Kind="tcp-route", Name="t", Parents=raw, Services=[{"Name": "db"}])

    def write(self, **entry: Any) -> None:
        answer = self.agent.put("/v1/config", entry)
        assert answer.status == 200, answer

    def wait(self, what: str, condition: Any) -> None:
        def holds() -> bool:
            try:
                return bool(condition())
            except OSError:
                return False

        self.agent.wait(what, holds, within_s=60)

    def at(self, listener: str, path: str = "/", host: str = "web.example.com", **more: Any) -> Answer:
        headers = {"Host": host, **more.pop("headers", {})}
        return ask(self.ports[listener], path, headers=headers, **more)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("gateways")
    db = Echo()
    with AgentProcess.server() as agent, http_app("web") as web, sidecars(agent, folder) as mesh:
        made = World(agent, mesh, web, db)
        admins = free_ports(["edge", "gw"])
        programs = []
        for gateway, name in (("ingress", "edge"), ("api", "gw")):
            address = f"127.0.0.1:{free_port()}"
            flags = ("-gateway", gateway, "-register", "-service", name, "-address", address)
            programs.append((bootstrap(agent, *flags, admin=admins[name]), folder, name, admins[name]))
        with envoy_of(*programs[0]), envoy_of(*programs[1]):
            yield made
    db.close()


def trusting(pem: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=pem)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def test_an_ingress_gateway_with_the_leafs_names(world: World) -> None:
    roots = "".join(one["RootCert"] for one in world.agent.get("/v1/connect/ca/roots")["Roots"])
    tls = {"tls": trusting(roots), "server_name": "web.example.com"}
    world.wait("the listener", lambda: world.at("ingress", **tls).status == 200)
    seen = json.loads(world.at("ingress", **tls).body)
    assert seen["headers"]["x-edge"] == "1"
    assert seen["headers"]["x-forwarded-client-cert"].endswith("/svc/edge")
    assert world.at("ingress", host="other.example.com", **tls).status == 404


def test_an_api_gateway_with_rules_and_certificates(world: World) -> None:
    world.wait("the routes", lambda: world.at("plain").status == 200)
    assert json.loads(world.at("plain", "/old/x").body)["path"] == "/new/x"
    assert world.at("plain", host="elsewhere").status == 404
    world.wait("the port of TCP", lambda: exchange(world.ports["raw"]) == b"hello")
    tls = trusting(world.authority.pem.decode())
    assert world.at("secure", tls=tls, server_name="web.example.com").status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        world.at("secure", tls=tls, server_name="nobody.example.com")


def test_a_route_demands_a_token(world: World) -> None:
    world.wait("the routes", lambda: world.at("plain").status == 200)
    good = {"Authorization": f"Bearer {world.issuer.token(role='admin')}"}
    wrong = {"Authorization": f"Bearer {world.issuer.token(role='guest')}"}
    assert world.at("plain", "/admin/x", headers=good).status == 200
    for headers in ({}, wrong):
        assert world.at("plain", "/admin/x", headers=headers).status == 403
        assert world.at("plain", "/a/../admin/x", headers=headers).status == 403
    assert world.at("plain", "/free", headers=wrong).status == 200
