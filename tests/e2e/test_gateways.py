"""The built-in proxy as ingress and API gateway: the world -> gateway -> sidecar -> service, with real processes.

Surface rows M27, M31-M34, M62, D9.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from meshtest.ask import dns_data
from meshtest.certificates import Authority, make_ca, make_leaf
from meshtest.httpapp import Answer, HttpApp, ask, http_app
from meshtest.process import AgentProcess
from meshtest.sidecars import Echo, Sidecars, exchange, free_port, sidecars


class Mesh:
    """web and shop speak HTTP, db does not; `edge` is an ingress gateway, `gw` an API gateway."""

    def __init__(self, agent: AgentProcess, running: Sidecars, apps: list[HttpApp], db: Echo) -> None:
        self.agent = agent
        self.running = running
        self.authority: Authority = make_ca()
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        for name in ("web", "shop"):
            self.write(Kind="service-defaults", Name=name, Protocol="http")
        for name, app in zip(("web", "shop"), apps, strict=True):
            running.register(name, app.port)
        running.register("db", db.port)
        for name in ("web", "shop", "db"):
            running.start(name)
        for kind, name in (("ingress-gateway", "edge"), ("api-gateway", "gw")):
            gateway = {"Kind": kind, "Name": name, "Address": "127.0.0.1", "Port": free_port()}
            assert agent.put("/v1/agent/service/register", gateway).status == 200
            running.start(name, by="-proxy-id")

    def write(self, **entry: Any) -> None:
        answer = self.agent.put("/v1/config", entry)
        assert answer.status == 200, answer

    def wait(self, what: str, condition: Any) -> None:
        def holds() -> bool:
            try:
                return bool(condition())
            except OSError:  # nobody listens there yet
                return False

        self.agent.wait(what, holds, within_s=60)

    def certificate(self, name: str, host: str) -> None:
        """An inline certificate for a host."""
        chain, key = (one.decode() for one in make_leaf(self.authority, host))
        self.write(Kind="inline-certificate", Name=name, Certificate=chain, PrivateKey=key)

    def roots(self) -> str:
        return "".join(one["RootCert"] for one in self.agent.get("/v1/connect/ca/roots")["Roots"])


@pytest.fixture(scope="module")
def mesh(module_agent: AgentProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    db = Echo()
    with (
        http_app("web") as web,
        http_app("shop") as shop,
        sidecars(module_agent, tmp_path_factory.mktemp("gateways")) as running,
    ):
        yield Mesh(module_agent, running, [web, shop], db)
    db.close()


def app_of(answer: Answer) -> str:
    return answer.headers.get("x-app", "")


def at(port: int, host: str, path: str = "/", **more: Any) -> Answer:
    headers = {"Host": host, **more.pop("headers", {})}
    return ask(port, path, headers=headers, **more)


def trusting(pem: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=pem)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def ingress(mesh: Mesh, *listeners: dict[str, Any], **more: Any) -> None:
    mesh.write(Kind="ingress-gateway", Name="edge", Listeners=list(listeners), **more)


def test_an_ingress_gateway_lets_in_by_host_and_by_port(mesh: Mesh) -> None:
    http, tcp = free_port(), free_port()
    web = {
        "Name": "web", "Hosts": ["web.example.com"],
        "RequestHeaders": {"Set": {"x-edge": "1"}}, "ResponseHeaders": {"Remove": ["x-secret"]},
    }  # fmt: skip
    ingress(
        mesh,
        {"Port": http, "Protocol": "http", "Services": [web, {"Name": "*"}]},
        {"Port": tcp, "Protocol": "tcp", "Services": [{"Name": "db"}]},
    )
    mesh.wait("the listener", lambda: at(http, "web.example.com").status == 200)
    forged = {"X-Forwarded-Client-Cert": "By=evil", "X-Forwarded-Proto": "https"}
    answer = at(http, f"WEB.example.com:{http}", "/x?y=1", headers=forged)
    seen = json.loads(answer.body)
    assert (seen["app"], seen["path"]) == ("web", "/x?y=1")
    assert seen["headers"]["x-edge"] == "1"
    assert (seen["headers"]["x-forwarded-for"], seen["headers"]["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert "evil" not in seen["headers"]["x-forwarded-client-cert"]
    assert seen["headers"]["x-forwarded-client-cert"].endswith("/svc/edge")
    assert "x-secret" not in answer.headers
    assert app_of(at(http, "shop.ingress.consul")) == "shop"
    assert at(http, "other.example.com").status == 404
    mesh.wait("the upstream of the other port", lambda: exchange(tcp) == b"hello")
    assert dns_data(mesh.agent, "web.ingress.consul") == ["127.0.0.1"]


def test_intentions_speak_of_the_gateway(mesh: Mesh) -> None:
    http = free_port()
    ingress(mesh, {"Port": http, "Protocol": "http", "Services": [{"Name": "web"}, {"Name": "shop"}]})
    mesh.wait("the listener", lambda: at(http, "web.ingress.consul").status == 200)
    mesh.running.intention("edge", "web", "deny")
    mesh.wait("the denial", lambda: at(http, "web.ingress.consul").status == 403)
    assert at(http, "shop.ingress.consul").status == 200
    mesh.running.intention("edge", "web", "allow")
    mesh.wait("the permission", lambda: at(http, "web.ingress.consul").status == 200)


def test_a_listener_changes_and_its_connections_stay(mesh: Mesh) -> None:
    http = free_port()
    listener = {"Port": http, "Protocol": "http", "Services": [{"Name": "web", "Hosts": ["a.example.com"]}]}
    ingress(mesh, listener)
    mesh.wait("the listener", lambda: at(http, "a.example.com").status == 200)
    with socket.create_connection(("127.0.0.1", http), timeout=30) as connection:

        def again(host: str) -> bytes:
            connection.sendall(f"GET /status/204 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            return connection.recv(4096).split(b"\r\n", 1)[0]

        assert again("a.example.com") == b"HTTP/1.1 204 No Content"
        services = [{"Name": "shop", "Hosts": ["b.example.com"]}]
        ingress(mesh, {**listener, "Services": services})
        mesh.wait("the new host", lambda: app_of(at(http, "b.example.com")) == "shop")
        assert again("b.example.com") == b"HTTP/1.1 204 No Content"
        assert again("a.example.com") == b"HTTP/1.1 404 Not Found"
    ingress(mesh, {**listener, "Port": free_port()})
    mesh.wait("the listener's end", lambda: exchange(http) == b"")


def test_with_tls_the_gateway_shows_its_leaf_for_the_hosts(mesh: Mesh) -> None:
    http, tcp = free_port(), free_port()
    web = {"Name": "web", "Hosts": ["web.example.com"]}
    ingress(
        mesh,
        {"Port": http, "Protocol": "http", "Services": [web, {"Name": "shop"}]},
        {"Port": tcp, "Protocol": "tcp", "Services": [{"Name": "db"}]},
        TLS={"Enabled": True, "TLSMinVersion": "TLSv1_3"},
    )
    tls = trusting(mesh.roots())

    def answers(host: str) -> str:
        answer = at(http, host, tls=tls, server_name=host)
        seen = json.loads(answer.body)
        assert seen["headers"]["x-forwarded-proto"] == "https"
        return str(seen["app"])

    mesh.wait("TLS", lambda: answers("web.example.com") == "web")
    assert answers("shop.ingress.consul") == "shop"
    with pytest.raises(ssl.SSLCertVerificationError):
        at(http, "other.example.com", tls=tls, server_name="other.example.com")
    big = b"0123456789" * 200_000
    assert at(http, "web.example.com", "/echo", method="POST", body=big, tls=tls,
              server_name="web.example.com").body == big  # fmt: skip
    old = trusting(mesh.roots())
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        at(http, "web.example.com", tls=old, server_name="web.example.com")
    with socket.create_connection(("127.0.0.1", tcp), timeout=30) as plain:
        connection = tls.wrap_socket(plain, server_hostname="web.example.com")
        connection.sendall(big)
        got = b""
        while len(got) < len(big):
            got += connection.recv(65536)
        assert got == big


def test_an_api_gateway_routes_by_rules_with_certificates_by_name(mesh: Mesh) -> None:
    plain, secure, raw = free_port(), free_port(), free_port()
    for name in ("web.example.com", "shop.example.com"):
        mesh.certificate(name, name)
    certificates = [{"Kind": "inline-certificate", "Name": f"{name}.example.com"} for name in ("web", "shop")]
    listeners = [
        {"Name": "plain", "Port": plain, "Protocol": "http", "Hostname": "*.example.com"},
        {"Name": "secure", "Port": secure, "Protocol": "http", "TLS": {"Certificates": certificates}},
        {"Name": "raw", "Port": raw, "Protocol": "tcp", "TLS": {"Certificates": certificates[:1]}},
    ]
    mesh.write(Kind="api-gateway", Name="gw", Listeners=listeners)
    rules = [
        {
            "Matches": [{"Path": {"Match": "prefix", "Value": "/old"}, "Method": "GET"}],
            "Filters": {
                "URLRewrite": {"Path": "/new"}, "Headers": [{"Set": {"x-set": "1"}, "Remove": ["x-gone"]}],
            },
            "ResponseFilters": {"Headers": [{"Remove": ["x-secret"]}]},
            "Services": [{"Name": "web"}],
        },
        {
            "Matches": [{"Path": {"Match": "prefix", "Value": "/"},
                         "Headers": [{"Match": "exact", "Name": "x-to", "Value": "shop"}]}],
            "Services": [{"Name": "shop"}],
        },
        {
            "Matches": [{"Path": {"Match": "prefix", "Value": "/flaky"}}],
            "Filters": {"RetryFilter": {"NumRetries": 3, "RetryOnStatusCodes": [503]}},
            "Services": [{"Name": "web"}],
        },
        {"Matches": [{"Path": {"Match": "exact", "Value": "/both"}}],
         "Services": [{"Name": "web", "Weight": 1}, {"Name": "shop", "Weight": 1}]},
    ]  # fmt: skip
    parents = [{"Kind": "api-gateway", "Name": "gw", "SectionName": one} for one in ("plain", "secure")]
    hosts = ["web.example.com", "shop.example.com"]
    mesh.write(Kind="http-route", Name="r1", Parents=parents, Hostnames=hosts, Rules=rules)
    tcp_parent = [{"Kind": "api-gateway", "Name": "gw", "SectionName": "raw"}]
    mesh.write(Kind="tcp-route", Name="t1", Parents=tcp_parent, Services=[{"Name": "db"}])

    mesh.wait("the routes", lambda: at(plain, "web.example.com", "/old/x").status == 200)
    answer = at(plain, "web.example.com", "/old/x?y=1", headers={"X-Gone": "1"})
    seen = json.loads(answer.body)
    assert (seen["app"], seen["path"], seen["headers"]["x-set"]) == ("web", "/new/x?y=1", "1")
    assert "x-gone" not in seen["headers"]
    assert "x-secret" not in answer.headers
    assert at(plain, "web.example.com", "/old/x", method="POST").status == 404
    assert app_of(at(plain, "web.example.com", "/any", headers={"X-To": "shop"})) == "shop"
    assert at(plain, "web.example.com", "/any").status == 404
    assert at(plain, "other.example.com", "/old").status == 404
    assert at(plain, "web.example.com", "/flaky/2").status == 200
    assert {app_of(at(plain, "shop.example.com", "/both")) for _ in range(64)} == {"web", "shop"}

    tls = trusting(mesh.authority.pem.decode())
    for host in hosts:
        assert at(secure, host, "/old", tls=tls, server_name=host).status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        at(secure, "web.example.com", "/old", tls=tls, server_name="other.example.com")
    with (
        socket.create_connection(("127.0.0.1", raw), timeout=30) as socket_,
        tls.wrap_socket(socket_, server_hostname="web.example.com") as connection,
    ):
        connection.sendall(b"hello")
        assert connection.recv(5) == b"hello"
    entry = mesh.agent.get("/v1/config/http-route/r1")
    assert {one["Type"]: one["Status"] for one in entry["Status"]["Conditions"]} == {
        "Accepted": "True",
        "Bound": "True",
    }


def test_a_gateway_registers_itself_and_says_that_it_lives(mesh: Mesh) -> None:
    port, http = free_port(), free_port()
    services = [{"Name": "web", "Hosts": ["*"]}]
    mesh.write(
        Kind="ingress-gateway", Name="door", Listeners=[{"Port": http, "Protocol": "http", "Services": services}]
    )
    mesh.running.start("door", "-gateway", "ingress", "-register", "-address", f"127.0.0.1:{port}", by="-service")
    mesh.wait("its listener", lambda: at(http, "any.example.com").status == 200)
    assert at(port, "", "/ready").status == 200
    assert at(port, "", "/other").status == 404
    mesh.wait("its check", lambda: mesh.agent.get("/v1/health/service/door?passing"))
    assert [one["Port"] for one in mesh.agent.get("/v1/catalog/gateway-services/door")] == [http]
    mesh.running.processes["door"].terminate()
    mesh.wait("its end", lambda: not mesh.agent.get("/v1/health/service/door"))
