"""The time of now as rows of ACLs have it: RFC 3339, UTC.

Source: surface rows AC4, O10. What may change here: nothing, rows are compared as texts.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["now_text"]


def now_text(agent: Agent) -> str:
    """The time of now."""
    return agent.clock.now().astimezone(UTC).isoformat().replace("+00:00", "Z")
