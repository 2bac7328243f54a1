"""web -> sidecar -> sidecar -> api with HTTP: routes, splits, retries, timeouts, faults, mirrors, intentions.

Real processes on loopback. Surface rows M23-M26, M40-M43, M50-M53.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from meshtest.httpapp import Answer, HttpApp, ask, http_app
from meshtest.jwts import Issuer
from meshtest.process import AgentProcess
from meshtest.sidecars import Sidecars, dial, free_port, sidecars


class Mesh:
    """web with the upstreams api (two instances: v1 and v2) and other, all with running sidecars."""

    def __init__(self, agent: AgentProcess, mesh: Sidecars, apps: list[HttpApp]) -> None:
        self.agent = agent
        self.mesh = mesh
        self.v1, self.v2, self.other = apps
        self.port, self.other_port = free_port(), free_port()
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        for name in ("api", "other", "web", "nowhere"):
            self.write(Kind="service-defaults", Name=name, Protocol="http")
        subsets = {one: {"Filter": f"Service.Meta.version == {one}"} for one in ("v1", "v2")}
        self.write(Kind="service-resolver", Name="api", DefaultSubset="v1", Subsets=subsets)
        mesh.register("api", self.v1.port, ID="api1", Meta={"version": "v1"})
        mesh.register("api", self.v2.port, ID="api2", Meta={"version": "v2"})
        mesh.register("other", self.other.port)
        mesh.register("web", free_port(), {"api": self.port, "other": self.other_port})
        for service in ("api1", "api2", "other", "web"):
            mesh.start(service)
        agent.wait("a first answer", lambda: self.get("/").status == 200)

    def write(self, **entry: Any) -> None:
        answer = self.agent.put("/v1/config", entry)
        assert answer.status == 200, answer

    def delete(self, kind: str, name: str = "api") -> None:
        assert self.agent.http("DELETE", f"/v1/config/{kind}/{name}").status == 200

    def get(self, path: str = "/", **more: Any) -> Answer:
        return ask(self.port, path, **more)

    def seen(self, path: str = "/", **more: Any) -> Any:
        """What the application was sent."""
        answer = self.get(path, **more)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def await_config(self, what: str, condition: Any) -> None:
        self.agent.wait(what, condition, within_s=60)


@pytest.fixture(scope="module")
def mesh(module_agent: AgentProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder: Path = tmp_path_factory.mktemp("http")
    with (
        http_app("v1") as v1,
        http_app("v2") as v2,
        http_app("other") as other,
        sidecars(module_agent, folder) as running,
    ):
        yield Mesh(module_agent, running, [v1, v2, other])


def test_a_request_and_what_is_added(mesh: Mesh) -> None:
    found = mesh.seen("/x?y=1", headers={"X-Own": "z", "X-Forwarded-Client-Cert": "By=evil"})
    assert (found["app"], found["path"]) == ("v1", "/x?y=1")
    headers = found["headers"]
    assert headers["x-own"] == "z"
    assert headers["host"] == f"127.0.0.1:{mesh.port}"
    cert = headers["x-forwarded-client-cert"]
    assert "evil" not in cert
    assert cert.startswith("By=spiffe://")
    assert cert.endswith("/svc/web")
    assert len(headers["x-request-id"]) == 36
    assert "connection" not in headers or headers["connection"] != "close"


def test_bodies_stream_both_ways(mesh: Mesh) -> None:
    body = b"0123456789" * 2_000_000
    answer = mesh.get("/echo", method="POST", body=iter([body[:15], body[15:]]))
    assert answer.body == body
    assert mesh.get("/echo", method="PUT", body=body).body == body


def test_websockets(mesh: Mesh) -> None:
    async def talk() -> list[str]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{mesh.port}/ws") as connection,
        ):
            found = []
            for text in ("one", "two"):
                await connection.send_str(text)
                found.append(await connection.receive_str(timeout=30))
            return found

    assert asyncio.run(talk()) == ["v1: one", "v1: two"]


def test_pipelined_requests_and_a_head(mesh: Mesh) -> None:
    with dial(mesh.port, 30) as connection:
        request = b"GET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n"
        connection.sendall(request * 3 + b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = read_all(connection)
    assert got.count(b"HTTP/1.1 200 OK") == 4
    assert got.count(b"\r\n\r\nv1") == 3


def read_all(connection: socket.socket) -> bytes:
    got = b""
    while piece := connection.recv(65536):
        got += piece
    return got


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n", 414),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ],
)
def test_bad_requests_get_their_status_and_reach_nobody(mesh: Mesh, data: bytes, status: int) -> None:
    before = len(mesh.v1.seen)
    with dial(mesh.port, 30) as connection:
        connection.sendall(data + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        got = read_all(connection)
    assert got.startswith(b"HTTP/1.1 %d " % status)
    assert got.count(b"HTTP/1.1 ") == 1
    assert "/smuggled" not in mesh.v1.seen[before:]


@pytest.mark.parametrize("path", ["/reset", "/lie"])
def test_servers_that_reset_or_lie(mesh: Mesh, path: str) -> None:
    with dial(mesh.port, 30) as connection:
        connection.sendall(
            b"POST %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % path.encode()
        )
        try:
            got = read_all(connection)
        except ConnectionError:
            got = b"HTTP/1.1 reset"
    if path == "/reset":
        assert got.startswith(b"HTTP/1.1 503 ")
        assert b"reset reason: connection termination" in got
    else:
        assert got.count(b"short") <= 1
        assert len(got) < 400
    assert mesh.get("/").status == 200, "others are unharmed"


class TestRoutes:
    def test_by_path_header_query_and_method(self, mesh: Mesh) -> None:
        to_v2 = {"Service": "api", "ServiceSubset": "v2"}
        mesh.write(
            Kind="service-router",
            Name="api",
            Routes=[
                {"Match": {"HTTP": {"PathPrefix": "/old/"}}, "Destination": {**to_v2, "PrefixRewrite": "/new/"}},
                {"Match": {"HTTP": {"PathRegex": "/re/[0-9]+", "CaseInsensitive": True}}, "Destination": to_v2},
                {"Match": {"HTTP": {"Header": [{"Name": "X-Version", "Exact": "2"}]}}, "Destination": to_v2},
                {"Match": {"HTTP": {"QueryParam": [{"Name": "v", "Exact": "2"}]}}, "Destination": to_v2},
                {"Match": {"HTTP": {"Methods": ["DELETE"]}}, "Destination": to_v2},
                {
                    "Match": {"HTTP": {"PathExact": "/edit"}},
                    "Destination": {
                        "RequestHeaders": {"Set": {"X-Set": "yes"}, "Remove": ["X-Gone"]},
                        "ResponseHeaders": {"Add": {"X-More": "a"}, "Remove": ["X-Secret"]},
                    },
                },
                {"Match": {"HTTP": {"PathExact": "/hang"}}, "Destination": {"RequestTimeout": "200ms"}},
                {
                    "Match": {"HTTP": {"PathPrefix": "/flaky/"}},
                    "Destination": {"NumRetries": 3, "RetryOnStatusCodes": [503]},
                },
                {"Match": {"HTTP": {"PathExact": "/broken"}}, "Destination": {"Fault": {"AbortStatus": 418}}},
                {
                    "Match": {"HTTP": {"PathPrefix": "/copied"}},
                    "Destination": {"Mirror": {"Service": "api", "ServiceSubset": "v2"}},
                },
                {"Match": {"HTTP": {"PathPrefix": "/lost"}}, "Destination": {"Service": "nowhere"}},
                {
                    "Match": {"HTTP": {"PathPrefix": "/moved/"}},
                    "Destination": {
                        "Redirect": {"HostRedirect": "new.example", "PrefixRewrite": "/to/", "ResponseCode": 308},
                        "ResponseHeaders": {"Set": {"X-Why": "moved"}},
                    },
                },
            ],
        )
        mesh.await_config("the routes", lambda: mesh.get("/old/x").headers.get("x-app") == "v2")
        assert mesh.seen("/old/x?y=1")["path"] == "/new/x?y=1"
        assert mesh.seen("/re/12")["app"] == "v2"
        assert mesh.seen("/RE/12")["app"] == "v1", "expressions heed case always"
        assert mesh.seen("/re/12x")["app"] == "v1"
        assert mesh.seen("/", headers={"X-Version": "2"})["app"] == "v2"
        assert mesh.seen("/?a=1&v=2")["app"] == "v2"
        assert mesh.seen("/?v=21")["app"] == "v1"
        assert mesh.seen("/", method="DELETE")["app"] == "v2"
        answer = mesh.get("/edit", headers={"X-Gone": "1", "X-Set": "no"})
        sent = json.loads(answer.body)["headers"]
        assert sent["x-set"] == "yes"
        assert "x-gone" not in sent
        assert answer.headers["x-more"] == "a"
        assert "x-secret" not in answer.headers
        answer = mesh.get("/hang")
        assert (answer.status, answer.body) == (504, b"upstream request timeout")
        mesh.v1.failures = 0
        assert mesh.get("/flaky/2").text == "v1 3"
        assert mesh.get("/broken").status == 418
        assert mesh.seen("/copied/1")["app"] == "v1"
        mesh.await_config("the copy", lambda: "/copied/1" in mesh.v2.seen)
        answer = mesh.get("/lost")
        assert (answer.status, answer.body) == (503, b"no healthy upstream")
        seen = len(mesh.v1.seen)
        answer = mesh.get("/moved/x?y=1", method="POST", body=b"z" * 100_000)
        assert (answer.status, answer.body) == (308, b"")
        assert answer.headers["location"] == "http://new.example/to/x?y=1"
        assert answer.headers["x-why"] == "moved"
        assert mesh.get("/").status == 200
        assert [path for path in mesh.v1.seen[seen:] if "moved" in path] == [], "no instance was asked"

    def test_a_split(self, mesh: Mesh) -> None:
        mesh.delete("service-router")
        mesh.write(
            Kind="service-splitter",
            Name="api",
            Splits=[
                {"Weight": 80, "ServiceSubset": "v1"},
                {"Weight": 20, "ServiceSubset": "v2", "RequestHeaders": {"Set": {"X-Split": "v2"}}},
            ],
        )
        mesh.await_config("the split", lambda: mesh.get("/").headers["x-app"] == "v2")
        found = [mesh.seen("/") for _ in range(200)]
        assert 5 < sum(one["app"] == "v2" for one in found) < 120
        assert all((one["headers"].get("x-split") == "v2") == (one["app"] == "v2") for one in found)
        mesh.delete("service-splitter")
        mesh.await_config("no split", lambda: all(mesh.get("/").headers["x-app"] == "v1" for _ in range(20)))


def test_faults_and_mirrors(mesh: Mesh) -> None:
    """Ours, from the `Meta` of the destination: a delay, an abort, copies for another service."""
    meta = {
        "l7_fault_abort_status": "418",
        "l7_fault_header": "x-fault",
        "l7_fault_header_value": "on",
        "l7_mirror": "other",
    }
    mesh.write(Kind="service-defaults", Name="api", Protocol="http", Meta=meta)
    mesh.await_config("the fault", lambda: mesh.get("/", headers={"X-Fault": "on"}).status == 418)
    assert mesh.get("/", headers={"X-Fault": "on"}).body == b"fault filter abort"
    assert mesh.seen("/mirrored")["app"] == "v1"
    mesh.await_config("the copy", lambda: "/mirrored" in mesh.other.seen)
    delay = {"l7_fault_delay": "60s", "l7_fault_header": "x-slow"}
    mesh.write(Kind="service-defaults", Name="api", Protocol="http", Meta=delay)
    mesh.await_config("no abort", lambda: mesh.get("/", headers={"X-Fault": "on"}).status == 200)
    with pytest.raises(TimeoutError):
        mesh.get("/delayed", headers={"X-Slow": "1"}, timeout_s=0.5)
    assert "/delayed" not in mesh.v1.seen, "it waits before it is sent on"
    assert mesh.get("/").status == 200, "others do not wait"
    mesh.write(Kind="service-defaults", Name="api", Protocol="http")
    mesh.await_config("no fault", lambda: mesh.get("/", headers={"X-Fault": "on"}).status == 200)


class TestIntentions:
    def test_permissions_decide_each_request(self, mesh: Mesh) -> None:
        permissions = [
            {"Action": "deny", "HTTP": {"PathPrefix": "/admin"}},
            {"Action": "allow", "HTTP": {"PathPrefix": "/", "Methods": ["GET"]}},
            {"Action": "allow", "HTTP": {"Header": [{"Name": "x-key", "Exact": "open"}]}},
            {"Action": "deny", "HTTP": {"PathPrefix": "/"}},
        ]
        sources = [{"Name": "web", "Permissions": permissions}]
        mesh.write(Kind="service-intentions", Name="api", Sources=sources)
        mesh.await_config("the rules", lambda: mesh.get("/admin").status == 403)
        assert mesh.get("/admin/x?y").body == b"RBAC: access denied"
        assert mesh.get("/").status == 200
        assert mesh.get("/", method="POST").status == 403
        assert mesh.get("/", method="POST", headers={"X-Key": "open"}).status == 200
        assert "Permissions[0] matches (Action: DENY)" in mesh.mesh.log("api1")

    def test_tokens(self, mesh: Mesh) -> None:
        issuer = Issuer("idp")
        mesh.write(**issuer.provider(Forwarding={"HeaderName": "X-Claims"}))
        jwt = {"Providers": [{"Name": "idp", "VerifyClaims": [{"Path": ["role"], "Value": "admin"}]}]}
        permissions = [{"Action": "allow", "HTTP": {"PathPrefix": "/"}, "JWT": jwt}]
        mesh.write(Kind="service-intentions", Name="api", Sources=[{"Name": "web", "Permissions": permissions}])
        token = issuer.token(role="admin")
        mesh.await_config("the token's payload", lambda: "x-claims" in self._sent(mesh, token))
        assert "authorization" not in self._sent(mesh, token)
        assert mesh.get("/").status == 403
        for bad in (issuer.token(role="user"), Issuer("idp").token(role="admin"), token[:-4]):
            assert mesh.get("/", headers={"Authorization": f"Bearer {bad}"}).status == 403

    @staticmethod
    def _sent(mesh: Mesh, token: str) -> Any:
        answer = mesh.get("/", headers={"Authorization": f"Bearer {token}"})
        return json.loads(answer.body)["headers"] if answer.status == 200 else {}

    def test_a_deny_is_an_answer_and_cuts_what_runs(self, mesh: Mesh) -> None:
        mesh.write(Kind="service-intentions", Name="api", Sources=[{"Name": "web", "Action": "allow"}])
        mesh.await_config("allowed", lambda: mesh.get("/", method="POST").status == 200)

        async def cut() -> bool:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"http://127.0.0.1:{mesh.port}/ws") as connection,
            ):
                await connection.send_str("one")
                assert await connection.receive_str(timeout=30) == "v1: one"
                sources = [{"Name": "web", "Action": "deny"}]
                await asyncio.to_thread(mesh.write, Kind="service-intentions", Name="api", Sources=sources)
                message = await connection.receive(timeout=30)
                return message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR}

        assert asyncio.run(cut())
        answer = mesh.get("/")
        assert (answer.status, answer.body) == (403, b"RBAC: access denied")
        mesh.delete("service-intentions")
        mesh.await_config("allowed again", lambda: mesh.get("/").status == 200)


def test_an_application_that_is_away(mesh: Mesh) -> None:
    """It ends the world of this file: the application of `other` stops."""
    assert ask(mesh.other_port).status == 200
    mesh.other.close()
    mesh.await_config("503", lambda: ask(mesh.other_port, method="POST").status == 503)
    assert ask(mesh.other_port).body.startswith(b"upstream connect error or disconnect/reset before headers.")
