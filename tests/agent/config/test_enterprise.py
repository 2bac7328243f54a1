from __future__ import annotations

from typing import Any

import pytest

from meshagent.agent.config import Config
from meshagent.agent.config.enterprise import ENTERPRISE


def test_no_key_is_both_offered_and_refused() -> None:
    known = {name for key, option in Config.every_option() for name in (key, *option.former)}
    assert not known & set(ENTERPRISE)


@pytest.mark.parametrize("value", ["[]", "false", '""'])
def test_a_key_that_asks_for_nothing_is_as_good_as_none(configure: Any, value: str) -> None:
    """Consul's own test server writes `"segments": null`."""
    assert configure.warnings(f"segments = {value}") == []
    assert configure.problems('segments = [{ name = "a" }]') == [
        "b.hcl:1:1: segments belongs to Consul Enterprise (network segments), which this agent does not offer"
    ]


@pytest.mark.parametrize("value", ["true", "false"])
def test_what_switches_off_what_is_not_here_is_taken(configure: Any, value: str) -> None:
    """Consul's Helm chart writes it for every server."""
    assert configure.warnings(f"autopilot {{ disable_upgrade_migration = {value} }}") == []
