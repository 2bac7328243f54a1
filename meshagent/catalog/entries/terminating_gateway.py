"""`terminating-gateway`: services outside the mesh that a gateway speaks for.

Source: surface row M28; developer.hashicorp.com/consul/docs/connect/config-entries/terminating-gateway. What may
change here: fields are added with a default.
"""

from __future__ import annotations

from meshagent.catalog.entries.entry import Entry, Part
from meshagent.catalog.model import always

__all__ = ["LinkedService", "TerminatingGateway"]


class LinkedService(Part, frozen=True, kw_only=True):
    """A service behind the gateway, and how TLS to it is made; `*` is every service."""

    name: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    sni: str = ""
    disable_auto_host_rewrite: bool = False


class TerminatingGateway(Entry, frozen=True, kw_only=True, tag="terminating-gateway"):
    """What the gateway service `name` speaks for."""

    services: tuple[LinkedService, ...] | None = always(None)

    def problem(self) -> str:
        seen: set[str] = set()
        for service in self.services or ():
            name = service.name
            if not name:
                return "Service name cannot be blank."
            if name in seen:
                return f'Service "{name}" was specified more than once within a namespace'
            seen.add(name)
            if (service.cert_file or service.key_file) and not (
                service.ca_file and service.cert_file and service.key_file
            ):
                return f'Service "{name}" must have a CertFile, CAFile, and KeyFile specified for TLS origination'
        return ""

    def related(self) -> frozenset[str]:
        return frozenset(service.name for service in self.services or () if service.name != "*")
