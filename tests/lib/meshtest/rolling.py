"""I/O edge: deploys one instance after the other behind a mesh under load, the way they lose nothing.

Out: deregister, wait until who calls it knows, stop the sidecar, which drains, then the application. In: register with
a failing check, start, `connect wait`, and only then let the check pass. Used by tests/e2e and bench.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable

from meshtest.process import meshagent_command
from meshtest.sidecars import Sidecars, free_port

__all__ = ["Rolling"]

#: How long a sidecar lets open connections go on.
_DRAIN = "20s"


class Rolling:
    """Instances of one service, called through the sidecar of another one."""

    def __init__(
        self, mesh: Sidecars, service: str, caller: str, application: Callable[[], tuple[int, Callable[[], None]]]
    ):
        """`application` starts one and gives its port and what stops it."""
        self.mesh = mesh
        self.service = service
        self.caller = caller
        self._application = application
        self._stops: dict[str, Callable[[], None]] = {}
        self._generation = 0

    def begin(self, instance: str) -> None:
        """A new process of this instance takes part; returns when the caller knows it."""
        port, stop = self._application()
        self._generation += 1
        meta = {"generation": str(self._generation)}
        self.mesh.register(self.service, port, ID=instance, Meta=meta, sidecar_port=free_port(), status="critical")
        self.mesh.start(instance, "-drain-time", _DRAIN)
        line = [*meshagent_command(), "connect", "wait", "-http-addr", self.mesh.agent.url, instance]
        subprocess.run(line, check=True, capture_output=True, timeout=90)
        self.mesh.passing(instance)
        self._stops[instance] = stop

    def end(self, instance: str) -> None:
        """Take the instance away; returns when its processes have ended."""
        process = self.mesh.processes.pop(instance)
        agent = self.mesh.agent
        assert agent.http("PUT", f"/v1/agent/service/deregister/{instance}").status == 200
        agent.wait(f"{self.caller} to know", lambda: instance not in self.known(), within_s=60)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        self._stops.pop(instance)()

    def deploy(self, instance: str) -> None:
        """The old process goes, a new one comes."""
        self.end(instance)
        self.begin(instance)
        self.mesh.agent.wait(f"{self.caller} to know", lambda: instance in self.known(), within_s=60)

    def known(self) -> set[str]:
        """The instances that the caller is told of."""
        path = f"/v1/agent/connect/proxy/{self.caller}-sidecar-proxy"
        clusters = self.mesh.agent.get(path)["clusters"].values()
        ids = {endpoint["id"] for cluster in clusters for endpoint in cluster["endpoints"]}
        return {one.removesuffix("-sidecar-proxy") for one in ids}

    def stop(self) -> None:
        """Stop the applications."""
        for stop in self._stops.values():
            stop()
        self._stops.clear()
