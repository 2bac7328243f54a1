"""I/O edge: `meshagent demo`: an agent and two services with real health checks, to look at and to try.

Source: our own. `make run` calls it, and a newcomer's first minute is this output. Everything runs on loopback, in
memory, in child processes that end with it. What may change here: what is shown.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import IO, Any

from meshagent.agent.cli.client import Client, Endpoint
from meshagent.agent.cli.flags import command, expect, switch
from meshagent.agent.cli.output import fail, on_terminal, say
from meshagent.clock import SystemClock
from meshagent.errors import MeshError

__all__ = ["demo"]

#: Consul's ports, taken when they are free, so that the lines to try are short.
_USUAL = {"http": 8500, "dns": 8600, "server": 8300, "serf-lan": 8301, "serf-wan": 8302, "grpc": 8502}
#: Where web reaches api in the demo of the mesh: the port of Consul's own tutorials.
_UPSTREAM = 9191
_START_TIMEOUT_S = 30.0
_CHECK_INTERVAL = "1s"


@command("demo", "[mesh]", "Run an agent and two demo services, and say what to try")
@switch("once", "End after showing what runs, in place of staying until Ctrl-C")
def demo(args: tuple[str, ...], once: bool) -> int:
    """Run an agent and two demo services on free loopback ports, wait until their checks pass, say what to try, and
    stay until Ctrl-C. `demo mesh` shows the mesh in the same way."""
    if args[1:] in {("-once",), ("--once",)}:  # as one reads it: `demo mesh -once`
        args, once = args[:1], True
    expect(args, 0, 1)
    if args:
        if args[0] != "mesh":
            raise fail(f"there is no demo of {args[0]}: there is one of mesh")
        return _mesh(once)
    with ExitStack() as stack:
        stop = stack.enter_context(_stop_signals())
        ports = _free_ports(_USUAL)
        log = stack.enter_context(tempfile.TemporaryFile())
        agent = stack.enter_context(_child(_agent_command(ports), log))
        client = Client(Endpoint(address=f"127.0.0.1:{ports['http']}"), timeout_s=5.0)
        _wait(stop, agent, log, "the agent to find a leader", lambda: client.get("status/leader"))
        for name, tags in (("web", ["v1", "demo"]), ("api", ["v2", "demo"])):
            port = _free_ports({name: 0})[name]
            stack.enter_context(_child([sys.executable, "-m", f"{__package__}.demo_service", name, str(port)], log))
            client.put("agent/service/register", value=_definition(name, port, tags))
        for name in ("web", "api"):
            passing = partial(client.get, f"health/service/{name}", {"passing": ""})
            _wait(stop, agent, log, f"{name} to pass its check", passing)
        say(_what_to_try(client, ports))
        if not once:
            _stay(stop, agent, log)
    return 0


def _mesh(once: bool) -> int:
    from meshagent.agent.cli import demo_collector, demo_mesh

    with ExitStack() as stack:
        stop = stack.enter_context(_stop_signals())
        ports = _free_ports(_USUAL)
        log = stack.enter_context(tempfile.TemporaryFile())
        managed = 'connect { builtin_proxy = "managed" }'
        sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="meshagent-demo-"))
        own = {**os.environ, "MESHAGENT_PROXY_DIR": sockets}  # another demo's sidecars have the same names
        say("Starting an agent with web, api (v1 twice, v2 once), and their sidecars in one process.")
        agent = stack.enter_context(_child([*_agent_command(ports), "-hcl", managed], log, own))
        client = Client(Endpoint(address=f"127.0.0.1:{ports['http']}"), timeout_s=10.0)
        wait = partial(_wait, stop, agent, log)
        wait("the agent to find a leader", lambda: client.get("status/leader"))
        names = {"web": "web", "api-v1-a": "api v1 (a)", "api-v1-b": "api v1 (b)", "api-v2": "api v2"}
        wanted = {**dict.fromkeys(names, 0), "upstream": _UPSTREAM, **{f"{name} sidecar": 0 for name in names}}
        free = _free_ports(wanted)
        for name, shown in names.items():
            words = [sys.executable, "-m", f"{__package__}.demo_service", shown, str(free[name])]
            stack.enter_context(_child(words, log))
        collector = stack.enter_context(demo_collector.collector())
        client.put("config", value=demo_mesh.entries(0)[0])
        client.put("config", value=demo_mesh.tracing(collector.url))
        sidecars = {name: free[f"{name} sidecar"] for name in names}
        for definition in demo_mesh.registrations(free, free["upstream"], sidecars):
            client.put("agent/service/register", value=definition)
        mesh = demo_mesh.MeshDemo(client, free, free["upstream"], sidecars["api-v1-a"], wait, collector)
        demo_mesh.started(mesh)
        demo_mesh.run(mesh)
        if not once:
            say("\nAll of it runs on. In another terminal:\n")
            say(_listed(demo_mesh.to_try(mesh, _program(sys.argv[0]), _where(ports))))
            _stay(stop, agent, log)
    return 0


def _stay(stop: threading.Event, agent: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """Return with Ctrl-C."""
    say("\nCtrl-C ends all of it.")
    while not stop.wait(0.5):
        if agent.poll() is not None:
            raise fail(f"the agent ended with status {agent.returncode}:\n{_tail(log)}")
    say("\nStopped.")


def _definition(name: str, port: int, tags: list[str]) -> dict[str, Any]:
    return {
        "Name": name,
        "Address": "127.0.0.1",
        "Port": port,
        "Tags": tags,
        "Meta": {"owner": "demo"},
        "Check": {
            "Name": f"{name} answers",
            "HTTP": f"http://127.0.0.1:{port}/health",
            "Interval": _CHECK_INTERVAL,
            "Timeout": "1s",
        },
    }


def _agent_command(ports: dict[str, int]) -> list[str]:
    flags = [f"-{name}-port={port}" for name, port in ports.items()]
    return [sys.executable, "-m", __package__ or "", "agent", "-dev", "-node=demo", "-log-level=info", *flags]


def _free_ports(usual: dict[str, int]) -> dict[str, int]:
    """For each name its usual port if it is free for TCP and UDP, else any other that is."""
    with ExitStack() as held:
        return {name: _take(port, held) for name, port in usual.items()}


def _take(port: int, held: ExitStack) -> int:
    for wanted in (port, *[0] * 20):
        tcp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        udp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind(("127.0.0.1", wanted))
            tcp.listen()
            found: int = tcp.getsockname()[1]
            udp.bind(("127.0.0.1", found))
        except OSError:
            continue
        return found
    raise fail("no free port on 127.0.0.1")


@contextmanager
def _child(
    words: list[str], log: IO[bytes], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process in a group of its own (Ctrl-C is ours to handle), ended when the block is left."""
    child = subprocess.Popen(  # noqa: S603
        words, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=environment
    )
    try:
        yield child
    finally:
        if child.stdin is not None:
            child.stdin.close()
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(
    stop: threading.Event, agent: subprocess.Popen[bytes], log: IO[bytes], what: str, ready: Callable[[], Any]
) -> None:
    clock = SystemClock()
    end = clock.monotonic() + _START_TIMEOUT_S
    last = ""
    while clock.monotonic() < end:
        if agent.poll() is not None:
            raise fail(f"the agent ended with status {agent.returncode}:\n{_tail(log)}")
        try:
            if ready():
                return
        except MeshError as error:
            last = f" ({error})"
        if stop.wait(0.05):
            raise KeyboardInterrupt
    raise fail(f"waited {_START_TIMEOUT_S:.0f} s for {what}{last}\n{_tail(log)}")


def _tail(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - 4000))
    return log.read().decode("utf-8", "replace").strip()


def _program(started_as: str) -> str:
    """How the command is typed in any folder."""
    if shutil.which("meshagent"):
        return "meshagent"
    if started_as.endswith(".py"):  # python -m
        return f"{sys.executable} -m {__package__}"
    return os.path.abspath(started_as)


def _where(ports: dict[str, int]) -> str:
    """The flag that leads commands to the agent, where it is needed."""
    return "" if ports["http"] == _USUAL["http"] else f" -http-addr=127.0.0.1:{ports['http']}"


def _what_to_try(client: Client, ports: dict[str, int]) -> str:
    program, where = _program(sys.argv[0]), _where(ports)
    web = client.get("health/service/web")[0]["Service"]
    lines = [
        ("DNS", f"dig @127.0.0.1 -p {ports['dns']} web.service.consul SRV"),
        ("", f"dig @127.0.0.1 -p {ports['dns']} v2.api.service.consul +short"),
        ("HTTP", f"curl 'http://127.0.0.1:{ports['http']}/v1/health/service/web?passing&pretty'"),
        ("", f"curl 'http://127.0.0.1:{ports['http']}/v1/catalog/services?pretty'"),
        ("", f"curl http://{web['Address']}:{web['Port']}/"),
        ("CLI", f"{program} health{where}"),
        ("", f"{program} catalog services -tags{where}"),
        ("", f"{program} kv put{where} greeting hello && {program} kv get{where} greeting"),
        ("", f"{program} monitor{where} -log-level=debug"),
        ("page", f"http://127.0.0.1:{ports['http']}/ui/"),
        ("mesh", f"{program} demo mesh"),
    ]
    return f"An agent runs on this machine, with two web services whose health it checks.\n\n{_listed(lines)}"


def _listed(lines: list[tuple[str, str]]) -> str:
    """Labels and what belongs to them; bold where a person looks."""
    bold, plain = ("\x1b[1m", "\x1b[0m") if on_terminal() else ("", "")
    return "\n".join(f"  {bold if label else ''}{label:<8}{plain if label else ''}{line}" for label, line in lines)
