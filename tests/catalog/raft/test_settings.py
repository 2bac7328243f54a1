"""The defaults are Consul's, and every timeout keeps the order that Raft needs."""

from __future__ import annotations

from meshagent.catalog.raft.settings import RaftSettings


def test_the_snapshot_defaults_are_consuls() -> None:
    # G21: raft_snapshot_threshold=16384, raft_snapshot_interval="30s", raft_trailing_logs=10240, raft_multiplier=5.
    settings = RaftSettings()
    assert (settings.snapshot_threshold, settings.snapshot_interval_s, settings.trailing_logs, settings.multiplier) == (
        16384,
        30.0,
        10240,
        5,
    )


def test_several_heartbeats_fit_into_the_shortest_election_timeout() -> None:
    settings = RaftSettings()
    assert settings.heartbeat_s * 5 <= settings.election_min_s < settings.election_max_s


def test_an_entry_fits_many_times_into_a_segment() -> None:
    settings = RaftSettings()
    assert settings.max_entry_bytes * 8 <= settings.segment_bytes
    assert settings.reserve_bytes <= settings.segment_bytes
