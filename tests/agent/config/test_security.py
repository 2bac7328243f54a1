from __future__ import annotations

from typing import Any

from meshagent.agent.config import Config
from meshagent.agent.config.security import TLS, TLSProtocol


def test_every_block_of_tls_has_the_same_options_and_a_reload_takes_them() -> None:
    """G4, G15."""
    for name, option in TLS.options.items():
        assert set(option.type.options) >= set(TLSProtocol.options), name
        assert all(inner.reload or inner.inert for inner in option.type.options.values())


def test_tokens_and_keys_are_secret() -> None:
    """C8: tokens are never shown."""
    secret = {key for key, option in Config.every_option() if option.secret}
    assert {key for key, _ in Config.every_option() if key.startswith("acl.tokens.")} <= secret
    assert {"encrypt", "auto_config.intro_token", "connect.ca_config"} <= secret


def test_old_names_of_tokens_still_work(configure: Any) -> None:
    """A25 names them."""
    config = configure('acl_agent_master_token = "a" acl_replication_token = "b" acl { tokens { agent_master = "c" } }')
    assert (config.acl.tokens.agent_recovery, config.acl.tokens.replication) == ("c", "b")
