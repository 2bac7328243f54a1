from __future__ import annotations

from typing import Any

from meshagent.agent.config import Config
from meshagent.agent.config.server import Limits, RaftLogStore


def test_rates_and_connections_may_change_while_running() -> None:
    """G4."""
    fixed = {key for key, option in Limits.every_option() if not option.reload}
    assert fixed == {"https_handshake_timeout", "rpc_handshake_timeout", "kv_max_value_size", "txn_max_req_len"}


def test_the_store_of_the_log_is_accepted_without_effect() -> None:
    """G21."""
    assert all(option.inert for _, option in RaftLogStore.every_option())


def test_timers_scale_within_bounds(configure: Any) -> None:
    assert configure("performance { raft_multiplier = 10 }").performance.raft_multiplier == 10
    assert "between 1 and 10" in configure.problems("performance { raft_multiplier = 0 }")[0]
    assert Config().performance.raft_multiplier == 5
