"""Thousands of gossip machines in one process, on one virtual clock and one seeded network.

Packets take a drawn delay and are lost with a probability; streams arrive (TCP repeats) or find nobody. A node may be
killed (its host answers dials with a refusal), be cut off by UDP, be deaf (what it sends arrives, nothing reaches
it), be paused: then time stands still for it, packets wait in its buffer as in the kernel's, and when it goes on it
reads them before its timers, as `transport.py` does; or be slow, as in Lifeguard's experiments: its timers fire, but
what it sends and what comes waits until it is itself again.

Tables of a pool that has always known itself are filled by hand and share their `Node`s; streams pass their message
beside the bytes, which are only counted. All else is the real machine, real packets and real codecs.
"""

from __future__ import annotations

import gc
import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random

from meshagent.agent.gossip.delegate import WAKE
from meshagent.agent.gossip.node import Address, Node, NodeState
from meshagent.agent.gossip.packet import PacketCodec
from meshagent.agent.gossip.settings import LAN, GossipSettings
from meshagent.agent.gossip.signals import (
    Closed,
    Dial,
    DialFailed,
    DialRead,
    JoinEnded,
    PacketRead,
    Reply,
    SendPacket,
    StreamRead,
)
from meshagent.agent.gossip.streams import PushPull, StreamCodec, StreamMessage, encode_node
from meshagent.agent.gossip.swim import Memberlist
from meshagent.machine import Command, Event, Log, SetTimer, TimerFired
from meshagent.metrics import Metrics

PORT = 8301
#: What the kernel keeps of a paused node's packets.
BUFFERED_PACKETS = 4096


class Streams(StreamCodec):
    """Keeps messages by a token of as many bytes as they would have."""

    def __init__(self, packets: PacketCodec) -> None:
        super().__init__(packets)
        self._count = 0
        self.said: dict[bytes, tuple[StreamMessage, int]] = {}

    def encode(self, message: StreamMessage, *, dialling: bool) -> bytes:
        self._count += 1
        token = self._count.to_bytes(8, "big")
        size = 40
        if isinstance(message, PushPull) and message.nodes:
            size += len(encode_node(message.nodes[0])) * len(message.nodes) + len(message.user_state)
        self.said[token] = (message, size)
        return token


class Watch:
    """What one node's layer above hears: noted in its simulation, with nothing to say itself."""

    __slots__ = ("index", "meta", "sim")

    def __init__(self, sim: GossipSim, index: int) -> None:
        self.sim = sim
        self.index = index
        self.meta = b""

    def node_meta(self) -> bytes:
        return self.meta

    def user_message(self, payload: bytes, source: Address, now: float) -> None:
        self.sim.note("user", self.index, payload.decode())

    def has_broadcasts(self) -> bool:
        return False

    def broadcasts(self, overhead: int, limit: int) -> list[bytes]:
        return []

    def local_state(self, join: bool) -> bytes:
        return b""

    def merge_remote_state(self, state: bytes, join: bool, now: float) -> None:
        return

    def notify_join(self, node: Node, now: float) -> None:
        self.sim.note("join", self.index, node.name)

    def notify_leave(self, node: Node, now: float) -> None:
        self.sim.note("left" if node.state is NodeState.LEFT else "dead", self.index, node.name)

    def notify_update(self, node: Node, now: float) -> None:
        self.sim.note("update", self.index, node.name)

    def notify_conflict(self, existing: Node, other: Node, now: float) -> None:
        self.sim.note("conflict", self.index, other.name)

    def refuse_merge(self, peers: Sequence[Node], now: float) -> str | None:
        return None

    def refuse_alive(self, peer: Node, now: float) -> str | None:
        return None

    def ack_payload(self) -> bytes:
        return _COORDINATE

    def ping_complete(self, node: Node, rtt_s: float, payload: bytes, now: float) -> None:
        return


#: As long as serf's coordinate, so that bytes are counted as they would be.
_COORDINATE = bytes(130)


class SimNode:
    """One machine and what the simulation knows about its host."""

    __slots__ = (
        "alive",
        "deaf",
        "delegate",
        "held",
        "index",
        "machine",
        "name",
        "paused",
        "sent",
        "slow",
        "udp",
        "unsent",
        "wake_at",
    )

    def __init__(self, index: int, machine: Memberlist, delegate: Watch) -> None:
        self.index = index
        self.name = name_of(index)
        self.machine = machine
        self.delegate = delegate
        self.alive = True
        self.udp = True
        self.deaf = False
        self.paused = False
        self.slow = False
        self.held: list[Event] = []
        self.unsent: list[Command] = []
        self.wake_at = float("inf")
        self.sent = 0


def name_of(index: int) -> str:
    return f"node-{index}"


def addr_of(index: int) -> bytes:
    return bytes((10, index >> 16, index >> 8 & 255, index & 255))


def index_of(address: Address) -> int:
    _, high, middle, low = address[0].split(".")
    return int(high) << 16 | int(middle) << 8 | int(low)


class GossipSim:
    """`loss` is the share of datagrams that are lost, `delay_s` the bounds of their way."""

    def __init__(
        self,
        size: int,
        *,
        seed: int,
        settings: GossipSettings = LAN,
        loss: float = 0.0,
        delay_s: tuple[float, float] = (0.0005, 0.0015),
        metas: Callable[[int], bytes] = lambda index: b"\xff\x82\xa4role\xa4node\xa2dc\xa3dc1",
    ) -> None:
        self.rng = Random(seed)
        self.settings = settings
        self.loss = loss
        self.delay_s = delay_s
        self.metas = metas
        self.now = 0.0
        self.packets = 0
        self.noted: list[tuple[float, str, int, str]] = []
        self.counts: Counter[str] = Counter()
        self.keep: Callable[[str, str], bool] = lambda kind, name: True
        self.metrics = Metrics(monotonic=lambda: self.now)
        self._codec = PacketCodec()
        self._streams = Streams(self._codec)
        self._heap: list[tuple[float, int, int, Event | None]] = []
        self._serial = 0
        self._stream_count = 0
        self._waiting: dict[int, tuple[int, int]] = {}  # stream -> (index of the dialler, its dial)
        self.nodes = [self._make(index) for index in range(size)]
        self._fill()

    # -- making nodes

    def _make(self, index: int) -> SimNode:
        delegate = Watch(self, index)
        delegate.meta = self.metas(index)
        machine = Memberlist(
            name_of(index),
            addr_of(index),
            PORT,
            settings=self.settings,
            delegate=delegate,
            rng=Random(self.rng.getrandbits(64)),
            packets=self._codec,
            streams=self._streams,
            metrics=self.metrics,
        )
        return SimNode(index, machine, delegate)

    def _fill(self) -> None:
        """All know all, and nothing is left to be told."""
        self.keep, keep = lambda kind, name: False, self.keep
        for node in self.nodes:
            node.machine.start(self.now)
        known = {node.name: node.machine.local for node in self.nodes}
        names = list(known)
        for node in self.nodes:
            core = node.machine._core
            core.broadcasts.drop(node.name)
            core.table.nodes = known.copy()
            core.table.up_count = len(known)
            core.table._ring = names.copy()
            core.rng.shuffle(core.table._ring)
            self._do(node, node.machine.take_commands())
        self.keep = keep

    def add(self) -> SimNode:
        """A new node that knows nobody yet."""
        node = self._make(len(self.nodes))
        self.nodes.append(node)
        node.machine.start(self.now)
        self._do(node, node.machine.take_commands())
        return node

    # -- what happens to nodes

    def join(self, node: SimNode, through: SimNode) -> None:
        node.machine.join((_ip(through.index), PORT), self.now)
        self._do(node, node.machine.take_commands())

    def call(self, node: SimNode, action: Callable[[Memberlist, float], None]) -> None:
        """Let the layer above of `node` call its machine."""
        action(node.machine, self.now)
        self._do(node, node.machine.take_commands())

    def kill(self, node: SimNode) -> None:
        node.alive = False

    def restart(self, node: SimNode) -> None:
        """A new process with the name and address of a node that was killed; it knows nobody."""
        fresh = self._make(node.index)
        node.machine, node.delegate = fresh.machine, fresh.delegate
        node.alive, node.paused, node.slow, node.deaf = True, False, False, False
        node.held, node.unsent, node.wake_at = [], [], float("inf")
        node.machine.start(self.now)
        self._do(node, node.machine.take_commands())

    def pause(self, node: SimNode) -> None:
        node.paused = True

    def slow(self, node: SimNode) -> None:
        node.slow = True

    def resume(self, node: SimNode) -> None:
        node.paused = node.slow = False
        unsent, node.unsent = node.unsent, []
        self._do(node, unsent)
        held, node.held = node.held, []
        for event in held:
            self._give(node, event)
        if node.wake_at <= self.now:
            node.wake_at = float("inf")
            self._give(node, TimerFired(WAKE))

    # -- running

    def run(self, seconds: float, *, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; ends early, and returns True, when `until` holds."""
        end = self.now + seconds
        heap = self._heap
        while heap and heap[0][0] <= end:
            at, _, index, event = heapq.heappop(heap)
            self.now = at
            node = self.nodes[index]
            if not node.alive and not isinstance(event, _Call):
                continue
            if event is None:
                if node.wake_at == at:
                    if node.paused:
                        continue
                    node.wake_at = float("inf")
                    self._give(node, _WAKE)
            elif (node.paused or node.slow) and not isinstance(event, _Call):
                if len(node.held) < BUFFERED_PACKETS:
                    node.held.append(event)
            else:
                self._give(node, event)
            if until is not None and until():
                return True
        self.now = end
        return False

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Call `action` at that moment."""
        self._push(when, 0, _Call(action))

    def _give(self, node: SimNode, event: Event) -> None:
        if isinstance(event, _Call):
            event.action()
        elif isinstance(event, _Deadline):
            if self._waiting.pop(event.stream, None) is not None:
                self._do(node, node.machine.handle(event.failed, self.now))
        else:
            self._do(node, node.machine.handle(event, self.now))

    def _push(self, at: float, index: int, event: Event | None) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (at, self._serial, index, event))

    def _do(self, node: SimNode, commands: list[Command]) -> None:
        for command in commands:
            kind = type(command)
            if node.slow and kind is not SetTimer and kind is not Log:
                node.unsent.append(command)
                continue
            if kind is SendPacket:
                self._send(node, command)  # type: ignore[arg-type]
            elif kind is SetTimer:
                node.wake_at = max(self.now, command.at)  # type: ignore[attr-defined]
                self._push(node.wake_at, node.index, None)
            elif kind is Dial:
                self._dial(node, command)  # type: ignore[arg-type]
            elif kind is Reply or kind is Closed:
                self._answer(node, command)  # type: ignore[arg-type]
            elif kind is JoinEnded:
                self.note("joined", node.index, command.error or "")  # type: ignore[attr-defined]

    def _delay(self) -> float:
        low, high = self.delay_s
        return low + self.rng.random() * (high - low)

    def _send(self, node: SimNode, command: SendPacket) -> None:
        node.sent += len(command.data)
        self.packets += 1
        if self.loss and self.rng.random() < self.loss:
            return
        index = index_of(command.address)
        if node.udp and index < len(self.nodes) and self.nodes[index].udp and not self.nodes[index].deaf:
            self._push(self.now + self._delay(), index, PacketRead(command.data, (_ip(node.index), PORT)))

    def _dial(self, node: SimNode, command: Dial) -> None:
        message, size = self._streams.said.pop(command.data)
        node.sent += size
        index = index_of(command.address)
        if index < len(self.nodes) and (self.nodes[index].deaf or node.deaf):
            self._push(command.deadline, node.index, DialFailed(command.dial, "i/o timeout"))
            return
        if index >= len(self.nodes) or not self.nodes[index].alive:
            self._push(self.now + 2 * self._delay(), node.index, DialFailed(command.dial, "connection refused"))
            return
        self._stream_count += 1
        self._waiting[self._stream_count] = (node.index, command.dial)
        source = (_ip(node.index), 40000)
        self._push(self.now + 3 * self._delay(), index, StreamRead(self._stream_count, message, source))
        self._push(command.deadline, node.index, _Deadline(self._stream_count, DialFailed(command.dial, "i/o timeout")))

    def _answer(self, node: SimNode, command: Reply | Closed) -> None:
        message: StreamMessage | None = None
        if isinstance(command, Reply):
            message, size = self._streams.said.pop(command.data)
            node.sent += size
        index, dial = self._waiting.pop(command.stream, (-1, 0))
        if index < 0:
            return
        event: Event = DialRead(dial, message) if message is not None else DialFailed(dial, "closed")
        self._push(self.now + self._delay(), index, event)

    # -- what is seen

    def note(self, kind: str, index: int, name: str) -> None:
        self.counts[kind] += 1
        if self.keep(kind, name):
            self.noted.append((self.now, kind, index, name))

    def times(self, kind: str, name: str) -> list[float]:
        """When each node first heard that of `name`, sorted."""
        first: dict[int, float] = {}
        for at, what, index, who in self.noted:
            if what == kind and who == name:
                first.setdefault(index, at)
        return sorted(first.values())

    def sent(self) -> int:
        return sum(node.sent for node in self.nodes)

    def suspects(self) -> int:
        return int(self.metrics.counter("memberlist.msg.suspect").events)


class _Call(Event):
    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        object.__setattr__(self, "action", action)


class _Deadline(Event):
    """A stream's time is over; nothing if it has been answered."""

    __slots__ = ("failed", "stream")

    def __init__(self, stream: int, failed: DialFailed) -> None:
        object.__setattr__(self, "stream", stream)
        object.__setattr__(self, "failed", failed)


_WAKE = TimerFired(WAKE)
_IPS: dict[int, str] = {}


def _ip(index: int) -> str:
    known = _IPS.get(index)
    if known is None:
        known = _IPS[index] = f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}"
    return known


@contextmanager
def no_collection() -> Iterator[None]:
    """Millions of small objects without a cycle: the collector only costs."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
