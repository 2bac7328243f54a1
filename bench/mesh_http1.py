"""I/O edge: HTTP/1.1 through a pair of sidecars, beside Envoy's HTTP connection manager in the same place.

wrk with 32 keep-alive connections in front, nginx behind, one route. `bench/run.py --row mesh_http1`.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from meshtest import load
from meshtest.meshpeers import envoy, envoy_listener
from meshtest.process import free_ports

from bench.mesh import Mesh, beside
from bench.mesh_http2 import connection_manager
from bench.table import Bench, Figure, row


class Http1Mesh(Mesh):
    """Pairs that understand requests."""

    def _ours(self) -> int:
        defaults = {"Kind": "service-defaults", "Name": "api", "Protocol": "http"}
        assert self.sidecars.agent.put("/v1/config", defaults).status == 200
        return super()._ours()

    def _envoy(self) -> int:
        ports = free_ports(["out", "in"])
        serve = envoy_listener(
            ports["in"], self.backend, serve=self._leafs["api"], filters=[connection_manager(self.backend)]
        )
        dial = envoy_listener(
            ports["out"], ports["in"], dial=self._leafs["web"], accepts=(self._domain.identity("api"),),
            filters=[connection_manager(ports["in"])],
        )  # fmt: skip
        self.stack.enter_context(envoy(self.directory, "envoy-api", serve, port=ports["in"]))
        self.stack.enter_context(envoy(self.directory, "envoy-web", dial, port=ports["out"]))
        return ports["out"]


@row("L7 HTTP/1.1 keep-alive through the pair, 32 clients", 1.0, asked_for=True)
def mesh_http1(bench: Bench) -> Figure:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-http1-"))
        world = Http1Mesh(Path(folder), stack)
        return beside(bench, world, lambda port: load.wrk(port, "/", bench.seconds), "r/s", ("envoy",), "direct")


@row("L7 HTTP/1.1 keep-alive, 32 clients: the slowest in a hundred", 1.5, at_most=True, asked_for=True)
def mesh_http1_p99(bench: Bench) -> Figure:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-http1-"))
        world = Http1Mesh(Path(folder), stack)
        return beside(bench, world, lambda port: load.wrk_p99(port, "/", bench.seconds), "ms", ("envoy",), "direct")
