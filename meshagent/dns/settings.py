"""What the DNS server is told by the configuration, as dns's own value.

Source: surface row G18 (`dns_config`, `recursors`, `domain`, `alt_domain`); developer.hashicorp.com/consul/docs/agent/
config/config-files#dns-parameters. The agent room builds it; nothing here reads files.

What may change here: fields may be added with Consul's default. Durations are whole seconds where they become a TTL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["MAX_UDP_ANSWERS", "DnsSettings", "Soa"]

#: Consul never puts more answers than this into a reply of 512 bytes, whatever `udp_answer_limit` says (row D24).
MAX_UDP_ANSWERS = 8


@dataclass(frozen=True, slots=True)
class Soa:
    """Timers of the zone in seconds (row D13); `min_ttl` is also the TTL of the SOA record."""

    refresh: int = 3600
    retry: int = 600
    expire: int = 86400
    min_ttl: int = 0


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """Options of the DNS server; all may change on reload except where the server listens.

    `service_ttl` maps a service name, `prefix*` or `*` to seconds; the longest match wins. `recursors` are
    `address[:port]`. `udp_answer_limit` 0 means no limit besides the size. `enable_truncate` only matters over TCP:
    over UDP the TC bit is always set when an answer is left out for lack of room (README, decision 3).
    """

    domain: str = "consul."
    alt_domain: str = ""
    node_ttl_s: int = 0
    service_ttl_s: Mapping[str, int] = field(default_factory=dict)
    soa: Soa = Soa()
    only_passing: bool = False
    udp_answer_limit: int = 3
    a_record_limit: int = 0
    enable_truncate: bool = False
    disable_compression: bool = False
    enable_additional_node_meta_txt: bool = True
    recursors: tuple[str, ...] = ()
    recursor_strategy: str = "sequential"
    recursor_timeout_s: float = 2.0
    allow_stale: bool = True
    max_stale_s: float = 87_600 * 3600.0

    def ttl_of(self, service: str) -> int:
        """TTL of a service's records in seconds (row D29): the exact name, else the longest `prefix*`."""
        table = self.service_ttl_s
        if not table:
            return 0
        name = service.lower()
        exact = table.get(name)
        if exact is not None:
            return exact
        best, ttl = -1, 0
        for pattern, seconds in table.items():
            if pattern.endswith("*") and len(pattern) > best and name.startswith(pattern[:-1].lower()):
                best, ttl = len(pattern), seconds
        return ttl
