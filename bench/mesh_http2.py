"""I/O edge: HTTP/2 and gRPC through a pair of sidecars, beside Envoy's HTTP connection manager in the same place.

h2load (8 connections, 10 requests at once on each) in front, nghttpd behind; a gRPC call is a POST of a message with
`te: trailers`, answered by a message and a `grpc-status` in trailers. `bench/run.py --row mesh_grpc_unary`.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from pathlib import Path

from meshtest import load
from meshtest.meshpeers import connection_manager, envoy, envoy_listener, http2_cluster
from meshtest.peers import running
from meshtest.process import free_ports

from bench.mesh import Mesh, beside
from bench.table import Bench, Figure, row

CONNECTIONS, STREAMS = 8, 10
MESSAGE = b"\0\0\0\0\x20" + b"x" * 32
#: Requests of one measurement for each second it may take, at the pace of the machines this was written on.
PER_SECOND = 6000


def h2load(port: int, seconds: float, message: Path | None) -> float:
    """Requests a second; refuses a run with any answer outside 2xx."""
    count = int(PER_SECOND * seconds)
    argv = [load.tool("h2load"), "-n", str(count), "-c", str(CONNECTIONS), "-m", str(STREAMS)]
    if message is not None:
        argv += ["-d", str(message), "-H", "content-type: application/grpc", "-H", "te: trailers"]
    text = load.run([*argv, f"http://127.0.0.1:{port}/message"], 120)
    good = re.search(r"status codes: (\d+) 2xx", text)
    pace = re.search(r"finished in .*, ([\d.]+) req/s", text)
    if good is None or pace is None or int(good[1]) != count:
        raise load.NotMeasured(text[-500:])
    return float(pace[1])


class Http2Mesh(Mesh):
    """Pairs in front of nghttpd."""

    def _serve(self) -> None:
        folder = self.directory / "files"
        folder.mkdir()
        self.message = folder / "message"
        self.message.write_bytes(MESSAGE)
        argv = [load.tool("nghttpd"), "--no-tls", "-d", str(folder), "--trailer", "grpc-status: 0", str(self.backend)]
        self.stack.enter_context(running(argv, self.directory, port=self.backend))

    def _answers(self, kind: str) -> bool:
        argv = [load.tool("h2load"), "-n", "1", f"http://127.0.0.1:{self._ports[kind]}/message"]
        return b"1 succeeded" in subprocess.run(argv, capture_output=True, check=False).stdout

    def _ours(self) -> int:
        agent = self.sidecars.agent
        defaults = {"Kind": "service-defaults", "Name": "api", "Protocol": "grpc"}
        assert agent.put("/v1/config", defaults).status == 200
        return super()._ours()

    def _envoy(self) -> int:
        ports = free_ports(["out", "in"])
        leafs, common = self._leafs, {"alpn_protocols": ["h2"]}
        cluster = http2_cluster()
        serve = envoy_listener(
            ports["in"], self.backend, serve=leafs["api"], common=common, cluster=cluster,
            filters=[connection_manager(self.backend)],
        )  # fmt: skip
        dial = envoy_listener(
            ports["out"], ports["in"], dial=leafs["web"], accepts=(self._domain.identity("api"),), common=common,
            cluster=cluster, filters=[connection_manager(ports["in"])],
        )  # fmt: skip
        self.stack.enter_context(envoy(self.directory, "envoy-api", serve, port=ports["in"]))
        self.stack.enter_context(envoy(self.directory, "envoy-web", dial, port=ports["out"]))
        return ports["out"]


def _measured(bench: Bench, grpc: bool) -> Figure:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-http2-"))
        world = Http2Mesh(Path(folder), stack)
        message = world.message if grpc else None
        return beside(bench, world, lambda port: h2load(port, bench.seconds, message), "r/s", ("envoy",), "envoy")


@row("L7 HTTP/2 through the pair, 8 connections with 10 requests each", 0.3, asked_for=True)
def mesh_http2(bench: Bench) -> Figure:
    return _measured(bench, grpc=False)


@row("L7 gRPC unary through the pair, 8 connections with 10 calls each", 0.3, asked_for=True)
def mesh_grpc_unary(bench: Bench) -> Figure:
    return _measured(bench, grpc=True)
