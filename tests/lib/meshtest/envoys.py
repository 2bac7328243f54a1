"""I/O edge: real Envoys that `meshagent connect envoy` starts and an agent configures; what they hold and count.

What may change here: further looks at their administration interface.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meshtest.meshpeers import envoy_program
from meshtest.peers import Peer, wait_until
from meshtest.process import AgentProcess, _die_with_parent, _end_group, _started, free_ports, meshagent_command

__all__ = ["Envoys", "envoys"]

#: Words for Envoy that make a small one.
_SMALL = ("--concurrency", "1", "-l", "warning")


class Envoys:
    """Envoys at one agent, each with an administration port of its own."""

    def __init__(self, agent: AgentProcess, folder: Path) -> None:
        self.agent = agent
        self.folder = folder
        self.running: dict[str, Peer] = {}
        self.admin: dict[str, int] = {}

    def start(self, name: str, *flags: str) -> None:
        """Run `connect envoy` with some flags, by default as the sidecar of the service `name`."""
        admin = self.admin[name] = free_ports(["admin"])["admin"]
        line = [
            *meshagent_command(), "connect", "envoy", *(flags or ("-sidecar-for", name)),
            "-http-addr", self.agent.url, "-grpc-addr", f"127.0.0.1:{self.agent.ports['grpc']}",
            "-admin-bind", f"127.0.0.1:{admin}", "-envoy-binary", envoy_program(), "--", *_SMALL,
        ]  # fmt: skip
        log = self.folder / f"{name}.envoy.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                line, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_die_with_parent
            )
        _started.add(process)
        self.running[name] = Peer(process, log)

    def ready(self, *names: str) -> None:
        """Each holds what the agent has told it."""
        for name in names or tuple(self.running):
            peer = self.running[name]
            peer.wait(f"the Envoy {name} is live", lambda name=name: self.get(name, "/ready").strip() == "LIVE")  # type: ignore[misc]

    def get(self, name: str, path: str) -> str:
        """What its administration interface answers; 503 of `/ready` counts as text, too."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin[name]}{path}", timeout=30) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def stats(self, name: str, expression: str) -> dict[str, int]:
        """Its counters and gauges whose names match."""
        found = json.loads(self.get(name, f"/stats?format=json&filter={expression}"))["stats"]
        return {one["name"]: one["value"] for one in found if "value" in one}

    def rejected(self) -> dict[str, int]:
        """What any of them did not accept; empty when all is well."""
        found = {}
        for name in self.running:
            for stat, value in self.stats(name, "update_rejected").items():
                if value:
                    found[f"{name} {stat}"] = value
        return found

    def holds(self, name: str) -> dict[str, dict[str, Any]]:
        """Its dynamic resources: {"listeners": {name: resource}, "clusters", "routes", "endpoints"}."""
        dump = json.loads(self.get(name, "/config_dump?include_eds"))
        found: dict[str, dict[str, Any]] = {"listeners": {}, "clusters": {}, "routes": {}, "endpoints": {}}
        for part in dump["configs"]:
            for one in part.get("dynamic_listeners", ()):
                if "active_state" in one:
                    found["listeners"][one["name"]] = one["active_state"]["listener"]
            for one in part.get("dynamic_active_clusters", ()):
                found["clusters"][one["cluster"]["name"]] = one["cluster"]
            for one in part.get("dynamic_route_configs", ()):
                if "version_info" in one:  # those inside a listener have none
                    found["routes"][one["route_config"]["name"]] = one["route_config"]
            for one in part.get("dynamic_endpoint_configs", ()):
                found["endpoints"][one["endpoint_config"]["cluster_name"]] = one["endpoint_config"]
        return found

    def log(self, name: str) -> str:
        return self.running[name].log()

    def wait(self, what: str, condition: Any, within_s: float = 60.0) -> Any:
        """As the agent's, with the logs of all Envoys when it does not come about."""

        def logs() -> str:
            texts = [f"--- {name}\n{peer.log()[-1500:]}" for name, peer in self.running.items()]
            return "\n".join([*texts, "--- agent", self.agent.log()[-3000:]])

        return wait_until(what, condition, within_s=within_s, log=logs)

    def stop(self) -> None:
        for peer in self.running.values():
            peer.process.terminate()
        for peer in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                peer.process.wait(10)
            _end_group(peer.process)
            peer.process.wait(5)
        self.running.clear()


@contextlib.contextmanager
def envoys(agent: AgentProcess, folder: Path) -> Iterator[Envoys]:
    """Envoys that end with the block."""
    found = Envoys(agent, folder)
    try:
        yield found
    finally:
        found.stop()
