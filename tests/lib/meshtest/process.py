"""I/O edge: real agent processes on free loopback ports, each in its own directory, with their logs kept.

Used by tests/conformance, tests/e2e, tests/interop and bench. Only processes started here are ever signalled, by pid
(the agent leads its own process group, so its script checks go with it).
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from meshtest.clients import dns_exchange, http_request, json_body
from meshtest.golden import Answer

PORT_NAMES = ("http", "dns", "server", "serf_lan", "serf_wan", "grpc", "grpc_tls")
PORT_RANGE = (23_000, 31_900)
"""Below the kernel's ephemeral range (32768 up), above Consul's sidecar range (21000-21255)."""

READY_S = 60.0
STOP_S = 10.0

_libc = ctypes.CDLL(None, use_errno=True)
_started: set[subprocess.Popen[bytes]] = set()
#: Ports that this process has given out: who has one may not listen yet.
_given: set[int] = set()


class AgentFailed(AssertionError):
    """The agent did not start, was not ready in time, or died."""


def meshagent_command() -> list[str]:
    """How tests start the daemon: the console script beside this Python, or `$MESHAGENT_COMMAND`."""
    if given := os.environ.get("MESHAGENT_COMMAND"):
        return given.split()
    script = Path(sys.executable).parent / "meshagent"
    return [str(script)] if script.exists() else [sys.executable, "-c", "from meshagent.agent.cli import main; main()"]


def free_ports(names: Sequence[str] = PORT_NAMES) -> dict[str, int]:
    """A port for each name that is free on TCP and UDP now, from outside the ephemeral range."""
    chance = random.Random(os.urandom(8))
    slices, mine = 4, _worker() % 4  # who runs tests beside others never draws a port that they have just drawn
    width = (PORT_RANGE[1] - PORT_RANGE[0]) // slices
    first = PORT_RANGE[0] + mine * width
    if len(_given) > width // 2:
        _given.clear()
    ports: dict[str, int] = {}
    held: list[socket.socket] = []
    try:
        while len(ports) < len(names):
            port = chance.randrange(first, first + width)
            if port in _given:
                continue
            try:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    sock = socket.socket(socket.AF_INET, kind)
                    held.append(sock)
                    sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            ports[names[len(ports)]] = port
    finally:
        for sock in held:
            sock.close()
    return ports


def _worker() -> int:
    """The number of this process among those that share a run of tests."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@functools.cache
def _first_sidecar_port() -> int:
    """Where a hundred ports begin of which nobody else on this machine uses the first."""
    blocks = [21_000 + 100 * number for number in range(_worker(), 40, 10)]
    for first in blocks:
        try:
            for port in range(first, first + 20):
                with socket.socket() as sock:
                    sock.bind(("0.0.0.0", port))
        except OSError:
            continue
        return first
    raise AgentFailed(f"others use ports of all these hundreds: {blocks}")


def sidecar_ports() -> dict[str, int]:
    """The range from which an agent gives its sidecars ports: one for each process that runs tests beside others."""
    first = _first_sidecar_port()
    return {"sidecar_min_port": first, "sidecar_max_port": first + 99}


class AgentProcess:
    """One running agent. Use as a context manager; `config` is written to a file and given as `-config-file`."""

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        command: Sequence[str] | None = None,
        args: Sequence[str] | None = None,
        ports: Mapping[str, int] | None = None,
        directory: Path | None = None,
        env: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self.address = address
        self.command = list(command or meshagent_command())
        self.ports = dict(ports or free_ports())
        self._own_directory = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="meshtest-"))
        self.config = dict(config) if config is not None else None
        self._args = list(args) if args is not None else None
        #: Where it finds the sidecars of its host, which no other agent of these tests shares.
        self.proxy_dir = self.directory / "p"
        self._env = {"MESHAGENT_PROXY_DIR": str(self.proxy_dir), **(env or {})}
        self.log_path = self.directory / "agent.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    @classmethod
    def server(cls, extra: Mapping[str, Any] | None = None, **more: Any) -> AgentProcess:
        """A single durable server with everything on loopback: what most tests want."""
        ports = dict(more.pop("ports", None) or free_ports())
        directory = more.pop("directory", None) or Path(tempfile.mkdtemp(prefix="meshtest-"))
        config: dict[str, Any] = {
            "server": True,
            "bootstrap_expect": 1,
            "node_name": "n1",
            "datacenter": "dc1",
            "data_dir": str(directory / "data"),
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "log_level": "INFO",
            "performance": {"raft_multiplier": 1},
            "disable_update_check": True,
            "ports": {**ports, **sidecar_ports()},
        }
        config.update(extra or {})
        agent = cls(config, ports=ports, directory=directory, **more)
        agent._own_directory = True
        return agent

    # -- life ----------------------------------------------------------------------------------------------------

    def argv(self) -> list[str]:
        if self._args is not None:
            return [*self.command, *self._args]
        return [*self.command, "agent", "-config-file", str(self.directory / "agent.json")]

    def start(self, *, ready: bool = True) -> AgentProcess:
        assert self.process is None or self.process.poll() is not None, "it is running"
        if self.config is not None:
            (self.directory / "agent.json").write_text(json.dumps(self.config, indent=1))
        # Bytecode is written as on a user's host: without it every start compiles the whole program.
        foreign = ("CONSUL_", "NOTIFY_", "PYTHONDONTWRITEBYTECODE")
        env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        with self.log_path.open("ab") as log:
            self.started_at = time.monotonic()
            self.process = subprocess.Popen(
                self.argv(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env={**env, "PYTHONUNBUFFERED": "1", **self._env},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        _started.add(self.process)
        if ready:
            try:
                self.wait_ready()
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self, *, grace_s: float = STOP_S) -> int:
        """SIGTERM, then SIGKILL for what is left of its group; the exit status."""
        process = self.process
        if process is None:
            return 0
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace_s)
        _end_group(process)
        return process.wait(5)

    def kill(self) -> None:
        """kill -9, as a power loss does to the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(5)
            _end_group(self.process)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def __enter__(self) -> AgentProcess:
        return self if self.alive else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._own_directory and not os.environ.get("MESHTEST_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)

    # -- asking --------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.ports['http']}"

    def http(self, method: str, path: str, *, json: Any = None, body: bytes | None = None, **more: Any) -> Answer:
        data = json_body(json) if json is not None else body
        return http_request((self.address, self.ports["http"]), method, path, body=data, **more)

    def get(self, path: str, **more: Any) -> Any:
        """The JSON of a GET that must answer 200."""
        answer = self.http("GET", path, **more)
        assert answer.status == 200, f"GET {path}: {answer.status} {answer.body[:500]!r}"
        return json.loads(answer.body)

    def put(self, path: str, value: Any = None, **more: Any) -> Answer:
        answer = self.http("PUT", path, json=value, **more)
        assert answer.status == 200, f"PUT {path}: {answer.status} {answer.body[:500]!r}"
        return answer

    def dns(self, packet: bytes, **more: Any) -> bytes | None:
        return dns_exchange((self.address, self.ports["dns"]), packet, **more)

    # -- waiting -------------------------------------------------------------------------------------------------

    def wait(self, what: str, condition: Callable[[], Any], *, within_s: float = 60.0, every_s: float = 0.05) -> Any:
        """Poll until the condition holds (OSError counts as not yet). Fails with `what` and the end of the log."""
        deadline = time.monotonic() + within_s
        problem: object = None
        while True:
            try:
                if found := condition():
                    return found
                problem = found
            except (OSError, AssertionError) as error:
                problem = error
            if not self.alive:
                raise AgentFailed(
                    f"the agent ended with {self.process and self.process.returncode}:\n{self.log()[-4000:]}"
                )
            if time.monotonic() > deadline:
                raise AgentFailed(f"not within {within_s} s: {what} (last: {problem!r})\n{self.log()[-4000:]}")
            time.sleep(every_s)

    def wait_ready(self, within_s: float = READY_S) -> None:
        self.wait("a leader", lambda: self.get("/v1/status/leader", timeout_s=2.0), within_s=within_s)


def _die_with_parent() -> None:
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no stray agents when a test run is killed


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    _started.discard(process)


@atexit.register
def _end_all() -> None:
    for process in list(_started):
        _end_group(process)
