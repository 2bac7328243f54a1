from __future__ import annotations

import pytest

from meshagent.agent.config.network import GossipLan, GossipWan
from meshagent.agent.gossip.settings import LAN, LOCAL, WAN, parse_networks, with_options
from meshagent.errors import ConfigError


def test_the_presets_are_memberlists() -> None:
    rows = [
        (s.probe_interval_s, s.probe_timeout_s, s.indirect_checks, s.suspicion_mult, s.retransmit_mult)
        for s in (LAN, WAN, LOCAL)
    ]
    assert rows == [(1, 0.5, 3, 4, 4), (5, 3, 3, 6, 4), (1, 0.2, 1, 3, 2)]
    rows = [
        (s.gossip_interval_s, s.gossip_nodes, s.gossip_to_the_dead_s, s.push_pull_interval_s, s.tcp_timeout_s)
        for s in (LAN, WAN, LOCAL)
    ]
    assert rows == [(0.2, 3, 30, 30, 10), (0.5, 4, 60, 60, 30), (0.1, 3, 15, 15, 1)]


@pytest.mark.parametrize(("preset", "options"), [(LAN, GossipLan()), (WAN, GossipWan())])
def test_the_configurations_defaults_are_the_presets(preset: object, options: object) -> None:
    assert with_options(preset, options) == preset  # type: ignore[arg-type]


def test_the_configuration_decides() -> None:
    settings = with_options(LAN, GossipLan(gossip_nodes=5, probe_interval=0.1), ["10.0.0.0/8", "fd00::/8"])
    assert (settings.gossip_nodes, settings.probe_interval_s) == (5, 0.1)
    assert [str(network) for network in settings.allowed or ()] == ["10.0.0.0/8", "fd00::/8"]


def test_every_bad_network_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        parse_networks(["10.0.0.0/8", "10.0.0.0/99", "x"])
    assert len(error.value.problems) == 2
    assert "10.0.0.0/99" in error.value.problems[0]
