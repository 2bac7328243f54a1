"""What is kept of a registration on this host, and who is told when it changes.

Source: surface rows A10, A14, K4, K5, E3. The rows are what the catalog should hold (`catalog.model`, indexes 0). What
may change here: fields with defaults; the rules are in `local.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from meshagent.agent.definitions import CheckDefinition
from meshagent.catalog.model import Check, Proxy, Service, ServiceAddress

__all__ = ["Gone", "LocalCheck", "LocalService", "LocalSettings", "Observer", "Source", "keep_reserved"]

#: Where a registration came from: `config` ones are read from files again at every start, `api` ones are saved.
Source = Literal["api", "config"]


#: Meta keys and tagged addresses that begin so belong to the servers.
_RESERVED = "consul-"


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The options that concern this state; replaced as a whole on reload."""

    check_update_interval_s: float = 300.0
    discard_check_output: bool = False
    check_reap_interval_s: float = 30.0
    check_deregister_min_s: float = 60.0
    sidecar_min_port: int = 21000
    sidecar_max_port: int = 21255
    expose_min_port: int = 21500
    expose_max_port: int = 21755
    enable_script_checks: bool = False
    enable_local_script_checks: bool = False


@dataclass(slots=True, eq=False)
class LocalService:
    """One registered instance. `sidecar_of` is the id of the service it was nested in, or ""."""

    service: Service
    token: str = ""
    source: Source = "api"
    sidecar_of: str = ""
    in_sync: bool = False
    #: The proxy block as it was registered, when central configuration has been merged into `service`.
    given_proxy: Proxy | None = None

    @property
    def registered(self) -> Service:
        """The row without central configuration: what is saved."""
        return (
            self.service if self.given_proxy is None else msgspec.structs.replace(self.service, proxy=self.given_proxy)
        )


@dataclass(slots=True, eq=False)
class LocalCheck:
    """One registered check. `definition` is None when nothing runs it (maintenance).

    `critical_since` is the monotonic second at which it became critical, None while it is not. `deferred_until` is the
    monotonic second at which an output that changed alone goes to the catalog (surface row K5).
    """

    check: Check
    definition: CheckDefinition | None = None
    token: str = ""
    source: Source = "api"
    in_sync: bool = False
    critical_since: float | None = None
    deferred_until: float | None = None


class Observer:
    """Someone told of every change right after it; each method does nothing unless overridden."""

    def service_added(self, entry: LocalService) -> None:
        """A service was registered, anew or again."""

    def service_removed(self, entry: LocalService) -> None:
        """A service was deregistered; its checks were removed before it."""

    def check_added(self, entry: LocalCheck) -> None:
        """A check was registered, anew or again (its status was carried over)."""

    def check_removed(self, entry: LocalCheck) -> None:
        """A check was deregistered."""

    def check_updated(self, entry: LocalCheck) -> None:
        """Status or output of a check changed."""


@dataclass(slots=True)
class Gone:
    """What the catalog must still forget: id -> token it was registered with."""

    services: dict[str, str] = field(default_factory=dict)
    checks: dict[str, str] = field(default_factory=dict)
    #: Checks that go with their service: they only matter if the service comes back before it was forgotten.
    checks_of: dict[str, list[str]] = field(default_factory=dict)


def keep_reserved(service: Service, holder: Service) -> Service:
    """`service` with the tagged addresses of `holder` that servers gave it; the same object if nothing changes."""
    given = {name: value for name, value in (holder.tagged_addresses or {}).items() if name.startswith(_RESERVED)}
    have: dict[str, ServiceAddress] = service.tagged_addresses or {}
    if all(have.get(name) == value for name, value in given.items()):
        return service
    return msgspec.structs.replace(service, tagged_addresses={**have, **given})
