"""`proxy-defaults`: settings of every proxy of the datacenter; its only name is `global`.

Source: surface row M22; developer.hashicorp.com/consul/docs/connect/config-entries/proxy-defaults. What may change
here: fields are added with a default. The smallest example of an entry with rules: copy it.
"""

from __future__ import annotations

from typing import Any

from meshagent.catalog.entries.entry import Entry, Part, multierror
from meshagent.catalog.entries.envoy_extensions import extension_problems
from meshagent.catalog.model import AccessLogs, EnvoyExtension, Expose, MeshGateway, TransparentProxy, always
from meshagent.gojson import syntax_problem

__all__ = ["ProxyDefaults", "global_only"]


class FailoverPolicy(Part, frozen=True, kw_only=True):
    """Enterprise; kept, without effect."""

    mode: str = ""
    regions: tuple[str, ...] = ()


class PrioritizeByLocality(Part, frozen=True, kw_only=True):
    """Nearer instances first: mode `failover` (Enterprise in Consul)."""

    mode: str = ""


class ProxyDefaults(Entry, frozen=True, kw_only=True, tag="proxy-defaults"):
    """Settings of all proxies. `config` is opaque, but for its `protocol`."""

    config: dict[str, Any] | None = always(None)
    mode: str = ""
    transparent_proxy: TransparentProxy = always(TransparentProxy())
    mutual_tls_mode: str = ""
    mesh_gateway: MeshGateway = always(MeshGateway())
    expose: Expose = always(Expose())
    access_logs: AccessLogs = always(AccessLogs())
    envoy_extensions: tuple[EnvoyExtension, ...] = ()
    failover_policy: FailoverPolicy | None = None
    prioritize_by_locality: PrioritizeByLocality | None = None

    @property
    def protocol(self) -> str:
        """The protocol of services that have none of their own; "" when not set."""
        protocol = (self.config or {}).get("protocol", "")
        return protocol.lower() if isinstance(protocol, str) else str(protocol)

    def problem(self) -> str:
        return (
            global_only(self.name)
            or _log_problem(self.access_logs)
            or multierror(extension_problems(self.envoy_extensions))
        )


def global_only(name: str) -> str:
    """The problem of any other name."""
    return "" if name == "global" else f'invalid name ("{name}"), only "global" is supported'


def _log_problem(logs: AccessLogs) -> str:
    if logs.type not in {"", "stdout", "stderr", "file"}:
        return f"invalid access log type: {logs.type}"
    if logs.type == "file" and not logs.path:
        return "path must be specified when using file type access logs"
    if logs.type != "file" and logs.path:
        return "path is only valid for file type access logs"
    if logs.json_format and logs.text_format:
        return "cannot specify both access log JSONFormat and TextFormat"
    problem = syntax_problem(logs.json_format.encode()) if logs.json_format else ""
    return f"invalid access log json for JSON format: {problem}" if problem else ""
