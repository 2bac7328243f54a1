"""A network between simulated servers that delays, loses, doubles, reorders and cuts, as one generator says.

Messages pass through their bytes, so that what is simulated is what is on the wire. A connection goes one way (each
server dials each), and gets a new number when it is made anew; what was under way on the old one may still arrive.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from meshagent.catalog.raft.messages import Message, decode_message, encode_message


@dataclass
class Weather:
    """How bad it is."""

    loss: float = 0.0
    doubled: float = 0.0
    delay_s: tuple[float, float] = (0.0002, 0.002)
    reconnects: float = 0.0  # chance that a message finds its connection broken
    reorders: bool = False  # also within a connection: more than TCP would do


class Network:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.weather = Weather()
        self.ports: dict[str, Port] = {}
        self.cut: set[tuple[str, str]] = set()  # (from, to)
        self.sent = 0
        self.forgets = 0  # how often all that was under way was lost
        self.on_sent: Callable[[str, Message], None] = lambda sender, message: None
        self.on_delivered: Callable[[str, str, Message], None] = lambda sender, receiver, message: None

    def port(self, node_id: str) -> Port:
        port = Port(self, node_id, self.ports[node_id].epochs if node_id in self.ports else {})
        self.ports[node_id] = port
        return port

    def break_off(self, node_id: str) -> None:
        """Whoever dialled `node_id` dials again."""
        for port in self.ports.values():
            if node_id in port.epochs:
                port.epochs[node_id] += 1

    def carry(self, sender: str, receiver: str, epoch: int, data: bytes) -> None:
        self.sent += 1
        weather, rng = self.weather, self.rng
        if rng.random() < weather.reconnects:
            self.ports[sender].epochs[receiver] = epoch + 1
        if (sender, receiver) in self.cut or rng.random() < weather.loss:
            return
        for _ in range(1 + (rng.random() < weather.doubled)):
            self._schedule(sender, receiver, epoch, data)

    def _schedule(self, sender: str, receiver: str, epoch: int, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        port = self.ports[sender]
        at = loop.time() + self.rng.uniform(*self.weather.delay_s)
        if not self.weather.reorders:
            key = (receiver, epoch)
            at = max(at, port.last.get(key, 0.0))
            port.last[key] = at
        loop.call_at(at, self._arrive, sender, receiver, epoch, data, self.forgets)

    def forget(self) -> None:
        """All that is under way is lost."""
        self.forgets += 1

    def _arrive(self, sender: str, receiver: str, epoch: int, data: bytes, forgets: int) -> None:
        port = self.ports.get(receiver)
        if port is None or not port.alive or (sender, receiver) in self.cut or forgets != self.forgets:
            return
        if port.paused:
            port.backlog.append((sender, epoch, data))
            return
        message = decode_message(data)
        self.on_delivered(sender, receiver, message)
        port.on_message(sender, message, epoch)


class Port:
    """One server's `Transport`."""

    def __init__(self, network: Network, node_id: str, epochs: dict[str, int]) -> None:
        self._network = network
        self._node_id = node_id
        # A restarted server dials anew. That the numbers go on is what a receiver sees: it numbers what comes in.
        self.epochs = {peer: epoch + 1 for peer, epoch in epochs.items()}
        self.last: dict[tuple[str, int], float] = {}
        self.alive = True
        self.paused = False
        self.backlog: list[tuple[str, int, bytes]] = []
        self.on_message: Callable[[str, Message, int], None] = lambda *_: None
        self.on_connection: Callable[[str], None] = lambda _: None

    def attach(self, on_message: Callable[[str, Message, int], None], on_connection: Callable[[str], None]) -> None:
        self.on_message, self.on_connection = on_message, on_connection

    def set_servers(self, servers: Mapping[str, str]) -> None:
        return

    def send(self, node_id: str, message: Message) -> None:
        if self.alive:
            self._network.on_sent(self._node_id, message)
            self._network.carry(self._node_id, node_id, self.epoch(node_id), encode_message(message))

    def connected(self, node_id: str) -> bool:
        return True

    def epoch(self, node_id: str) -> int:
        return self.epochs.setdefault(node_id, 1)

    def resume(self) -> None:
        self.paused = False
        backlog, self.backlog = self.backlog, []
        for sender, epoch, data in backlog:
            if self.alive:
                self._network._arrive(sender, self._node_id, epoch, data, self._network.forgets)
