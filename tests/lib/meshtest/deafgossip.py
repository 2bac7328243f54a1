"""Gossip without a network, for agents in process: each pool has one member, and every join is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshagent.agent.gossip.node import Address, show_address
from meshagent.agent.gossip.signals import Closed, Dial, Reply, SendPacket
from meshagent.agent.gossip.transport import GossipTransport
from meshagent.errors import InternalError
from meshagent.machine import CancelTimer, Command, Log, SetTimer

__all__ = ["DeafTransport"]

_UNHEARD = (SendPacket, Dial, Reply, Closed, SetTimer, CancelTimer, Log)


class DeafTransport(GossipTransport):
    """Runs a machine that hears nobody, and whose timers never fire."""

    def __init__(
        self, machine: Any, _streams: Any, clock: Any, *, on_command: Callable[[Command], None], **_: Any
    ) -> None:
        self.machine = machine
        self._clock = clock
        self._on_command = on_command

    def listen(self, host: str, port: int) -> tuple[str, int]:
        return (host, port)

    def start(self) -> None:
        self.machine.start(self._clock.monotonic())
        self.flush()

    async def close(self) -> None:
        """There is nothing to close."""

    async def join(self, address: Address) -> None:
        raise InternalError(f"dial tcp {show_address(address)}: connect: connection refused")

    def flush(self) -> None:
        for command in self.machine.take_commands():
            if not isinstance(command, _UNHEARD):
                self._on_command(command)
