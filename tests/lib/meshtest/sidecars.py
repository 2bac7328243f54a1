"""I/O edge: services with real sidecars at one agent: applications that echo, and ways to reach them.

Used by tests/e2e. What may change here: further kinds of applications.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meshtest.process import AgentFailed, AgentProcess, free_ports, meshagent_command

__all__ = ["Echo", "Sidecars", "free_port"]


def free_port() -> int:
    """One that nothing listens on, and that no connection of this host is given meanwhile."""
    return free_ports(["port"])["port"]


class Echo:
    """An application: it says its name, echoes, and says BYE when the client has finished."""

    def __init__(self, name: bytes = b"") -> None:
        self.name = name
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        self.accepted = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                self.accepted += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self.name:
                connection.sendall(self.name)
            while data := connection.recv(65536):
                connection.sendall(data)
            connection.sendall(b"BYE")

    def close(self) -> None:
        self.server.close()


class Sidecars:
    """Registrations and proxy processes at one agent."""

    def __init__(self, agent: AgentProcess, folder: Path) -> None:
        self.agent = agent
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        #: Where their sockets are.
        self.place = agent.proxy_dir
        self.environ = {**os.environ, "MESHAGENT_PROXY_DIR": str(self.place), "CONSUL_HTTP_ADDR": agent.url}

    def register(self, name: str, port: int, upstreams: dict[str, int] | None = None, **more: Any) -> None:
        """A service with a sidecar; `upstreams` are local ports by service, `status` is the check's of the sidecar."""
        wanted = [{"DestinationName": to, "LocalBindPort": at} for to, at in (upstreams or {}).items()]
        proxy = {"Upstreams": wanted, **more.pop("proxy", {})}
        sidecar = {"Proxy": proxy, "Checks": [{"Name": "up", "TTL": "1h", "Status": more.pop("status", "passing")}]}
        if "sidecar_port" in more:
            sidecar["Port"] = more.pop("sidecar_port")
        definition = {"Name": name, "Port": port, "Connect": {"SidecarService": sidecar}, **more}
        assert self.agent.put("/v1/agent/service/register", definition).status == 200

    def passing(self, service_id: str) -> None:
        """The sidecar's check passes from now on."""
        assert self.agent.http("PUT", f"/v1/agent/check/pass/service:{service_id}-sidecar-proxy").status == 200

    def gateway(self, kind: str, name: str, port: int, **more: Any) -> subprocess.Popen[bytes]:
        """Register a gateway and run it until it is ready."""
        check = {"Name": "up", "TTL": "1h", "Status": "passing"}
        definition = {"Kind": kind, "Name": name, "Address": "127.0.0.1", "Port": port, "Check": check, **more}
        assert self.agent.put("/v1/agent/service/register", definition).status == 200
        return self.start(name, by="-proxy-id")

    def start(self, service_id: str, *flags: str, by: str = "-sidecar-for") -> subprocess.Popen[bytes]:
        """Run the sidecar of a service, or (`by` "-proxy-id") a gateway, and wait until it is ready."""
        log = self.folder / f"{service_id}.log"
        line = [*meshagent_command(), "connect", "proxy", by, service_id, "-http-addr", self.agent.url]
        with log.open("wb") as out:
            process = subprocess.Popen([*line, *flags], stdout=out, stderr=subprocess.STDOUT, env=self.environ)
        self.processes[service_id] = process
        try:
            self.agent.wait(
                f"the sidecar of {service_id}", lambda: "is ready to serve" in self.log(service_id), within_s=60.0
            )
        except AgentFailed as error:
            raise AgentFailed(f"{error}\nthe sidecar says:\n{self.log(service_id)[-2000:]}") from None
        return process

    def run(self, *words: str) -> str:
        """What a command prints that asks the agent, or with -local the sidecars of its host."""
        done = subprocess.run(
            [*meshagent_command(), *words], env=self.environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr or done.stdout
        return done.stdout

    def log(self, service_id: str) -> str:
        return (self.folder / f"{service_id}.log").read_text()

    def intention(self, source: str, destination: str, action: str) -> None:
        path = f"/v1/connect/intentions/exact?source={source}&destination={destination}"
        assert self.agent.put(path, {"Action": action}).status == 200

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


@contextlib.contextmanager
def sidecars(agent: AgentProcess, folder: Path) -> Iterator[Sidecars]:
    """Sidecars that end with the block."""
    running = Sidecars(agent, folder)
    try:
        yield running
    finally:
        running.stop()


def dial(port: int, timeout_s: float = 5.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=timeout_s)


def exchange(port: int, data: bytes = b"hello") -> bytes:
    """What a fresh connection echoes; b"" when it is refused or cut."""
    try:
        with dial(port) as connection:
            connection.sendall(data)
            return connection.recv(len(data))
    except OSError:
        return b""
