"""Watches: run a command or call an address when something changes (surface rows G40 and G41).

Source: developer.hashicorp.com/consul/docs/dynamic-app-config/watches. A new type is a row of `agent/watches/plans.py`.
"""

from __future__ import annotations

import msgspec

from meshagent.agent.decode import Seconds, Words
from meshagent.agent.watches.plans import PLANS
from meshagent.catalog.model import Row

__all__ = ["WATCH_TYPES", "HttpHandler", "Watch"]

WATCH_TYPES = tuple(PLANS)


class HttpHandler(Row, frozen=True, kw_only=True):
    """Where and how to call."""

    path: str = ""
    method: str = "POST"
    timeout: Seconds = 10.0
    header: dict[str, tuple[str, ...]] | None = None
    tls_skip_verify: bool = False


class Watch(Row, frozen=True, kw_only=True):
    """One watch of the configuration."""

    type: str = ""
    datacenter: str = ""
    token: str = ""
    stale: bool = False
    filter: str = ""
    key: str = ""
    prefix: str = ""
    service: str = ""
    service_id: str = ""
    tag: Words = ()
    passingonly: bool = msgspec.field(default=False, name="PassingOnly")
    state: str = ""
    name: str = ""
    handler_type: str = ""
    handler: str = ""
    args: tuple[str, ...] = ()
    http_handler_config: HttpHandler | None = None

    def problem(self) -> str:
        """What is wrong with it, or ""."""
        if not self.type:
            return "Watch type must be specified"
        if self.type not in PLANS:
            return f"Unsupported watch type: {self.type}; known: {', '.join(WATCH_TYPES)}"
        for field in PLANS[self.type].needs:
            if not getattr(self, field):
                return f"Must specify a {field} to watch"
        if self.service and self.state:
            return "Cannot specify service and state"
        if self.handler and self.args:
            return "Both the handler and args are defined; only one may be"
        if self.handler_type == "http":
            if not (self.http_handler_config and self.http_handler_config.path):
                return "Handler type 'http' requires 'http_handler_config' with a path"
        elif self.handler_type not in {"", "script"}:
            return f"Handler type '{self.handler_type}' not recognized"
        elif not self.handler and not self.args:
            return "A watch needs args (or an http handler)"
        return ""
