from __future__ import annotations

from meshagent.agent.config import Config
from meshagent.agent.config.network import GossipLan, GossipWan, Ports


def test_ports_may_be_switched_off_and_end_at_65535() -> None:
    """G12."""
    for name, option in Ports.options.items():
        assert (option.low, option.high) == (-1, 65535), name
        assert ("-1 switches it off" in option.help) == (
            name in {"dns", "http", "https", "grpc", "grpc_tls", "serf_wan"}
        )


def test_lan_and_wan_gossip_have_the_same_options() -> None:
    """G14."""
    assert set(GossipLan.options) == set(GossipWan.options)
    assert GossipLan().probe_interval < GossipWan().probe_interval


def test_every_listener_has_an_address_and_a_port() -> None:
    config = Config()
    assert set(type(config.addresses).options) < set(Ports.options)
