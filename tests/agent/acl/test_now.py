"""The time of now as rows of ACLs have it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import cast

from meshagent.agent.acl.now import now_text
from meshagent.agent.core import Agent


def test_it_is_utc_wherever_the_clock_is() -> None:
    moment = datetime(2026, 11, 27, 20, 15, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    agent = cast("Agent", SimpleNamespace(clock=SimpleNamespace(now=lambda: moment)))
    assert now_text(agent) == "2026-11-27T18:15:00.000005Z"
    assert datetime.fromisoformat(now_text(agent)) == moment.astimezone(UTC)
