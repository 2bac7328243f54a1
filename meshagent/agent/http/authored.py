"""Who writes: a command with its author around it, when versions are kept (`catalog/history.py`).

Source: ours. What may change here: what of a request says who it was; never a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.agent.http.request import Request
from meshagent.catalog import commands

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["authored"]

#: The longest description of a token that is kept with each version.
_MAX_NAME = 128


def authored(agent: Agent, request: Request, command: commands.Recorded) -> commands.Command:
    """`command`, and with `history.versions` its author: the token of the request and the agent that was asked."""
    history = agent.config.history
    if not history.versions:
        return command
    identity = request.identity
    token = identity.token if identity is not None else None
    return commands.Authored(
        command,
        at=agent.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        accessor=request.access.accessor,
        name=token.description[:_MAX_NAME] if token is not None else "",
        agent=request.asker or agent.node_name,
        versions=history.versions,
        max_bytes=history.max_bytes,
    )
