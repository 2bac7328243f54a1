from __future__ import annotations

import pytest

from meshagent.agent.compatibility import WAITING, command_waits_for, waits_for


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


def test_a_command_is_found_by_the_longest_beginning_that_waits() -> None:
    assert command_waits_for(["zork", "list"]) == ("", "")
    assert command_waits_for([]) == ("", "")
    for row in WAITING:
        for _, path in row.commands:
            assert command_waits_for([*path.split(), "a", "-b"]) == (path, row.feature)
