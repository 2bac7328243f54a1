from __future__ import annotations

import pytest

from meshagent.agent.compatibility import WAITING, waits_for


@pytest.mark.parametrize(
    ("option", "feature"),
    [
        ("cache.entry_fetch_rate", ""),
        ("auto_encrypt.tls", ""),
        ("gossip_lan.probe_interval", ""),
        ("xds.update_max_per_second", ""),
        ("translate_wan_addrs", ""),
        ("limits.rpc_rate", ""),
        ("tls.internal_rpc.verify_server_hostname", ""),
        ("tls.https.cert_file", ""),
        ("ports.http", ""),
        ("connector", ""),
    ],
)
def test_an_option_waits_with_its_group_and_not_with_its_namesakes(option: str, feature: str) -> None:
    assert waits_for(option) == feature


def test_every_option_of_a_row_waits_for_its_feature() -> None:
    for row in WAITING:
        for option in row.options:
            assert waits_for(option) == waits_for(f"{option}.below") == row.feature
