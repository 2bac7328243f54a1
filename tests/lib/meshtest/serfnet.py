"""A small network of serf machines on virtual time: packets and streams between them, one seed, no sockets."""

from __future__ import annotations

import heapq
import ipaddress
import random
from collections.abc import Callable, Iterable
from typing import Any

from meshagent.agent.gossip.delegate import Delegate, Pool
from meshagent.agent.gossip.drops import reason_of
from meshagent.agent.gossip.keyring import Keyring
from meshagent.agent.gossip.member import Status
from meshagent.agent.gossip.node import Address
from meshagent.agent.gossip.packet import PacketCodec
from meshagent.agent.gossip.seal import Seal
from meshagent.agent.gossip.serf import Serf
from meshagent.agent.gossip.serf_settings import SerfSettings
from meshagent.agent.gossip.serf_signals import KeysChanged
from meshagent.agent.gossip.settings import LAN, GossipSettings
from meshagent.agent.gossip.signals import (
    Closed,
    Dial,
    DialFailed,
    DialRead,
    PacketRead,
    Reply,
    SendPacket,
    StreamRead,
    StreamRefused,
)
from meshagent.agent.gossip.streams import StreamCodec
from meshagent.agent.gossip.swim import Memberlist
from meshagent.errors import RemoteProtocolError
from meshagent.machine import CancelTimer, Command, Event, Log, SetTimer, TimerFired

__all__ = ["Net", "Peer"]


class Peer:
    """One member: its machine, what it said to its edge, and the words of its log."""

    def __init__(self, net: Net, name: str, address: Address, serf: Serf, packets: PacketCodec, ring: Keyring) -> None:
        self.net = net
        self.name = name
        self.address = address
        self.serf = serf
        self.ring = ring
        self.streams = StreamCodec(packets)
        self.said: list[Command] = []
        self.log: list[str] = []
        self.up = True
        #: Called with each thing that is said.
        self.hook: Callable[[Command], None] = lambda command: None

    def of(self, kind: type) -> list[Any]:
        """What was said of one kind."""
        return [command for command in self.said if isinstance(command, kind)]

    def statuses(self) -> dict[str, Status]:
        """Members as this one sees them."""
        return {entry.node.name: entry.status for entry in self.serf.members}

    def do(self, act: Callable[[Serf, float], Any]) -> Any:
        """Call the machine from outside."""
        result = act(self.serf, self.net.now)
        self.net.run(self, self.serf.take_commands())
        return result


class Net:
    """All peers, and time."""

    def __init__(self, seed: int = 1, *, loss: float = 0.0, delay_s: float = 0.001) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.loss = loss
        self.delay_s = delay_s
        self.peers: dict[Address, Peer] = {}
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._timers: dict[tuple[str, str], int] = {}
        self._streams: dict[int, tuple[Peer, int]] = {}
        self._cut: set[frozenset[str]] = set()

    def peer(
        self,
        name: str,
        *,
        tags: dict[str, str] | None = None,
        keys: Iterable[bytes] = (),
        settings: SerfSettings | None = None,
        gossip: GossipSettings = LAN,
        address: Address | None = None,
        gate: Any = None,
        start: bool = True,
    ) -> Peer:
        """Add a member, alone in its pool."""
        if address is None:
            address = (f"127.0.0.{len(self.peers) + 1}", 8301)
        rng = random.Random(self.rng.random())
        ring = Keyring(keys)
        packets = PacketCodec(Seal(ring, lambda: rng.randbytes(12)))

        def make_pool(delegate: Delegate) -> Pool:
            return Memberlist(
                name,
                ipaddress.ip_address(address[0]).packed,
                address[1],
                settings=gossip,
                delegate=delegate,
                rng=rng,
                packets=packets,
            )

        serf = Serf(make_pool=make_pool, tags=tags or {}, ring=ring, rng=rng, settings=settings, gate=gate)
        peer = self.peers[address] = Peer(self, name, address, serf, packets, ring)
        if start:
            peer.do(lambda serf, now: serf.start(now))
        return peer

    def pool(self, count: int, **more: Any) -> list[Peer]:
        """`count` members that have joined each other."""
        peers = [self.peer(f"n{number}", **more) for number in range(count)]
        for peer in peers[1:]:
            peer.do(lambda serf, now: serf.join(peers[0].address, now))
            self.advance(0.01)
        self.advance(3.0)
        return peers

    def cut(self, a: Peer, b: Peer) -> None:
        """Nothing goes between the two any more."""
        self._cut.add(frozenset((a.name, b.name)))

    def heal(self) -> None:
        """Everything goes everywhere again."""
        self._cut.clear()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end:
            at, _, act = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            act()
        self.now = end

    def until(self, holds: Callable[[], bool], limit_s: float = 60.0) -> None:
        """Let time pass until something holds."""
        end = self.now + limit_s
        while not holds():
            assert self.now < end, f"not within {limit_s:g} s"
            self.advance(0.05)

    def _later(self, delay_s: float, act: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.now + delay_s, self._count, act))

    def _reaches(self, a: Peer, b: Peer | None) -> bool:
        return b is not None and a.up and b.up and frozenset((a.name, b.name)) not in self._cut

    def handle(self, peer: Peer, event: Event) -> None:
        """Give a peer an event, and do what it asks for."""
        if peer.up:
            self.run(peer, peer.serf.handle(event, self.now))

    def run(self, peer: Peer, commands: list[Command]) -> None:
        """Do what a machine asked for."""
        for command in commands:
            if isinstance(command, SendPacket):
                self._send(peer, command)
            elif isinstance(command, Dial):
                self._dial(peer, command)
            elif isinstance(command, (Reply, Closed)):
                self._answer(command)
            elif isinstance(command, SetTimer):
                self._set(peer, command)
            elif isinstance(command, CancelTimer):
                self._timers.pop((peer.name, command.name), None)
            elif isinstance(command, Log):
                self_log = f"{self.now:.2f} {peer.name} {command.message}"
                peer.log.append(self_log)
            else:
                peer.said.append(command)
                peer.hook(command)
                if isinstance(command, KeysChanged):
                    peer.do(lambda serf, now, it=command: serf.queries.keys_kept(it.token, it.response, now))

    def _set(self, peer: Peer, timer: SetTimer) -> None:
        self._count += 1
        mark = self._timers[peer.name, timer.name] = self._count

        def fire() -> None:
            if self._timers.get((peer.name, timer.name)) == mark:
                self.handle(peer, TimerFired(timer.name))

        self._later(max(timer.at - self.now, 0.0), fire)

    def _send(self, peer: Peer, packet: SendPacket) -> None:
        target = self.peers.get(packet.address)
        if self._reaches(peer, target) and (target is peer or self.rng.random() >= self.loss):
            assert target is not None
            self._later(self.delay_s, lambda: self.handle(target, PacketRead(packet.data, peer.address)))

    def _dial(self, peer: Peer, dial: Dial) -> None:
        target = self.peers.get(dial.address)
        if not self._reaches(peer, target):
            self._later(self.delay_s, lambda: self.handle(peer, DialFailed(dial.dial, "connection refused")))
            return
        assert target is not None
        self._count += 1
        stream = self._count
        self._streams[stream] = (peer, dial.dial)
        try:
            message = target.streams.reader(dialled=True).feed(dial.data)
        except RemoteProtocolError as error:
            refused = StreamRefused(stream, reason_of(error), str(error), peer.address)
            self._later(self.delay_s, lambda: self.handle(target, refused))
            return
        assert message is not None
        self._later(self.delay_s, lambda: self.handle(target, StreamRead(stream, message, peer.address)))
        if not dial.answered:
            self._later(self.delay_s, lambda: self.handle(peer, DialRead(dial.dial, None)))

    def _answer(self, command: Reply | Closed) -> None:
        peer, dial = self._streams.pop(command.stream)
        if isinstance(command, Closed):
            self._later(self.delay_s, lambda: self.handle(peer, DialFailed(dial, "closed")))
            return
        try:
            message = peer.streams.reader(dialled=False).feed(command.data)
        except RemoteProtocolError as error:
            detail = str(error)
            self._later(self.delay_s, lambda: self.handle(peer, DialFailed(dial, detail)))
        else:
            self._later(self.delay_s, lambda: self.handle(peer, DialRead(dial, message)))
