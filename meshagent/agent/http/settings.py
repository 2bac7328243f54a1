"""What the HTTP server must know of the configuration, as one frozen value that a reload replaces.

Source: surface rows C6, C12, C15, C24-C31, G19, G20, G25. What may change here: fields with a default. Values
are already checked and in plain units; the daemon builds this from its options.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from meshagent.agent.http.ratelimit import RateSettings

__all__ = ["HttpSettings"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NO_RATES = RateSettings()


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Options of the HTTP API. Sizes in bytes, times in seconds."""

    response_headers: tuple[tuple[str, str], ...] = ()
    block_endpoints: tuple[str, ...] = ()
    #: Networks that may write; empty: everyone may (surface row C24).
    allow_write_from: tuple[Network, ...] = ()
    use_cache: bool = True
    #: Longest request head; 0 is Go's default of 1 MiB.
    max_header_bytes: int = 0
    filter_unprintable: bool = True
    #: Indent all JSON, as `-dev` does.
    pretty: bool = False
    default_query_time_s: float = 300.0
    max_query_time_s: float = 600.0
    discovery_max_stale_s: float = 0.0
    #: How long a request waits for a leader before `No cluster leader`.
    kv_max_value_size: int = 524_288
    txn_max_req_len: int = 524_288
    max_conns_per_client: int = 200
    #: "allow" or "deny", shown in every answer.
    default_policy: str = "allow"
    #: Serve profiles although there are no ACLs (surface row C32).
    enable_debug: bool = False
    ui_enabled: bool = False
    ui_path: str = "/ui/"
    #: Files in place of our own page; "" for ours.
    ui_dir: str = ""
    #: What the page knows of `ui_config.metrics_provider`, as JSON, and scripts of the user's that bring metrics.
    ui_metrics: str = "{}"
    ui_scripts: tuple[str, ...] = ()
    use_streaming: bool = True
    #: Say in every answer that addresses are translated (surface row C30).
    translate_wan_addrs: bool = False
    rates: RateSettings = _NO_RATES
    https_handshake_timeout_s: float = 5.0
    #: The largest body of any other request.
    max_body_bytes: int = 64 * 1024 * 1024
    #: A request head must be complete this long after its first byte, a body after its head.
    head_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    #: An idle connection is closed after this.
    idle_timeout_s: float = 3630.0

    @property
    def max_head(self) -> int:
        """Bytes a request line and headers may take."""
        return self.max_header_bytes or 1024 * 1024

    def may_write(self, remote: str) -> bool:
        """Whether `remote` (an IP address, or "" on a Unix socket) may send anything but reads."""
        if not self.allow_write_from or not remote:
            return True
        address = ipaddress.ip_address(remote.partition("%")[0])
        return any(address in network for network in self.allow_write_from)
