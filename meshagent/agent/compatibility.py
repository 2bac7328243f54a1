"""What of Consul is accepted but has nothing behind it yet: options by the feature they wait for.

Source: the compatibility surface, section 3; developer.hashicorp.com/consul/docs/agent/config. Options named here are
read and checked, so that files load, and do nothing. docs/compatibility.md is made from this table.
`tests/meta/test_docs.py` compares it with what the code depends on: whoever builds a feature takes its options off, and
whoever declares an option that nothing depends on adds it here. What may change here: rows and words; pure data,
imported by nobody's hot path.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WAITING", "Waiting", "waits_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One feature. `options` are full keys or whole groups ("gossip_lan")."""

    feature: str
    options: tuple[str, ...]


WAITING: tuple[Waiting, ...] = (
    Waiting(
        feature="gossip and RPC between datacenters through mesh gateways, and a bound on Envoys of one server",
        options=(
            "connect.enable_mesh_gateway_wan_federation",
            "primary_gateways",
            "primary_gateways_interval",
        ),
    ),
)


def waits_for(option: str) -> str:
    """The feature that an option waits for; "" if it has an effect (or is declared to have none)."""
    for row in WAITING:
        if any(option == key or option.startswith(f"{key}.") for key in row.options):
            return row.feature
    return ""
