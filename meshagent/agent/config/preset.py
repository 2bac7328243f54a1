"""`-dev`: a server in memory on this host alone (surface row G8), as data. It comes before files, which override it.

Source: developer.hashicorp.com/consul/docs/agent/config/cli-flags (`-dev`). The fast gossip timers make a lone agent
ready at once; they are no example for a network.
"""

from __future__ import annotations

from typing import Any

from meshagent.located import Place

__all__ = ["DEV", "DEV_PLACE"]

#: Where its values stand, for messages.
DEV_PLACE = Place("-dev")

_FAST = {"gossip_interval": "100ms", "probe_interval": "100ms", "probe_timeout": "100ms", "suspicion_mult": 3}

DEV: dict[str, Any] = {
    "server": True,
    "bind_addr": "127.0.0.1",
    "log_level": "DEBUG",
    "enable_debug": True,
    "disable_keyring_file": True,
    "disable_anonymous_signature": True,
    "ui_config": {"enabled": True},
    "connect": {"enabled": True},
    "peering": {"enabled": True},
    "ports": {"grpc": 8502},
    "performance": {"raft_multiplier": 1},
    "gossip_lan": _FAST,
    "gossip_wan": _FAST,
}
