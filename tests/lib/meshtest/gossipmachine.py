"""Gossip machines without I/O: a delegate that remembers, nodes, and what their commands say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from meshagent.agent.gossip import messages as m
from meshagent.agent.gossip.node import Address, Node, NodeState, parse_ip
from meshagent.agent.gossip.packet import PacketCodec
from meshagent.agent.gossip.settings import LAN, GossipSettings
from meshagent.agent.gossip.signals import PacketRead, SendPacket
from meshagent.agent.gossip.streams import PushPull
from meshagent.agent.gossip.swim import Memberlist
from meshagent.machine import Command, SetTimer, TimerFired
from meshagent.metrics import Metrics

#: A pool in which nothing happens by itself (a `Player` probes only if it is told to).
STILL = replace(LAN, push_pull_interval_s=0, gossip_interval_s=0)
_DECODE = {
    0: m.decode_ping,
    1: m.decode_indirect_ping,
    2: m.decode_ack,
    3: m.decode_suspect,
    4: m.decode_alive,
    5: m.decode_dead,
    8: bytes,
    11: m.decode_nack,
}


class Recorder:
    """A delegate that remembers what it was told, and says what it is told to say."""

    def __init__(self) -> None:
        self.meta = b""
        self.ack = b""
        self.state = b""
        self.waiting: list[bytes] = []
        self.heard: list[tuple[str, object]] = []
        self.merge_refusal: str | None = None
        self.alive_refusal: str | None = None

    def node_meta(self) -> bytes:
        return self.meta

    def user_message(self, payload: bytes, source: Address, now: float) -> None:
        self.heard.append(("user", payload))

    def has_broadcasts(self) -> bool:
        return bool(self.waiting)

    def broadcasts(self, overhead: int, limit: int) -> list[bytes]:
        taken: list[bytes] = []
        while self.waiting and len(self.waiting[0]) + overhead <= limit:
            limit -= len(self.waiting[0]) + overhead
            taken.append(self.waiting.pop(0))
        return taken

    def local_state(self, join: bool) -> bytes:
        return self.state

    def merge_remote_state(self, state: bytes, join: bool, now: float) -> None:
        self.heard.append(("state", state))

    def notify_join(self, node: Node, now: float) -> None:
        self.heard.append(("join", node.name))

    def notify_leave(self, node: Node, now: float) -> None:
        self.heard.append(("left" if node.state is NodeState.LEFT else "dead", node.name))

    def notify_update(self, node: Node, now: float) -> None:
        self.heard.append(("update", node.name))

    def notify_conflict(self, existing: Node, other: Node, now: float) -> None:
        self.heard.append(("conflict", (existing.address, other.address)))

    def refuse_merge(self, peers: Sequence[Node], now: float) -> str | None:
        return self.merge_refusal

    def refuse_alive(self, peer: Node, now: float) -> str | None:
        return self.alive_refusal

    def ack_payload(self) -> bytes:
        return self.ack

    def ping_complete(self, node: Node, rtt_s: float, payload: bytes, now: float) -> None:
        self.heard.append(("rtt", (node.name, round(rtt_s, 6), payload)))

    def take(self, *kinds: str) -> list[tuple[str, object]]:
        """What was heard since the last look, of those kinds (all by default)."""
        heard, self.heard = self.heard, []
        return [item for item in heard if not kinds or item[0] in kinds]


class Player:
    """One machine named `me` at 10.0.0.1:7946, and a clock that the test moves."""

    def __init__(
        self,
        settings: GossipSettings = STILL,
        *,
        codec: PacketCodec | None = None,
        seed: int = 1,
        probing: bool = False,
    ) -> None:
        self.delegate = Recorder()
        self.metrics = Metrics()
        self.codec = codec or PacketCodec()
        self.machine = Memberlist(
            "me",
            parse_ip("10.0.0.1"),
            7946,
            settings=settings,
            delegate=self.delegate,
            rng=Random(seed),
            packets=self.codec,
            metrics=self.metrics,
        )
        if not probing:
            self.machine._probing.start = lambda now: None  # type: ignore[method-assign]
        self.now = 100.0
        self.wake_at = float("inf")
        self.machine.start(self.now)
        self.keep(self.machine.take_commands())
        self.delegate.take()

    def keep(self, commands: list[Command]) -> list[Command]:
        """Note timers; the rest is for the test."""
        for command in commands:
            if isinstance(command, SetTimer):
                self.wake_at = command.at
        return [command for command in commands if not isinstance(command, SetTimer)]

    def hear(self, *messages: bytes, source: Address = ("10.0.0.9", 7946)) -> list[Command]:
        """One packet with these messages comes."""
        out: list[Command] = []
        for data in self.codec.encode(list(messages)):
            out += self.keep(self.machine.handle(PacketRead(data, source), self.now))
        return out

    def advance(self, seconds: float) -> list[Command]:
        """Let time pass, timers firing at their moments."""
        end, out = self.now + seconds, []
        while self.wake_at <= end:
            self.now, self.wake_at = max(self.now, self.wake_at), float("inf")
            out += self.keep(self.machine.handle(TimerFired("memberlist"), self.now))
        self.now = end
        return out

    def know(self, *names: str, **fields: object) -> None:
        """Members at 10.0.1.x, known from an alive message."""
        for name in names:
            self.hear(m.encode_alive(peer(name, **fields)))
        self.delegate.take()

    def state(self, name: str) -> NodeState | None:
        node = self.machine.node(name)
        return None if node is None else node.state

    def dropped(self) -> dict[str, int]:
        """What was refused, by reason."""
        rows = self.metrics.prometheus().decode().splitlines()
        prefix = 'consul_memberlist_dropped{reason="'
        return {
            row.removeprefix(prefix).split('"')[0]: int(row.rsplit(" ", 1)[1]) for row in rows if row.startswith(prefix)
        }


def peer(name: str, incarnation: int = 1, **fields: object) -> Node:
    """A node at an address of its own."""
    known = {"addr": bytes((10, 0, 1, sum(name.encode()) % 251)), "port": 7946} | fields
    return Node(name, incarnation=incarnation, **known)  # type: ignore[arg-type]


def said(commands: list[Command], codec: PacketCodec | None = None) -> list[tuple[str, object]]:
    """(address, message) of the packets in `commands`, in order; messages decoded."""
    found: list[tuple[str, object]] = []
    for command in commands:
        if isinstance(command, SendPacket):
            messages = (codec or PacketCodec()).decode(command.data)[0]
            found += [(command.address[0], _DECODE[message[0]](message[1:])) for message in messages]
    return found


def exchange(*nodes: Node, join: bool = False, state: bytes = b"") -> PushPull:
    return PushPull(join, nodes, state)
