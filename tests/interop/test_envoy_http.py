"""HTTP/1.1 between our sidecar and a real Envoy with its HTTP connection manager, both ways, over mutual TLS.

Surface rows M23, M28, M41: what the two must agree on: who asks (x-forwarded-client-cert), what is denied, what is
tried again, and bytes of every framing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from meshtest.httpapp import HttpApp, ask, http_app
from meshtest.meshpeers import PeerWorld, connection_manager, envoy, envoy_listener, http_rbac
from meshtest.process import AgentProcess, free_ports
from meshtest.sidecars import sidecars

PATIENCE_S = 60.0
BODY = b"0123456789" * 200_000


class HttpWorld(PeerWorld):
    """`near` is an application behind our sidecar, `far` one behind Envoy; each is reached by the other proxy."""

    near: HttpApp
    far: HttpApp
    #: Envoy's way to `near`, our sidecar's way to `far`.
    to_near: int
    to_far: int

    def write(self, **entry: object) -> None:
        answer = self.agent.put("/v1/config", entry)
        assert answer.status == 200, answer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpWorld]:
    folder: Path = tmp_path_factory.mktemp("envoy_http")
    with (
        http_app("near") as near,
        http_app("far") as far,
        AgentProcess.server() as agent,
        sidecars(agent, folder) as mesh,
    ):
        made = HttpWorld(agent, mesh, folder)
        made.near, made.far = near, far
        ports = free_ports(["near", "to_near", "far", "to_far"])
        made.to_near, made.to_far = ports["to_near"], ports["to_far"]
        for name in ("near", "far"):
            made.write(Kind="service-defaults", Name=name, Protocol="http")
        # one registration is both: Envoy's certificate says `far`, as that of our sidecar does `near`
        mesh.register("near", near.port, {"far": made.to_far}, sidecar_port=ports["near"])
        mesh.register("far", far.port, sidecar_port=ports["far"])
        again = {"retry_on": "5xx", "num_retries": 3}
        calls = envoy_listener(
            made.to_near, ports["near"], dial=made.leaf("far"), accepts=(made.identity("near"),),
            filters=[connection_manager(ports["near"], route={"retry_policy": again})],
        )  # fmt: skip
        serves = envoy_listener(
            ports["far"], far.port, serve=made.leaf("far"),
            filters=[
                connection_manager(
                    far.port, http_rbac(made.identity("near"), prefix="/admin"),
                    forward_client_cert_details="SANITIZE_SET", set_current_client_cert_details={"uri": True},
                )
            ],
        )  # fmt: skip
        with envoy(folder, "envoy", calls, serves, port=made.to_near):
            mesh.start("near")
            ways = (made.to_near, made.to_far)
            agent.wait("first answers", lambda: all(ask(port).status == 200 for port in ways), within_s=PATIENCE_S)
            yield made


def every_framing(port: int, app: HttpApp) -> None:
    found = json.loads(ask(port, "/x/y?z=1&z=2", headers={"X-Own": "one"}).body)
    assert (found["app"], found["path"], found["headers"]["x-own"]) == (app.name, "/x/y?z=1&z=2", "one")
    assert ask(port, "/echo", "POST", BODY).body == BODY, "Content-Length"
    assert ask(port, "/echo", "POST", iter([BODY[:7], BODY[7:]])).body == BODY, "chunked"
    head = ask(port, "/", "HEAD")
    assert (head.status, head.headers["x-app"], head.body) == (200, app.name, b"")
    for status in (204, 304, 404, 500):
        assert ask(port, f"/status/{status}", "PUT").status == status
    assert ask(port).status == 200, "nothing is left over from an answer without a body"


def test_envoy_calls_a_service_behind_our_sidecar(world: HttpWorld) -> None:
    every_framing(world.to_near, world.near)
    forged = {"X-Forwarded-Client-Cert": "By=spiffe://evil;URI=spiffe://evil"}
    told = json.loads(ask(world.to_near, headers=forged).body)["headers"]["x-forwarded-client-cert"]
    near, far = (re.escape(world.identity(name)) for name in ("near", "far"))
    assert re.fullmatch(rf"By={near};Hash=[0-9a-f]{{64}};.*URI={far}", told)
    assert "evil" not in told
    world.near.failures = 0
    assert ask(world.to_near, "/flaky/2").text == "near 3", "Envoy tries again what our sidecar passes on as it is"


def test_our_intentions_are_answers_to_envoy(world: HttpWorld) -> None:
    permissions = [
        {"Action": "deny", "HTTP": {"PathPrefix": "/admin"}},
        {"Action": "allow", "HTTP": {"PathPrefix": "/", "Methods": ["GET"]}},
        {"Action": "deny", "HTTP": {"PathPrefix": "/"}},
    ]
    world.write(Kind="service-intentions", Name="near", Sources=[{"Name": "far", "Permissions": permissions}])
    world.agent.wait("the rules", lambda: ask(world.to_near, "/admin").status == 403, within_s=PATIENCE_S)
    denied = ask(world.to_near, "/admin/x?y")
    assert (denied.status, denied.body) == (403, b"RBAC: access denied")
    before = len(world.near.seen)
    assert ask(world.to_near, "/", "POST", BODY).status == 403
    assert world.near.seen[before:] == []
    assert ask(world.to_near).status == 200, "the connections of Envoy's pool are kept"
    assert world.agent.http("DELETE", "/v1/config/service-intentions/near").status == 200
    world.agent.wait("no rules", lambda: ask(world.to_near, "/admin").status == 200, within_s=PATIENCE_S)


def test_our_sidecar_calls_a_service_behind_envoy(world: HttpWorld) -> None:
    every_framing(world.to_far, world.far)
    told = json.loads(ask(world.to_far).body)["headers"]["x-forwarded-client-cert"]
    assert told.endswith(f"URI={world.identity('near')}"), "Envoy sees who we are"
    denied = ask(world.to_far, "/admin")
    assert (denied.status, denied.body) == (403, b"RBAC: access denied")


def test_our_routes_and_retries_before_envoy(world: HttpWorld) -> None:
    headers = {"RequestHeaders": {"Set": {"X-Set": "yes"}}, "ResponseHeaders": {"Remove": ["X-Secret"]}}
    routes = [
        {"Match": {"HTTP": {"PathPrefix": "/old/"}}, "Destination": {"PrefixRewrite": "/new/", **headers}},
        {"Match": {"HTTP": {"PathPrefix": "/flaky/"}}, "Destination": {"NumRetries": 3, "RetryOnStatusCodes": [503]}},
        {"Match": {"HTTP": {"PathPrefix": "/hang"}}, "Destination": {"RequestTimeout": "200ms"}},
    ]
    world.write(Kind="service-router", Name="far", Routes=routes)

    def path(asked: str) -> str:
        found: str = json.loads(ask(world.to_far, asked).body)["path"]
        return found

    world.agent.wait("the routes", lambda: path("/old/x?y=1") == "/new/x?y=1", within_s=PATIENCE_S)
    answer = ask(world.to_far, "/old/x")
    assert json.loads(answer.body)["headers"]["x-set"] == "yes"
    assert "x-secret" not in answer.headers
    world.far.failures = 0
    assert ask(world.to_far, "/flaky/2").text == "far 3"
    assert ask(world.to_far, "/hang").status == 504
    assert ask(world.to_far, "/reset").status == 503, "Envoy says that its application reset, and we say it on"
    assert ask(world.to_far).status == 200
