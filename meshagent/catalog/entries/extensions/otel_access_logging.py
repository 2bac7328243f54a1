"""`builtin/otel-access-logging`: access logs to a collector of OpenTelemetry.

Source: surface row M84; developer.hashicorp.com/consul/docs/connect/proxies/envoy-extensions/configuration/
otel-access-logging. What may change here: nothing that entries have.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.catalog.entries.extensions.arguments import Arguments, duration_problem, one_of
from meshagent.catalog.entries.extensions.target import GrpcService, RetryPolicy

__all__ = ["Config", "OtelAccessLogging"]


class Config(msgspec.Struct, frozen=True):
    """The logger; `body` and values of attributes are texts, numbers, truths, lists or maps of them."""

    log_name: str = ""
    grpc_service: GrpcService | None = None
    buffer_flush_interval: str = ""
    buffer_size_bytes: int | None = None
    filter_state_objects_to_log: tuple[str, ...] = ()
    retry_policy: RetryPolicy | None = None
    body: Any = None
    attributes: dict[str, Any] = {}
    resource_attributes: dict[str, Any] = {}

    def problems(self) -> list[str]:
        """What is wrong with it."""
        if self.grpc_service is None:
            found = ["missing GrpcService"]
        else:
            found = self.grpc_service.problems()
        found += duration_problem("BufferFlushInterval", self.buffer_flush_interval)
        if self.buffer_size_bytes is not None and not 0 <= self.buffer_size_bytes < 1 << 32:
            found.append("BufferSizeBytes must be between 0 and 4294967295")
        return found + (self.retry_policy.problems() if self.retry_policy is not None else [])


class OtelAccessLogging(Arguments, frozen=True, kw_only=True):
    """`listener_type` is inbound or outbound."""

    listener_type: str = "inbound"
    config: Config = Config()

    def problems(self, *, debug: bool = False) -> list[str]:
        found = self.proxy_type_problems()
        found += one_of("ListenerType", self.listener_type, ("inbound", "outbound"))
        return found + self.config.problems()
