"""The rows of the catalog: immutable values with Consul's field names on the wire.

Source: surface rows O1-O7 and E9; developer.hashicorp.com/consul/api-docs/catalog. Attributes are snake_case; JSON and
msgpack names come from the type (`consul_name`). A field declared with a plain default is left out when it has that
default (Go's omitempty); one declared with `always(...)` is written even then.

What may change here: fields may be added at the end with a default (rows live in logs and snapshots). A field may not
be renamed or given another type.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

__all__ = [
    "AccessLogs",
    "Check",
    "CheckDefinition",
    "Connect",
    "Coordinate",
    "CoordinateRow",
    "EnvoyExtension",
    "Expose",
    "ExposePath",
    "KVEntry",
    "Locality",
    "MeshGateway",
    "Node",
    "PassiveHealthCheck",
    "PreparedQuery",
    "Proxy",
    "QueryDns",
    "QueryFailover",
    "QueryService",
    "QueryTarget",
    "QueryTemplate",
    "Row",
    "Service",
    "ServiceAddress",
    "ServiceCheck",
    "ServiceEntry",
    "Session",
    "TransparentProxy",
    "Upstream",
    "Weights",
    "always",
    "consul_name",
]

#: Words that Go writes in capitals.
_ACRONYMS = frozenset({"id", "http", "tcp", "udp", "ttl", "tls", "grpc", "os", "sni", "ip", "dns", "url", "json"})

T = TypeVar("T")


def consul_name(attribute: str) -> str:
    """Consul's JSON name of an attribute: `service_id` -> `ServiceID`, `tls_skip_verify` -> `TLSSkipVerify`."""
    return "".join(w.upper() if w in _ACRONYMS else w[:1].upper() + w[1:] for w in attribute.split("_"))


def always(value: T) -> T:
    """A default that is written even when the field has it; `value` must be immutable or an empty tuple or None."""
    return msgspec.field(default_factory=lambda: value)


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=consul_name, gc=False):
    """Base of all rows. They hold no cycles, so the collector need not walk a million of them (`gc=False`)."""


class Locality(Row, frozen=True, kw_only=True):
    """Where a node or service runs."""

    region: str = ""
    zone: str = ""


class Weights(Row, frozen=True, kw_only=True):
    """DNS SRV weights by health, 1..65535 (`warning` may be 0)."""

    passing: int = always(1)
    warning: int = always(1)


class ServiceAddress(Row, frozen=True, kw_only=True):
    """One tagged address of a service."""

    address: str = always("")
    port: int = always(0)


class MeshGateway(Row, frozen=True, kw_only=True):
    """`mode` is "", none, local or remote."""

    mode: str = ""


class TransparentProxy(Row, frozen=True, kw_only=True):
    """Settings of a proxy in transparent mode."""

    outbound_listener_port: int = 0
    dialed_directly: bool = False


class ExposePath(Row, frozen=True, kw_only=True):
    """One plaintext path of a sidecar."""

    listener_port: int = 0
    path: str = ""
    local_path_port: int = 0
    protocol: str = ""
    parsed_from_check: bool = False


class Expose(Row, frozen=True, kw_only=True):
    """Paths reachable without mutual TLS."""

    checks: bool = False
    paths: tuple[ExposePath, ...] | None = None


class AccessLogs(Row, frozen=True, kw_only=True):
    """Access logging of a proxy."""

    enabled: bool = False
    disable_listener_logs: bool = False
    type: str = ""
    path: str = ""
    json_format: str = ""
    text_format: str = ""


class EnvoyExtension(Row, frozen=True, kw_only=True):
    """An extension as registered; `arguments` is free-form."""

    name: str = always("")
    required: bool = always(False)
    arguments: dict[str, Any] | None = always(None)
    consul_version: str = always("")
    envoy_version: str = always("")


class PassiveHealthCheck(Row, frozen=True, kw_only=True):
    """Outlier ejection of an upstream."""

    interval: str = ""
    max_failures: int = 0


class Upstream(Row, frozen=True, kw_only=True):
    """Something a sidecar dials on behalf of its service."""

    destination_type: str = always("service")
    destination_namespace: str = ""
    destination_partition: str = ""
    destination_peer: str = ""
    destination_name: str = always("")
    datacenter: str = always("")
    local_bind_address: str = ""
    local_bind_port: int = 0
    local_bind_socket_path: str = ""
    local_bind_socket_mode: str = ""
    config: dict[str, Any] | None = None
    mesh_gateway: MeshGateway = always(MeshGateway())
    centrally_configured: bool = False


class Proxy(Row, frozen=True, kw_only=True):
    """The `Proxy` block of a registration (surface row O6)."""

    destination_service_name: str = ""
    destination_service_id: str = ""
    local_service_address: str = ""
    local_service_port: int = 0
    local_service_socket_path: str = ""
    mode: str = always("")
    transparent_proxy: TransparentProxy | None = None
    config: dict[str, Any] | None = None
    upstreams: tuple[Upstream, ...] | None = None
    mesh_gateway: MeshGateway = always(MeshGateway())
    expose: Expose = always(Expose())
    envoy_extensions: tuple[EnvoyExtension, ...] | None = None
    access_logs: AccessLogs | None = None


class Connect(Row, frozen=True, kw_only=True):
    """Mesh participation: `native` apps speak mutual TLS themselves."""

    native: bool = False


class Node(Row, frozen=True, kw_only=True):
    """A node (surface row O1). `name` is unique without regard to case, `id` is a UUID or empty."""

    id: str = always("")
    name: str = msgspec.field(name="Node")
    address: str = always("")
    datacenter: str = always("")
    tagged_addresses: dict[str, str] | None = always(None)
    meta: dict[str, str] | None = always(None)
    locality: Locality | None = None
    create_index: int = always(0)
    modify_index: int = always(0)
    peer_name: str = ""


class Service(Row, frozen=True, kw_only=True):
    """An instance of a service on a node (surface row O3, catalog form); the store keys it by (node name, id)."""

    kind: str = ""
    id: str = always("")
    name: str = msgspec.field(name="Service")
    tags: tuple[str, ...] = always(())
    address: str = always("")
    tagged_addresses: dict[str, ServiceAddress] | None = None
    meta: dict[str, str] | None = always(None)
    port: int = 0
    socket_path: str = ""
    weights: Weights = always(Weights())
    enable_tag_override: bool = always(False)
    proxy: Proxy = always(Proxy())
    connect: Connect = always(Connect())
    peer_name: str = always("")
    locality: Locality | None = None
    create_index: int = always(0)
    modify_index: int = always(0)


class CheckDefinition(Row, frozen=True, kw_only=True):
    """What an external monitor is to run (surface row O4); durations are Go strings. Agents leave it empty."""

    http: str = ""
    header: dict[str, tuple[str, ...]] | None = None
    method: str = ""
    body: str = ""
    disable_redirects: bool = False
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    tcp: str = ""
    tcp_use_tls: bool = msgspec.field(default=False, name="TCPUseTLS")
    udp: str = ""
    grpc: str = ""
    grpc_use_tls: bool = msgspec.field(default=False, name="GRPCUseTLS")
    os_service: str = ""
    interval: str = ""
    timeout: str = ""
    deregister_critical_service_after: str = ""


class Check(Row, frozen=True, kw_only=True):
    """The state of a health check (surface row O4). `status` is passing, warning, critical or maintenance.

    `service_id` is empty for a node check. The store fills `service_name` and `service_tags` from the service.
    """

    node: str = always("")
    check_id: str = always("")
    name: str = always("")
    status: str = always("critical")
    notes: str = always("")
    output: str = always("")
    service_id: str = always("")
    service_name: str = always("")
    service_tags: tuple[str, ...] = always(())
    type: str = always("")
    interval: str = always("")
    timeout: str = always("")
    exposed_port: int = always(0)
    definition: CheckDefinition = always(CheckDefinition())
    create_index: int = always(0)
    modify_index: int = always(0)
    peer_name: str = ""


class ServiceEntry(msgspec.Struct, frozen=True, gc=False):
    """An instance with its node and its checks: node checks first, then the instance's own (surface row O5)."""

    node: Node
    service: Service
    checks: tuple[Check, ...]


class KVEntry(Row, frozen=True, kw_only=True):
    """A key (surface rows KV1, E9). `value` is None when empty; `session` holds the lock."""

    lock_index: int = always(0)
    key: str = always("")
    flags: int = always(0)
    value: bytes | None = always(None)
    session: str = ""
    create_index: int = always(0)
    modify_index: int = always(0)


class ServiceCheck(Row, frozen=True, kw_only=True):
    """A service's check that a session hangs on; `namespace` is always empty."""

    id: str = always("")
    namespace: str = always("")


class Session(Row, frozen=True, kw_only=True):
    """A session (surface rows SE1, SE4). `lock_delay` in nanoseconds, `ttl` a Go duration or "", `behavior` release or
    delete. It ends with its node and with any check of that node that `node_checks` or `service_checks` name.
    """

    id: str = always("")
    name: str = always("")
    node: str = always("")
    lock_delay: int = always(0)
    behavior: str = always("release")
    ttl: str = always("")
    node_checks: tuple[str, ...] = always(())
    service_checks: tuple[ServiceCheck, ...] | None = always(None)
    create_index: int = always(0)
    modify_index: int = always(0)

    @property
    def check_ids(self) -> tuple[str, ...]:
        """The ids of all checks it hangs on, each once, in lower case."""
        named = (*self.node_checks, *(check.id for check in self.service_checks or ()))
        return tuple(dict.fromkeys(check_id.lower() for check_id in named))


class Coordinate(Row, frozen=True, kw_only=True):
    """A Vivaldi coordinate; distances in seconds (Dabek et al., SIGCOMM 2004; serf's `coordinate` package)."""

    vec: tuple[float, ...] = always((0.0,) * 8)
    error: float = always(1.5)
    adjustment: float = always(0.0)
    height: float = always(1e-5)


class CoordinateRow(Row, frozen=True, kw_only=True):
    """The coordinate of a node in a network segment."""

    node: str = always("")
    segment: str = always("")
    coord: Coordinate = always(Coordinate())


class QueryTarget(Row, frozen=True, kw_only=True):
    """One place a prepared query may fail over to: a peer or a datacenter."""

    peer: str = always("")
    datacenter: str = always("")


class QueryFailover(Row, frozen=True, kw_only=True):
    """Where a prepared query looks when nothing is left here; `targets` excludes the other two."""

    nearest_n: int = always(0)
    datacenters: tuple[str, ...] | None = always(None)
    targets: tuple[QueryTarget, ...] | None = always(None)


class QueryService(Row, frozen=True, kw_only=True):
    """What a prepared query looks for; `tags` are all required, `!tag` excludes."""

    service: str = always("")
    sameness_group: str = always("")
    failover: QueryFailover = always(QueryFailover())
    only_passing: bool = always(False)
    ignore_check_ids: tuple[str, ...] | None = msgspec.field(default_factory=lambda: None, name="IgnoreCheckIDs")
    near: str = always("")
    tags: tuple[str, ...] | None = always(None)
    node_meta: dict[str, str] | None = always(None)
    service_meta: dict[str, str] | None = always(None)
    connect: bool = always(False)
    peer: str = always("")


class QueryTemplate(Row, frozen=True, kw_only=True):
    """`type` is "" (no template) or name_prefix_match."""

    type: str = always("")
    regexp: str = always("")
    remove_empty_tags: bool = always(False)


class QueryDns(Row, frozen=True, kw_only=True):
    """How a prepared query is answered over DNS; `ttl` is a Go duration string, "" for the agent's own."""

    ttl: str = always("")


class PreparedQuery(Row, frozen=True, kw_only=True):
    """A prepared query (surface row PQ1)."""

    id: str = always("")
    name: str = always("")
    session: str = always("")
    token: str = always("")
    template: QueryTemplate = always(QueryTemplate())
    service: QueryService = always(QueryService())
    dns: QueryDns = always(QueryDns())
    create_index: int = always(0)
    modify_index: int = always(0)
