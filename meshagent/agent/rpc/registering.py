"""Which commands an agent may send for itself: those that concern its own node.

What an agent registers for others goes through the HTTP API, as any user's. Source: surface rows E1-E3, CO1. Pure.

What may be changed: a kind of command is a row in `_NODES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshagent.catalog import commands
from meshagent.errors import CorruptData, Denied, RemoteProtocolError

__all__ = ["checked_command"]

#: Command -> names of the nodes that it concerns.
_NODES: dict[type, Callable[[Any], set[str]]] = {
    commands.Register: lambda command: {command.node.name, *(check.node for check in command.checks if check.node)},
    commands.Deregister: lambda command: {command.node},
    commands.CoordinateBatch: lambda command: {row.node for row in command.updates},
}


def checked_command(encoded: bytes, node: str) -> commands.Command:
    """The command, when the agent on `node` may send it.

    Raises:
        Denied: it concerns another node, or is of a kind that agents do not send.
        RemoteProtocolError: it does not decode.
    """
    try:
        command = commands.decode(encoded)
    except CorruptData as error:
        raise RemoteProtocolError(f"a registration does not decode: {error}") from error
    nodes = _NODES.get(type(command))
    if nodes is None:
        raise Denied(f"an agent does not send {type(command).__name__} for itself")
    for other in nodes(command):
        if other.lower() != node.lower():
            raise Denied(f"the agent on {node!r} may not register for node {other!r} over its own connection")
    return command
