"""What can be set on the log, with Consul's defaults.

Source: https://developer.hashicorp.com/consul/docs/agent/config/config-files, `raft_snapshot_threshold`,
`raft_snapshot_interval`, `raft_trailing_logs`, `performance.raft_multiplier`. Consul counts entries; one of our
entries holds many commands, so these count commands.

What may be changed: limits that have a measurement beside them, with a new measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshagent.catalog.raft.segments import RESERVE_BYTES, SEGMENT_BYTES

__all__ = ["RaftSettings"]


@dataclass(frozen=True, slots=True)
class RaftSettings:
    snapshot_threshold: int = 16384  # commands since the last snapshot that make a new one worth it
    snapshot_interval_s: float = 30.0  # how often that is looked at (plus up to as much again, by chance)
    trailing_logs: int = 10240  # commands before the snapshot that stay on disk, for followers that are a little behind
    segment_bytes: int = SEGMENT_BYTES
    reserve_bytes: int = RESERVE_BYTES
    kept_log_bytes: int = 48 << 20  # ... or as many bytes: 250,000 writes; sending them is quicker than a large state
    multiplier: int = 5  # scales the three below, as `raft_multiplier` does (1 is for fast machines and -dev)
    heartbeat_s: float = 0.02
    election_min_s: float = 0.1
    election_max_s: float = 0.2
    lease_share: float = 0.75  # of the shortest election timeout; the rest is for clocks that run at other speeds
    max_entry_commands: int = 512  # commands in one log entry: an entry is applied in one go (512 take about 3 ms)
    max_entry_bytes: int = 1 << 20
    slice_s: float = 0.004  # the longest the loop is held at a stretch, applying a backlog or taking a snapshot
