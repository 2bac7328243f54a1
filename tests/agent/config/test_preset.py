from __future__ import annotations

from meshagent.agent.config import table_of
from meshagent.agent.config.merge import Draft
from meshagent.agent.config.preset import DEV, DEV_PLACE


def test_the_preset_is_a_source_like_any_other() -> None:
    draft = Draft()
    draft.add(table_of(DEV.items(), DEV_PLACE))
    assert draft.problems == []
    assert draft.warnings == []
