"""web -> two instances of api, with real sidecars: one dies, is ejected or fails its active check, and comes back.

Surface rows M25, M75.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from meshtest.process import AgentProcess
from meshtest.sidecars import Echo, Sidecars, dial, free_port, sidecars


def names(port: int, times: int = 10) -> Counter[bytes]:
    """Which instances answer; b"" is a connection that was cut."""
    found: Counter[bytes] = Counter()
    for _ in range(times):
        try:
            with dial(port) as connection:
                found[connection.recv(2)] += 1
        except OSError:
            found[b""] += 1
    return found


def start(agent: AgentProcess, mesh: Sidecars, config: dict[str, Any]) -> int:
    agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
    port = free_port()
    for name in ("a1", "a2"):
        mesh.register("api", Echo(name.encode()).port, ID=name, sidecar_port=free_port())
        mesh.start(name)
    upstream = {"DestinationName": "api", "LocalBindPort": port, "Config": config}
    mesh.register("web", free_port(), proxy={"Upstreams": [upstream]})
    mesh.start("web")
    agent.wait("both", lambda: set(names(port)) == {b"a1", b"a2"})
    assert set(names(port)) == {b"a1", b"a2"}
    return port


def test_an_instance_that_dies_is_ejected_and_comes_back(agent: AgentProcess, tmp_path: Path) -> None:
    config = {"passive_health_check": {"max_failures": 2, "max_ejection_percent": 100, "base_ejection_time": "1h"}}
    with sidecars(agent, tmp_path) as mesh:
        port = start(agent, mesh, config)
        mesh.processes["a2"].kill()
        mesh.processes["a2"].wait()
        assert names(port) == {b"a1": 10}, "the application never notices"
        agent.wait("ejection", lambda: "instance ejected" in mesh.log("web"))
        assert "id=a2-sidecar-proxy" in mesh.log("web")
        assert "2 failures in a row" in mesh.log("web")
        mesh.start("a2")
        # It is dialled again beside the traffic: nobody waits for the end of its ejection.
        agent.wait("both again", lambda: set(names(port, 4)) == {b"a1", b"a2"}, within_s=60)
        assert "it takes connections" in mesh.log("web")


def test_an_active_check_takes_an_instance_out_without_traffic(agent: AgentProcess, tmp_path: Path) -> None:
    config = {
        "health_check": {"interval": "200ms", "unhealthy_threshold": 1, "healthy_threshold": 1},
        "passive_health_check": {"enforcing_consecutive_5xx": 0},
    }
    with sidecars(agent, tmp_path) as mesh:
        port = start(agent, mesh, config)
        mesh.processes["a2"].kill()
        mesh.processes["a2"].wait()
        agent.wait("the check", lambda: "instance check fails" in mesh.log("web"), within_s=30)
        assert names(port) == {b"a1": 10}
        mesh.start("a2")
        agent.wait("the check again", lambda: "instance check passes" in mesh.log("web"), within_s=30)
        agent.wait("both again", lambda: set(names(port)) == {b"a1", b"a2"}, within_s=30)
