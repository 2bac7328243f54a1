"""How servers reach each other, and the transport of a server that has no others.

Source: the interface is pysyncobj's `Transport` (callbacks for messages and connections, `send`, `addNode`,
`dropNode`, `ready`); messages are dicts of plain values, never pickled. A transport for several servers is passed in
by the RPC layer.

What may be changed: nothing leaves before what it says is on disk: senders go through `engine.Engine`'s gate.
"""

# ruff: noqa: N802 -- names that pysyncobj calls us by

from __future__ import annotations

from typing import Any

from meshagent.catalog.raft.seams import Node, Transport

__all__ = ["Alone"]


class Alone(Transport):  # type: ignore[misc]
    """A cluster of one."""

    def __init__(self) -> None:
        super().__init__(None, None, [])

    @property
    def ready(self) -> bool:
        return True

    def addNode(self, node: Node) -> None:
        raise AssertionError("a server alone has no peers")

    def dropNode(self, node: Node) -> None:
        raise AssertionError("a server alone has no peers")

    def send(self, node: Node, message: Any) -> bool:
        return False

    def destroy(self) -> None:
        pass
