from __future__ import annotations

from meshagent.agent.config import Config
from meshagent.agent.config.enterprise import ENTERPRISE


def test_no_key_is_both_offered_and_refused() -> None:
    known = {name for key, option in Config.every_option() for name in (key, *option.former)}
    assert not known & set(ENTERPRISE)
