"""Options of addresses, ports, joining and gossip (surface rows G11 to G14).

Source: developer.hashicorp.com/consul/docs/agent/config/config-files. One row an option; see option.py for what may be
said of one. Defaults are Consul's: changing one changes what an existing cluster does.
"""

from __future__ import annotations

from meshagent.agent.config.option import Group, duration, text, whole

__all__ = ["Addresses", "GossipLan", "GossipWan", "Ports", "UnixSockets"]


class Addresses(Group):
    """Addresses to bind, by protocol; each defaults to `client_addr` and may name several, also `unix:///path`."""

    dns: str = text(None, "Where DNS listens, UDP and TCP.", default_text="client_addr")
    http: str = text(
        None, "Where the HTTP API listens; `unix:///run/mesh.sock` keeps it local.", default_text="client_addr"
    )
    https: str = text(None, "Where the HTTPS API listens.", default_text="client_addr")
    grpc: str = text(None, "Where xDS and other gRPC listens in plain text.", default_text="client_addr")
    grpc_tls: str = text(None, "Where xDS and other gRPC listens with TLS.", default_text="client_addr")


def _port(default: int | None, help: str, *flags: str, off: bool = True, **more: object) -> int:
    hint = " -1 switches it off." if off else ""
    return whole(default, help + hint, low=-1, high=65535, unit="port", flags=flags, **more)  # type: ignore[no-any-return]


class Ports(Group):
    """Ports to listen on. Every agent of a datacenter should use the same gossip and server ports."""

    dns: int = _port(8600, "DNS, UDP and TCP. 53 needs privileges or a forwarder.", "-dns-port")
    http: int = _port(8500, "HTTP API and UI.", "-http-port")
    https: int = _port(-1, "HTTPS API and UI; needs certificates.", "-https-port")
    grpc: int = _port(-1, "gRPC in plain text (xDS). 8502 in -dev.", "-grpc-port", "-grpc-xds-port")
    grpc_tls: int = _port(
        None, "gRPC with TLS (xDS, peering).", "-grpc-tls-port", default_text="8503 on servers, else -1"
    )
    serf_lan: int = _port(8301, "Gossip within the datacenter, UDP and TCP.", "-serf-lan-port", off=False)
    serf_wan: int = _port(8302, "Gossip between datacenters, servers only.", "-serf-wan-port")
    server: int = _port(8300, "RPC between agents and servers.", "-server-port", off=False)
    sidecar_min_port: int = _port(21000, "First port given to sidecars that name none; 0 gives none out.", off=False)
    sidecar_max_port: int = _port(21255, "Last port given to sidecars that name none.", off=False)
    expose_min_port: int = _port(21500, "First port given to exposed checks.", off=False)
    expose_max_port: int = _port(21755, "Last port given to exposed checks.", off=False)


class UnixSockets(Group):
    """Owner and mode of the Unix sockets that `addresses` names."""

    user: str = text("", "Owner, a name or a uid.")
    group: str = text("", "Group, a name or a gid.")
    mode: str = text("", "Mode in octal, such as `0770`.")


class GossipLan(Group):
    """Gossip within a datacenter; the same on every agent of it. Faster finds failures sooner and sends more."""

    gossip_nodes: int = whole(3, "Nodes told in each round.", low=0)
    gossip_interval: float = duration(0.2, "Time between rounds.", low=0)
    probe_interval: float = duration(1.0, "Time between probes of one random node.", low=0)
    probe_timeout: float = duration(0.5, "How long a probe may take; above the 99th percentile of round trips.", low=0)
    retransmit_mult: int = whole(4, "A message is sent this times log(n+1): more is surer and costs packets.", low=0)
    suspicion_mult: int = whole(
        4, "A silent node is suspected this times log(n+1) probes before it counts as dead.", low=0
    )


class GossipWan(Group):
    """Gossip between datacenters, servers only."""

    gossip_nodes: int = whole(4, "Nodes told in each round.", low=0)
    gossip_interval: float = duration(0.5, "Time between rounds.", low=0)
    probe_interval: float = duration(5.0, "Time between probes of one random node.", low=0)
    probe_timeout: float = duration(3.0, "How long a probe may take.", low=0)
    retransmit_mult: int = whole(4, "A message is sent this times log(n+1).", low=0)
    suspicion_mult: int = whole(
        6, "A silent node is suspected this times log(n+1) probes before it counts as dead.", low=0
    )
