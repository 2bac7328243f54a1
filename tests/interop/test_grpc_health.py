"""A real gRPC health server (grpcio) as the target of our gRPC check (surface K*: grpc)."""

from __future__ import annotations

from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from meshtest.process import AgentProcess
from meshtest.register import register, wait_passing

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def test_the_check_follows_the_servers_health(agent: AgentProcess) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    servicer.set("api", SERVING)
    server.start()
    try:
        check = {"CheckID": "api-grpc", "GRPC": f"127.0.0.1:{port}/api", "Interval": "1s", "Timeout": "2s"}
        register(agent, {"Name": "api", "ID": "api1", "Port": port, "Check": check})
        whole = {"CheckID": "whole-grpc", "GRPC": f"127.0.0.1:{port}", "Interval": "1s", "Timeout": "2s"}
        register(agent, {"Name": "whole", "ID": "whole1", "Port": port, "Check": whole})
        wait_passing(agent, "api1", name="api")
        wait_passing(agent, "whole1", name="whole")
        servicer.set("api", NOT_SERVING)
        wait_passing(agent, name="api")
        wait_passing(agent, "whole1", name="whole")  # the server as a whole is still well
        servicer.set("api", SERVING)
        wait_passing(agent, "api1", name="api")
    finally:
        server.stop(0).wait()
    wait_passing(agent, name="api")
    outputs = [check["Output"] for check in agent.get("/v1/health/checks/api")]
    assert outputs
    assert all(outputs), "a refused connection is explained in the check's output"
