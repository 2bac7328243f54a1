"""I/O edge: tools that live on a catalog, built and run against agents of ours (`make tools`; minutes, and go).

Traefik with consulCatalog and Connect, consul-esm, Fabio, registrator (with a stand-in for Docker's API). What they
ask is kept in tests/data/tool_calls with --record; CI replays it (tests/interop/test_tool_calls.py), surface rows V4
and V7.

    tests/interop/tools/run.py [--sources DIR] [--record] [TOOL ...]

What may change here: further tools, a function each in `TOOLS`.
"""

from __future__ import annotations

import argparse
import http.server
import json
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "lib"))
sys.path.insert(0, str(Path(__file__).parent))

from build import build
from meshtest import ROOT
from meshtest.backends import backends
from meshtest.callrecorder import CallRecorder
from meshtest.httpapp import HttpApp
from meshtest.peers import running
from meshtest.process import AgentProcess, free_ports
from meshtest.register import http_checked, register
from meshtest.sidecars import free_port, sidecars

RECORDINGS = ROOT / "tests" / "data" / "tool_calls"


def status_of(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def traefik(program: Path, agent: AgentProcess, recorder: CallRecorder, folder: Path) -> None:
    """Plain and mesh services are routed; an intention closes the way and opens it."""
    ports = free_ports(["web", "admin"])
    config = folder / "traefik.yml"
    config.write_text(
        json.dumps(
            {
                "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
                "entryPoints": {
                    "web": {"address": f"127.0.0.1:{ports['web']}"},
                    "traefik": {"address": f"127.0.0.1:{ports['admin']}"},
                },
                "providers": {
                    "consulCatalog": {
                        "endpoint": {"address": f"127.0.0.1:{recorder.port}", "scheme": "http"},
                        "refreshInterval": "1s", "exposedByDefault": False, "connectAware": True,
                        "serviceName": "traefik",
                    }
                },
            }
        )
    )  # fmt: skip
    with sidecars(agent, folder) as mesh, backends("b1") as (one,):
        assert agent.put("/v1/config", {"Kind": "service-defaults", "Name": "api", "Protocol": "http"}).status == 200
        register(
            agent, http_checked(one, Tags=["traefik.enable=true", "traefik.http.routers.web.rule=PathPrefix(`/`)"])
        )
        tags = ["traefik.enable=true", "traefik.consulcatalog.connect=true",
                "traefik.http.routers.api.rule=PathPrefix(`/headers`)"]  # fmt: skip
        mesh.register("api", HttpApp("api").port, Tags=tags)
        mesh.start("api")
        with running([str(program), f"--configFile={config}"], folder, port=ports["web"]) as peer:
            peer.wait("the plain service", lambda: status_of(ports["web"], "/") == 200, within_s=60)
            peer.wait("the mesh service", lambda: status_of(ports["web"], "/headers") == 200, within_s=60)
            mesh.intention("traefik", "api", "deny")
            peer.wait("the denial", lambda: status_of(ports["web"], "/headers") in {403, 502}, within_s=60)
            mesh.intention("traefik", "api", "allow")
            peer.wait("the way back", lambda: status_of(ports["web"], "/headers") == 200, within_s=60)


def consul_esm(program: Path, agent: AgentProcess, recorder: CallRecorder, folder: Path) -> None:
    """An external node's check is run, its status is written, its round trip becomes a coordinate."""
    config = folder / "esm.hcl"
    config.write_text(f"""
        instance_id = "esm-1"
        http_addr = "127.0.0.1:{recorder.port}"
        client_address = "127.0.0.1:{free_port()}"
        external_node_meta {{ "external-node" = "true" }}
        node_probe_interval = "1s"
        ping_type = "udp"
    """)
    with backends("b1") as (one,), running([str(program), f"-config-file={config}"], folder) as peer:
        check = {"HTTP": f"http://127.0.0.1:{one.port}/health", "Interval": "1s", "Timeout": "5s"}
        body = {
            "Node": "external", "Address": "127.0.0.1",
            "NodeMeta": {"external-node": "true", "external-probe": "true"},
            "Service": {"ID": "www", "Service": "www", "Port": one.port},
            "Checks": [
                {"Name": "http", "CheckID": "www", "Status": "critical", "ServiceID": "www", "Definition": check},
            ],
        }  # fmt: skip
        assert agent.put("/v1/catalog/register", body).status == 200
        peer.wait("the service", lambda: bool(agent.get("/v1/health/service/www?passing")), within_s=90)
        peer.wait("the node", lambda: _alive(agent), within_s=90)


def _alive(agent: AgentProcess) -> bool:
    checks = {one["CheckID"]: one["Status"] for one in agent.get("/v1/health/node/external")}
    return checks.get("externalNodeHealth") == "passing"


def fabio(program: Path, agent: AgentProcess, recorder: CallRecorder, folder: Path) -> None:
    """A tag becomes a route; a check that fails takes it away."""
    ports = free_ports(["proxy", "ui"])
    argv = [
        str(program), "-registry.consul.addr", f"127.0.0.1:{recorder.port}",
        "-proxy.addr", f"127.0.0.1:{ports['proxy']}", "-ui.addr", f"127.0.0.1:{ports['ui']}",
        "-registry.consul.register.addr", f"127.0.0.1:{ports['ui']}",
    ]  # fmt: skip
    with backends("b1") as (one,):
        register(agent, http_checked(one, Tags=["urlprefix-/web"]))
        with running(argv, folder, port=ports["proxy"]) as peer:
            peer.wait("the route", lambda: status_of(ports["proxy"], "/web") == 200, within_s=60)
            assert agent.http("PUT", "/v1/agent/service/maintenance/b1?enable=true").status == 200
            peer.wait("the route to be gone", lambda: status_of(ports["proxy"], "/web") == 404, within_s=60)


def registrator(program: Path, agent: AgentProcess, recorder: CallRecorder, folder: Path) -> None:
    """A container that runs is registered; one that has stopped is deregistered."""
    docker = Docker()
    argv = ["env", f"DOCKER_HOST=tcp://127.0.0.1:{docker.port}", str(program), "-ip", "127.0.0.1", "-resync", "2",
            "-cleanup", f"consul://127.0.0.1:{recorder.port}"]  # fmt: skip
    with running(argv, folder) as peer:
        peer.wait("the container", lambda: bool(agent.get("/v1/catalog/service/app")), within_s=60)
        docker.stopped.set()
        peer.wait("its end", lambda: not agent.get("/v1/catalog/service/app"), within_s=60)


class Docker:
    """As much of the Engine API as registrator asks of it: one container with a published port."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        docker = self
        container = {
            "Id": "c0ffee" * 10, "Name": "/app-1", "State": {"Running": True},
            "Config": {"Hostname": "h", "Image": "app:1", "Env": ["SERVICE_TAGS=a,b"], "Labels": {}},
            "HostConfig": {"NetworkMode": "default", "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}},
            "NetworkSettings": {
                "IPAddress": "172.17.0.2", "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]},
            },
        }  # fmt: skip

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if "/events" in self.path:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    docker.stopped.wait(300)
                    event = json.dumps({"status": "die", "id": container["Id"], "Type": "container"}).encode() + b"\n"
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
                    threading.Event().wait(300)
                    return
                found: Any = {"Version": "20.10.0", "ApiVersion": "1.41"}
                if "/containers/json" in self.path:
                    found = (
                        [{"Id": container["Id"], "Names": ["/app-1"], "Image": "app:1"}]
                        if not docker.stopped.is_set()
                        else []
                    )
                elif "/containers/" in self.path:
                    found = container
                data = json.dumps(found).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None: ...

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()


TOOLS: dict[str, Callable[[Path, AgentProcess, CallRecorder, Path], None]] = {
    "traefik": traefik,
    "consul-esm": consul_esm,
    "fabio": fabio,
    "registrator": registrator,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sources", type=Path, help="folder with checkouts of consul-esm, fabio, registrator")
    parser.add_argument("--record", action="store_true", help="keep the calls in tests/data/tool_calls")
    parser.add_argument("tools", nargs="*", default=list(TOOLS))
    given = parser.parse_args()
    for tool in given.tools:
        program = build(tool, given.sources)
        with tempfile.TemporaryDirectory() as folder, AgentProcess.server({}) as agent:
            agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
            recorder = CallRecorder(("127.0.0.1", agent.ports["http"]))
            TOOLS[tool](program, agent, recorder, Path(folder))
            recorder.close()
        wrong = [call for call in recorder.calls if call["status"] >= 500]
        print(f"{tool}: runs; {len(recorder.calls)} different calls, {len(wrong)} answered with 5xx")
        for call in wrong:
            print(f"  {call['status']} {call['method']} {call['path']}")
        if given.record:
            RECORDINGS.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"tool": tool, "calls": recorder.calls}, indent=1) + "\n"
            (RECORDINGS / f"{tool}.json").write_text(text)


if __name__ == "__main__":
    main()
