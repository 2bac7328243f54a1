"""What can be set on the RPC port, and the limits that keep one peer from hurting the rest.

Source: developer.hashicorp.com/consul/docs/agent/config/config-files, `limits`, `performance.rpc_hold_timeout`, `tls`
(surface rows G15, G21). What may be changed: limits, with the reason beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RpcSettings", "TlsSettings"]


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The `tls.internal_rpc` block. TLS is on when there is a certificate or an authority."""

    ca_file: str = ""
    ca_path: str = ""
    cert_file: str = ""
    key_file: str = ""
    min_version: str = "TLSv1_2"
    cipher_suites: str = ""
    verify_incoming: bool = False
    verify_outgoing: bool = False
    verify_server_hostname: bool = False

    @property
    def listens(self) -> bool:
        """Whether we can show a certificate: then the listener takes nothing but TLS."""
        return bool(self.cert_file)

    @property
    def dials(self) -> bool:
        """Whether we dial with TLS. Consul does so with `verify_outgoing`; we also when we listen with it."""
        return self.verify_outgoing or self.verify_server_hostname or self.listens


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """`limits.rpc_*` and what Consul fixes in its code."""

    handshake_timeout_s: float = 5.0  # TCP, TLS and hello together (`limits.rpc_handshake_timeout`)
    client_timeout_s: float = 60.0  # a request that does not block (`limits.rpc_client_timeout`)
    hold_timeout_s: float = 7.0  # how long a write waits for a leader (`performance.rpc_hold_timeout`)
    max_conns_per_client: int = 100  # from one address; 0: no limit (`limits.rpc_max_conns_per_client`)
    #: Silence before a ping, and how long its answer may take. Consul's multiplexer asks every 30 s; a dead leader
    #: must be noticed sooner. Any frame counts as life.
    ping_after_s: float = 5.0
    ping_timeout_s: float = 5.0
    #: Requests one side may have open on a connection, and the bytes of those being served.
    max_in_flight: int = 1024
    max_in_flight_bytes: int = 32 << 20
    #: Frames that wait because the peer does not read. Raft messages never wait: a newer one follows.
    max_queued_bytes: int = 32 << 20
    #: Pauses between dials: doubled from the first to the longest, each cut by up to half by chance.
    redial_first_s: float = 0.05
    redial_longest_s: float = 5.0
