"""A health check as it is registered.

Source: surface rows K1 to K20 and A14; validation in the order and words of a running Consul. Durations are seconds.
A field may be added here with its zero as default; what a check of some kind does lives in agent/checks/.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from meshagent.agent.decode import Seconds
from meshagent.catalog.model import Row
from meshagent.errors import BadRequest

__all__ = ["CHECK_STATUSES", "CheckDefinition", "ServiceCheck"]

CHECK_STATUSES = ("passing", "warning", "critical")


class CheckDefinition(Row, frozen=True, kw_only=True):
    """A check of this host or of one of its services; zero means "not given" everywhere."""

    go_alias: ClassVar[bool] = True
    also_known_as: ClassVar[dict[str, str]] = {"ScriptArgs": "args", "script_args": "args"}

    id: str = ""
    name: str = ""
    notes: str = ""
    status: str = ""
    service_id: str = ""
    token: str = ""
    interval: Seconds = 0.0
    timeout: Seconds = 0.0
    ttl: Seconds = 0.0
    http: str = ""
    method: str = ""
    header: dict[str, tuple[str, ...]] | None = None
    body: str = ""
    disable_redirects: bool = False
    tcp: str = ""
    tcp_use_tls: bool = False
    udp: str = ""
    grpc: str = ""
    grpc_use_tls: bool = False
    h2ping: str = msgspec.field(default="", name="H2PING")
    h2ping_use_tls: bool | None = msgspec.field(default=None, name="H2PingUseTLS")
    args: tuple[str, ...] = ()
    docker_container_id: str = ""
    shell: str = ""
    os_service: str = ""
    alias_node: str = ""
    alias_service: str = ""
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    success_before_passing: int = 0
    failures_before_warning: int = 0
    failures_before_critical: int = 0
    deregister_critical_service_after: Seconds = 0.0
    output_max_size: int = 0

    @property
    def kind(self) -> str:
        """What runs: ttl http tcp udp script docker grpc h2ping os_service alias, or "" if nothing is asked for."""
        kinds = {
            "grpc": self.grpc,
            "http": self.http,
            "ttl": self.ttl > 0,
            "tcp": self.tcp,
            "udp": self.udp,
            "alias": self.alias_node or self.alias_service,
            "docker": self.args and self.docker_container_id,
            "script": self.args,
            "h2ping": self.h2ping,
            "os_service": self.os_service,
        }
        return next((kind for kind, asked in kinds.items() if asked), "")

    @property
    def h2ping_tls(self) -> bool:
        """Whether an H2PING check speaks TLS: yes unless switched off."""
        return self.h2ping_use_tls is not False

    @property
    def runs_commands(self) -> bool:
        """Whether it needs `enable_script_checks` (or `enable_local_script_checks` when it comes from a file)."""
        return bool(self.args)

    @property
    def warns_from(self) -> int:
        """Consecutive failures after which the status is at least warning: defaults to critical's value."""
        return self.failures_before_warning or self.failures_before_critical

    def problem(self) -> str:
        """What is wrong with it in Consul's words, or ""."""
        timed = bool(self.args or self.http or self.tcp or self.udp or self.grpc or self.h2ping or self.os_service)
        alias = bool(self.alias_node or self.alias_service)
        if self.interval > 0 and self.ttl > 0:
            return "Interval and TTL cannot both be specified"
        if timed and self.interval <= 0:
            return "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"
        if timed and alias:
            return "Interval cannot be set for Alias checks"
        if alias and self.ttl > 0:
            return "TTL must be not be set for Alias checks"
        if not timed and not alias and self.ttl <= 0:
            return "TTL must be > 0 for TTL checks"
        if self.output_max_size < 0:
            return "MaxOutputMaxSize must be positive"
        if self.failures_before_warning > self.failures_before_critical:
            return "FailuresBeforeWarning can't be higher than FailuresBeforeCritical"
        return ""

    def validate(self) -> None:
        """The checks of `agent/check/register` (surface row A14).

        Raises:
            BadRequest: with Consul's message.
        """
        if not self.name:
            raise BadRequest("Missing check name")
        if self.status and self.status not in CHECK_STATUSES:
            raise BadRequest("Bad check status")
        if problem := self.problem():
            raise BadRequest(f"Invalid check: {problem}")


class ServiceCheck(CheckDefinition, frozen=True, kw_only=True):
    """A check inside a service registration, where its id is called CheckID."""

    check_id: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is set: `"Check": {}` registers no check."""
        return self == type(self)()

    def resolved(self, *, id: str, name: str, service_id: str) -> CheckDefinition:
        """The same as a check of its own, under the given id, name and service."""
        values = {field: getattr(self, field) for field in CheckDefinition.__struct_fields__}
        values.update(id=id, name=name, service_id=service_id)
        return CheckDefinition(**values)
