"""All check types: one row each.

Source: surface rows K10-K19. A row names the kind (`Check.type` in the catalog), what prepares its probe, how many of
its kind may run at once (`Lane`), a line of help and an example in the form of the HTTP API. Types that are not probed
(ttl is told, alias looks at other checks) have no `prepare`; the scheduler drives them.

To add a type: one module with `prepare(definition, tools) -> Probe`, one row here, one test file. Kinds are never
renamed: they are in catalogs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from meshagent.agent.checks.definition import Definition
from meshagent.agent.checks.probe import Probe, Tools
from meshagent.agent.checks.schedule import Lane

__all__ = ["CHECK_TYPES", "CheckType"]


@dataclass(frozen=True, slots=True)
class CheckType:
    """One row."""

    kind: str
    lane: Lane
    prepare: Callable[[Definition, Tools], Probe] | None
    help: str
    example: dict[str, Any]


def _late(module: str) -> Callable[[Definition, Tools], Probe]:
    """`prepare` of a module, which is imported with the first check of its kind: a host has two or three kinds."""

    def prepare(definition: Definition, tools: Tools) -> Probe:
        probe: Probe = import_module(f"meshagent.agent.checks.{module}").prepare(definition, tools)
        return probe

    return prepare


_ROWS = (
    CheckType(
        "ttl",
        Lane.AT_ONCE,
        None,
        "the service reports its own health; silence for longer than TTL is critical",
        {"Name": "job", "TTL": "30s"},
    ),
    CheckType(
        "alias",
        Lane.AT_ONCE,
        None,
        "as healthy as another service or node",
        {"Name": "follows web", "AliasService": "web-1"},
    ),
    CheckType(
        "http",
        Lane.SOCKET,
        _late("http"),
        "one HTTP request: 2xx passes, 429 warns, anything else is critical",
        {"Name": "web answers", "HTTP": "http://127.0.0.1:8080/health", "Interval": "10s", "Timeout": "2s"},
    ),
    CheckType(
        "tcp",
        Lane.SOCKET,
        _late("tcp"),
        "a TCP connection (with TCPUseTLS a handshake) succeeds",
        {"Name": "database listens", "TCP": "127.0.0.1:5432", "Interval": "10s"},
    ),
    CheckType(
        "udp",
        Lane.SOCKET,
        _late("udp"),
        "a UDP datagram is not refused",
        {"Name": "syslog listens", "UDP": "127.0.0.1:514", "Interval": "10s"},
    ),
    CheckType(
        "grpc",
        Lane.SOCKET,
        _late("grpc"),
        "grpc.health.v1 says SERVING, for the server or for the service after the slash",
        {"Name": "api serves", "GRPC": "127.0.0.1:9090/api", "Interval": "10s"},
    ),
    CheckType(
        "h2ping",
        Lane.SOCKET,
        _late("h2ping"),
        "an HTTP/2 PING is answered, over TLS unless H2PingUseTLS is false",
        {"Name": "api speaks HTTP/2", "H2PING": "127.0.0.1:8443", "Interval": "10s"},
    ),
    CheckType(
        "script",
        Lane.PROCESS,
        _late("script"),
        "a program's exit code: 0 passes, 1 warns, anything else is critical",
        {"Name": "disk has room", "Args": ["/usr/local/bin/check_disk", "/"], "Interval": "1m", "Timeout": "5s"},
    ),
    CheckType(
        "docker",
        Lane.PROCESS,
        _late("docker"),
        "the exit code of a program inside a container, as for scripts",
        {"Name": "queue is short", "DockerContainerID": "f972c95ebf0e", "Args": ["/check.sh"], "Interval": "30s"},
    ),
    CheckType(
        "os_service",
        Lane.SOCKET,
        _late("os_service"),
        "a systemd unit is active",
        {"Name": "nginx runs", "OSService": "nginx.service", "Interval": "10s"},
    ),
)

CHECK_TYPES: dict[str, CheckType] = {row.kind: row for row in _ROWS}
if len(CHECK_TYPES) != len(_ROWS):
    raise ValueError("two check types of one kind")
