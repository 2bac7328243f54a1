from __future__ import annotations

import pytest

from meshagent.agent.compatibility import waits_for


@pytest.mark.parametrize(
    ("option", "feature"),
    [
        ("encrypt", "gossip and client agents"),
        ("gossip_lan.probe_interval", "gossip and client agents"),
        ("tls.internal_rpc.verify_server_hostname", "clusters of servers"),
        ("tls.https.cert_file", ""),
        ("ports.http", ""),
        ("connector", ""),
    ],
)
def test_an_option_waits_with_its_group_and_not_with_its_namesakes(option: str, feature: str) -> None:
    assert waits_for(option) == feature
