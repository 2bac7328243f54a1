"""`ProxySnapshot`: all that one proxy needs, as one frozen value. The only form between the catalog and a proxy.

The built-in proxy executes it, xDS renders it, `meshagent proxy config` shows it. It is put together from parts, each
of which knows what it depends on (`parts.py`): a change makes anew only what it touches. Everything here encodes to
JSON and msgpack from its type.

Source: design.md "One intermediate form for the mesh"; surface rows M2, M4, M6, M40-M44, M70. What may change here:
fields are added with a default; a proxy of the release before reads them.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.rate_limits import NO_LIMITS, RateLimits
from meshagent.catalog.model import EnvoyExtension, Service, Upstream
from meshagent.connect.chain import Chain, Target
from meshagent.connect.exposing import Exposed
from meshagent.connect.gateways.edge import Edge
from meshagent.connect.gateways.linked import TerminatingGateway
from meshagent.connect.gateways.ways import MeshGateway
from meshagent.connect.intentions import Intention
from meshagent.connect.l7 import Extras, extras_of
from meshagent.connect.mesh_settings import MeshSettings
from meshagent.connect.observing import Observing
from meshagent.connect.peers import Trust
from meshagent.connect.resilience import Resilience, resilience_of
from meshagent.connect.transparent import Transparent

__all__ = [
    "Cluster",
    "Endpoint",
    "Gateway",
    "Inbound",
    "Outbound",
    "ProxySnapshot",
    "bind_address_of",
    "inbound_of",
    "outbound_of",
]


#: What a gateway of any kind does; a kind is another tagged struct of `gateways/`.
Gateway = Edge | TerminatingGateway | MeshGateway


class Endpoint(msgspec.Struct, frozen=True):
    """One instance of a target, as others dial it. `status` is passing, warning or critical; `weight` 1..65535.

    `direct_port` is the application's own, where the application may be dialled at its own address (0: it may not).
    """

    id: str
    node: str
    address: str
    port: int
    status: str = "passing"
    weight: int = 1
    region: str = ""
    zone: str = ""
    direct_port: int = 0


class Cluster(msgspec.Struct, frozen=True):
    """A target with its instances. `identities` are the SPIFFE ids whose certificates are accepted."""

    target: Target
    identities: tuple[str, ...]
    endpoints: tuple[Endpoint, ...] = ()
    #: Instances that are not to be dialled: for who shows them, or waits for them to come back.
    unhealthy: tuple[Endpoint, ...] = ()


class Inbound(msgspec.Struct, frozen=True):
    """Where others come in, and the application behind. A port of 0 is no listener."""

    address: str
    port: int
    local_address: str
    local_port: int
    local_socket: str = ""
    protocol: str = "tcp"
    connect_timeout_ms: int = 1000
    handshake_timeout_ms: int = 10_000
    max_connections: int = 0
    #: How long a client may say nothing before it is taken for one that lets the application speak first, where TLS is
    #: not demanded.
    detect_timeout_ms: int = 3000
    #: How long nothing may pass; None is an hour at layer 4, five minutes for a request, 0 is no limit.
    idle_timeout_ms: int | None = None
    #: Bytes a second that the body of a request has to bring, in the long run; 0 for any.
    min_body_rate: int = 100
    #: The version ("v1", "v2") of the PROXY header that the application is sent; "" for none. Layer 4 only.
    proxy_protocol: str = ""
    #: From the end of a request to the end of its answer; 0 is no limit.
    request_timeout_ms: int = 15_000
    #: As `Outbound.balance_connections`.
    balance_connections: str = ""


class Outbound(msgspec.Struct, frozen=True):
    """Where the application dials an upstream. `problem` says why there is no chain.

    `virtual_ips` mean it too, for a sidecar in transparent mode; without a port or a path they alone do.
    """

    name: str
    address: str
    port: int
    socket_path: str = ""
    socket_mode: str = ""
    chain: Chain | None = None
    connect_timeout_ms: int = 0
    problem: str = ""
    #: As `Inbound.idle_timeout_ms`.
    idle_timeout_ms: int | None = None
    #: How long a client may say nothing before it is taken for one that lets the server speak first, where the
    #: protocol is detected.
    detect_timeout_ms: int = 100
    #: As `Inbound.min_body_rate`.
    min_body_rate: int = 100
    #: The application (or who stands before it) begins each connection with a PROXY header.
    accept_proxy_protocol: bool = False
    resilience: Resilience = Resilience()
    extras: Extras = Extras()
    virtual_ips: tuple[str, ...] = ()
    #: Addresses and host names outside the mesh with their ports that mean it, for a sidecar in transparent mode.
    outside: tuple[tuple[str, int], ...] = ()
    #: Its key where the listener of a gateway hands over what is for it, and whether those are connections whatever the
    #: service speaks.
    at: str = ""
    layer4: bool = False
    #: "service" or "prepared_query".
    destination_type: str = "service"
    #: Where it is, when another datacenter or a peer was asked for.
    datacenter: str = ""
    peer: str = ""
    #: Accept on several threads evenly ("exact_balance"); of no meaning to a proxy of one thread.
    balance_connections: str = ""
    #: The opaque configuration, with the central one in it.
    config: dict[str, Any] = {}

    @property
    def listens(self) -> bool:
        """Whether it has a listener of its own."""
        return bool(self.port or self.socket_path)

    @property
    def is_http(self) -> bool:
        """Whether requests are routed, not connections."""
        return self.chain is not None and self.chain.is_http and not self.layer4

    @property
    def is_detected(self) -> bool:
        """Whether each connection tells itself whether it is HTTP."""
        return self.chain is not None and self.chain.is_detected and not self.layer4

    @property
    def kind(self) -> str:
        """Which listener it needs: `http`, `detected` or `tcp`."""
        return "http" if self.is_http else "detected" if self.is_detected else "tcp"

    @property
    def key(self) -> str:
        """Where it listens: its name among listeners. One without a listener is known by its service."""
        if self.at:
            return self.at
        return self.socket_path or (f"{self.address}:{self.port}" if self.port else f"virtual:{self.name}")


class ProxySnapshot(msgspec.Struct, frozen=True):
    """Everything. `leaf_key` is a secret; `shown` leaves it out. `leaf_chain` is "" while there is no leaf."""

    proxy_id: str
    service: str
    datacenter: str
    trust_domain: str
    default_allow: bool
    default_reason: str
    intentions: tuple[Intention, ...] = ()
    roots: tuple[str, ...] = ()
    leaf_chain: str = ""
    leaf_key: str = ""
    inbound: Inbound | None = None
    outbound: tuple[Outbound, ...] = ()
    clusters: dict[str, Cluster] = {}
    region: str = ""
    zone: str = ""
    jwt_providers: tuple[JWTProvider, ...] = ()
    #: When the leaf began and ends, as ISO 8601; "" without one.
    leaf_valid: tuple[str, str] = ("", "")
    observing: Observing = Observing()
    rate_limits: RateLimits = NO_LIMITS
    mesh: MeshSettings = MeshSettings()
    exposed: tuple[Exposed, ...] = ()
    #: None where the application is to dial the listeners of its upstreams.
    transparent: Transparent | None = None
    #: Peers that this proxy has to do with.
    trusts: tuple[Trust, ...] = ()
    #: What a gateway does; None of a sidecar.
    gateway: Gateway | None = None
    #: As registered: connect-proxy, or a gateway's.
    kind: str = "connect-proxy"
    #: The opaque configuration of the proxy, with the central one in it.
    config: dict[str, Any] = {}
    extensions: tuple[EnvoyExtension, ...] = ()
    #: Those of services that it calls, by service: what their `service-defaults` ask of callers.
    service_extensions: dict[str, tuple[EnvoyExtension, ...]] = {}

    def held(self, chain: Chain, target: str) -> Cluster:
        """The cluster of a chain's target, by id; without instances where its token may not see it."""
        return self.clusters.get(target) or Cluster(chain.targets[target], ())

    def shown(self) -> Any:
        """As builtins, without private keys."""
        plain = msgspec.to_builtins(msgspec.structs.replace(self, gateway=None))
        gateway = self.gateway.shown() if self.gateway is not None else None
        return {**plain, "gateway": gateway, "leaf_key": "hidden" if self.leaf_key else ""}

    def digest(self) -> str:
        """Tells snapshots apart."""
        return hashlib.sha256(msgspec.msgpack.encode(self)).hexdigest()[:16]


def bind_address_of(service: Service) -> str:
    """Where a proxy listens for others: as its configuration says, else at its address."""
    return _text(service.proxy.config or {}, "bind_address", service.address or "0.0.0.0")


def inbound_of(service: Service) -> Inbound | None:
    """The inbound side of a sidecar's registration (surface rows M2, M70)."""
    proxy = service.proxy
    if service.kind != "connect-proxy" or not service.port:
        return None
    config = proxy.config or {}
    version = _text(config, "local_proxy_protocol", "").lower()
    return Inbound(
        address=bind_address_of(service),
        port=_whole(config, "bind_port", 0) or service.port,
        local_address=proxy.local_service_address or "127.0.0.1",
        local_port=proxy.local_service_port,
        local_socket=proxy.local_service_socket_path,
        protocol=_text(config, "protocol", "tcp").lower(),
        connect_timeout_ms=_whole(config, "local_connect_timeout_ms", 1000),
        handshake_timeout_ms=_whole(config, "handshake_timeout_ms", 10_000),
        max_connections=_whole(config, "max_inbound_connections", 0),
        detect_timeout_ms=_whole(config, "detect_timeout_ms", 3000),
        idle_timeout_ms=_optional(config, "local_idle_timeout_ms"),
        min_body_rate=_whole(config, "min_body_rate", 100),
        proxy_protocol=version if version in {"v1", "v2"} else "",
        request_timeout_ms=_whole(config, "local_request_timeout_ms", 15_000),
        balance_connections=_text(config, "balance_inbound_connections", ""),
    )


def outbound_of(
    upstream: Upstream, chain: Chain | None, problem: str = "", virtual_ips: tuple[str, ...] = ()
) -> Outbound:
    """One upstream of a registration with its chain."""
    config = upstream.config or {}
    return Outbound(
        name=upstream.destination_name,
        address=(upstream.local_bind_address or "127.0.0.1") if upstream.local_bind_port else "",
        port=upstream.local_bind_port,
        socket_path=upstream.local_bind_socket_path,
        socket_mode=upstream.local_bind_socket_mode,
        chain=chain,
        connect_timeout_ms=_whole(config, "connect_timeout_ms", 0),
        problem=problem,
        idle_timeout_ms=_optional(config, "idle_timeout_ms"),
        detect_timeout_ms=_whole(config, "detect_timeout_ms", 100),
        min_body_rate=_whole(config, "min_body_rate", 100),
        accept_proxy_protocol=config.get("accept_proxy_protocol") is True,
        resilience=resilience_of(config),
        extras=extras_of(config, chain.meta if chain is not None else {}),
        virtual_ips=virtual_ips,
        destination_type=upstream.destination_type,
        datacenter=upstream.datacenter,
        peer=upstream.destination_peer,
        balance_connections=_text(config, "balance_outbound_connections", ""),
        config=config,
    )


def _whole(config: dict[str, Any], key: str, default: int) -> int:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**31:
        return default
    return int(value)


def _optional(config: dict[str, Any], key: str) -> int | None:
    value = _whole(config, key, -1)
    return value if value >= 0 else None


def _text(config: dict[str, Any], key: str, default: str) -> str:
    value = config.get(key)
    return value if isinstance(value, str) and value else default
