"""What `agent/self` and `info` show of the log, under Consul's names and as text.

Source: surface row A1 (`Stats.raft`); the names are hashicorp/raft's `Stats()`.
What may be changed: the names are part of the API.
"""

from __future__ import annotations

from meshagent.catalog.raft.engine import Engine
from meshagent.catalog.raft.snapshots import SnapshotId

__all__ = ["raft_stats"]

_VERSIONS = {
    "protocol_version": "3",
    "protocol_version_max": "3",
    "protocol_version_min": "0",
    "snapshot_version_max": "1",
    "snapshot_version_min": "0",
}


def raft_stats(engine: Engine, snapshot: SnapshotId, last_contact_ms: int) -> dict[str, str]:
    servers = " ".join(
        f"{{Suffrage:{'Voter' if server.voter else 'Nonvoter'} ID:{server.node_id} Address:{server.address}}}"
        for server in engine.configuration.servers
    )
    index = engine.configuration_index
    return {
        "applied_index": str(engine.applied_index),
        "commit_index": str(engine.commit_index),
        "fsm_pending": str(max(0, engine.commit_index - engine.applied_index)),
        "last_contact": "0" if engine.leads else f"{last_contact_ms}ms" if engine.leader_id else "never",
        "last_log_index": str(engine.last_index),
        "last_log_term": str(engine.last_term),
        "last_snapshot_index": str(snapshot.index if snapshot.term else 0),
        "last_snapshot_term": str(snapshot.term),
        "latest_configuration": f"[{servers}]",
        "latest_configuration_index": str(index if index > 1 else 0),
        "num_peers": str(engine.peer_count),
        "state": engine.state_name,
        "term": str(engine.term),
        **_VERSIONS,
    }
