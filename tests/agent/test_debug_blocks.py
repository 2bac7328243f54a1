"""Surface row A1: the nested objects of `DebugConfig`; their shape is compared in test_debug_config.py."""

from meshtest.inprocess import server_config

from meshagent.agent import debug_blocks
from meshagent.agent.debug_fields import render


def test_gossip_is_shown_for_both_pools():
    shown = render(debug_blocks.gossip("wan"), server_config())
    assert shown["GossipWANProbeTimeout"] == "3s"
    assert shown["GossipWANSuspicionMult"] == 6


def test_tls_shows_no_keys():
    config = server_config()
    tls = config.tls.replace(https=config.tls.https.replace(key_file="/etc/key.pem", cert_file="/etc/cert.pem"))
    shown = render(debug_blocks.TLS, config.replace(tls=tls))
    assert (shown["HTTPS"]["KeyFile"], shown["HTTPS"]["CertFile"]) == ("hidden", "/etc/cert.pem")
