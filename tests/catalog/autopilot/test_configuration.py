import msgspec

from meshagent.catalog.autopilot.configuration import AutopilotConfig


def test_defaults_are_consuls() -> None:
    config = AutopilotConfig()
    assert config.cleanup_dead_servers
    assert config.last_contact_threshold == 200_000_000
    assert config.max_trailing_logs == 250
    assert config.min_quorum == 0
    assert config.server_stabilization_time == 10_000_000_000


def test_an_older_row_without_a_field_has_its_default() -> None:
    old = msgspec.msgpack.encode({"MaxTrailingLogs": 3})
    assert msgspec.msgpack.decode(old, type=AutopilotConfig) == AutopilotConfig(max_trailing_logs=3)
