"""What of Consul is accepted but has nothing behind it yet: options and commands by the feature they wait for.

Source: the compatibility surface, sections 3 and 8; developer.hashicorp.com/consul/docs/agent/config and
developer.hashicorp.com/consul/commands. Options named here are read and checked, so that files load, and do nothing;
commands named here do not exist. docs/compatibility.md is made from this table. `tests/meta/test_docs.py` compares it
with what the code depends on: whoever builds a feature takes its options and commands off, and whoever declares an
option that nothing depends on adds it here. What may change here: rows and words; pure data, imported by nobody's hot
path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["WAITING", "Waiting", "command_waits_for", "waits_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One feature. `options` are full keys or whole groups ("gossip_lan"), `commands` (row, path)."""

    feature: str
    options: tuple[str, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()


WAITING: tuple[Waiting, ...] = (
    Waiting(
        feature="Envoy over xDS, and mesh gateways",
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


def command_waits_for(words: Sequence[str]) -> tuple[str, str]:
    """(command, feature) of the longest beginning of `words` that is a command, or a group of them, that waits."""
    for length in range(len(words), 0, -1):
        typed = " ".join(words[:length])
        for row in WAITING:
            if any(path == typed or path.startswith(f"{typed} ") for _, path in row.commands):
                return typed, row.feature
    return "", ""
