"""What `consul info` shows of a server's Raft (A1)."""

from __future__ import annotations

from meshtest.disk import SimDisk
from meshtest.logs import History, open_on


async def test_stats_have_consuls_names() -> None:
    log = open_on(SimDisk(), History())
    await log.start()
    stats = log.stats()
    assert set(stats) == {
        "applied_index", "commit_index", "fsm_pending", "last_contact", "last_log_index", "last_log_term",
        "last_snapshot_index", "last_snapshot_term", "latest_configuration", "latest_configuration_index",
        "num_peers", "protocol_version", "protocol_version_max", "protocol_version_min", "snapshot_version_max",
        "snapshot_version_min", "state", "term",
    }  # fmt: skip
    assert all(isinstance(value, str) for value in stats.values())
    assert stats["state"] == "Leader"
    assert stats["num_peers"] == "0"
    assert stats["last_snapshot_index"] == "0"
    await log.stop()


async def test_the_configuration_lists_the_servers() -> None:
    log = open_on(SimDisk(), History())
    await log.start()
    assert log.stats()["latest_configuration"] == "[{Suffrage:Voter ID:node-1 Address:127.0.0.1:8300}]"
    await log.stop()
