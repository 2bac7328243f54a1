from __future__ import annotations

from typing import Any


def test_options_of_the_ca_are_kept_as_written(configure: Any) -> None:
    """G23: providers know their own options."""
    connect = configure(
        'connect { ca_provider = "vault" ca_config { leaf_cert_ttl = "72h" '
        'auth_method { type = "approle" params { a = 1 } } } }'
    ).connect
    assert connect.ca_provider == "vault"
    assert connect.ca_config == {"leaf_cert_ttl": "72h", "auth_method": {"type": "approle", "params": {"a": 1}}}


def test_bootstrap_entries_of_several_sources_append(configure: Any) -> None:
    entries = configure(
        'config_entries { bootstrap { kind = "proxy-defaults" name = "global" config { protocol = "http" } } }',
        'config_entries { bootstrap = [{ kind = "mesh" }, { kind = "x" }] }',
    ).config_entries.bootstrap
    assert [entry["kind"] for entry in entries] == ["proxy-defaults", "mesh", "x"]
    assert entries[0]["config"] == {"protocol": "http"}


def test_a_telemetry_sink_that_is_not_built_is_accepted(configure: Any) -> None:
    """G27."""
    assert configure('telemetry { circonus_api_token = "t" }').telemetry.circonus_api_token == "t"
