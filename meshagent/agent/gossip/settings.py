"""How a pool gossips: the presets LAN, WAN and local, and what the configuration changes of them.

Source: surface rows S20 to S35 and G14, golden README section 8, memberlist's published defaults. All nodes of a pool
should use the same values. Durations are seconds. What may be changed: defaults only where Consul's change.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from meshagent.agent.gossip.node import DEFAULT_VERSIONS
from meshagent.errors import ConfigError

__all__ = ["LAN", "LOCAL", "WAN", "GossipOptions", "GossipSettings", "Network", "parse_networks", "with_options"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class GossipOptions(Protocol):
    """The blocks `gossip_lan` and `gossip_wan` of the configuration."""

    gossip_nodes: int
    gossip_interval: float
    probe_interval: float
    probe_timeout: float
    retransmit_mult: int
    suspicion_mult: int


@dataclass(frozen=True, slots=True)
class GossipSettings:
    """`reclaim_s`: after so long a death another address may take the name (0: never). `allowed`: networks members may
    be in (None: all). `versions`: what we tell of ourselves (`Node.versions`). `tcp_pings`: try TCP when UDP is silent.
    """

    probe_interval_s: float = 1.0
    probe_timeout_s: float = 0.5
    indirect_checks: int = 3
    suspicion_mult: int = 4
    suspicion_max_mult: int = 6
    retransmit_mult: int = 4
    gossip_interval_s: float = 0.2
    gossip_nodes: int = 3
    gossip_to_the_dead_s: float = 30.0
    push_pull_interval_s: float = 30.0
    tcp_timeout_s: float = 10.0
    awareness_max: int = 8
    reclaim_s: float = 30.0
    allowed: tuple[Network, ...] | None = None
    versions: bytes = DEFAULT_VERSIONS
    tcp_pings: bool = True


LAN = GossipSettings()
WAN = replace(
    LAN,
    probe_interval_s=5.0,
    probe_timeout_s=3.0,
    suspicion_mult=6,
    gossip_interval_s=0.5,
    gossip_nodes=4,
    gossip_to_the_dead_s=60.0,
    push_pull_interval_s=60.0,
    tcp_timeout_s=30.0,
)
LOCAL = replace(
    LAN,
    probe_timeout_s=0.2,
    indirect_checks=1,
    suspicion_mult=3,
    retransmit_mult=2,
    gossip_interval_s=0.1,
    gossip_to_the_dead_s=15.0,
    push_pull_interval_s=15.0,
    tcp_timeout_s=1.0,
)


def with_options(preset: GossipSettings, options: GossipOptions, allowed: Sequence[str] = ()) -> GossipSettings:
    """The preset with the configuration's values; `allowed` in CIDR form, empty for all. Raises ConfigError."""
    return replace(
        preset,
        probe_interval_s=options.probe_interval,
        probe_timeout_s=options.probe_timeout,
        suspicion_mult=options.suspicion_mult,
        retransmit_mult=options.retransmit_mult,
        gossip_interval_s=options.gossip_interval,
        gossip_nodes=options.gossip_nodes,
        allowed=parse_networks(allowed) if allowed else None,
    )


def parse_networks(words: Sequence[str]) -> tuple[Network, ...]:
    """`10.0.0.0/8`, `fd00::/8`. Raises ConfigError that names every word that is none."""
    found, bad = [], []
    for word in words:
        try:
            found.append(ipaddress.ip_network(word, strict=False))
        except ValueError as error:
            bad.append(f"allowed CIDRs: {error}")
    if bad:
        raise ConfigError(bad)
    return tuple(found)
