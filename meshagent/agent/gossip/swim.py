"""The memberlist machine: SWIM with Lifeguard, events in, commands out.

Source: SWIM (Das, Gupta, Motivala, DSN 2002); Lifeguard (Dadgar, Phillips, Currey, 2017); golden README; surface rows
S1 to S35. What each message does is in `beliefs`, `probing`, `exchanges`; here is who gets what, the gossip round,
and the calls of the layer above (`delegate.Pool`). No I/O: time and chance are arguments, so that thousands run in
one process.
"""

from __future__ import annotations

from random import Random

import msgspec

from meshagent.agent.gossip.beliefs import Beliefs
from meshagent.agent.gossip.core import CRC_PROTOCOL, Core
from meshagent.agent.gossip.delegate import WAKE, Delegate
from meshagent.agent.gossip.drops import Drop, reason_of
from meshagent.agent.gossip.exchanges import Exchanges
from meshagent.agent.gossip.messages import (
    MAX_META_BYTES,
    Ack,
    MessageType,
    decode_ack,
    decode_alive,
    decode_dead,
    decode_indirect_ping,
    decode_nack,
    decode_ping,
    decode_suspect,
    encode_ack,
)
from meshagent.agent.gossip.node import Address, Node, NodeState
from meshagent.agent.gossip.packet import PacketCodec
from meshagent.agent.gossip.probing import Probing
from meshagent.agent.gossip.settings import GossipSettings
from meshagent.agent.gossip.signals import DialFailed, DialRead, PacketRead, StreamRead, StreamRefused
from meshagent.agent.gossip.streams import StreamCodec
from meshagent.agent.gossip.telemetry import Telemetry
from meshagent.errors import LocalProtocolError, RemoteProtocolError
from meshagent.machine import Command, Event, SetTimer, TimerFired
from meshagent.metrics import Metrics

__all__ = ["Memberlist"]

_DEBUG = 10


class Memberlist:
    """One node of one pool; implements `delegate.Pool`.

    `addr` is packed and, with `port`, what others reach us at. `streams` is given by simulations only.
    """

    def __init__(
        self,
        name: str,
        addr: bytes,
        port: int,
        *,
        settings: GossipSettings,
        delegate: Delegate,
        rng: Random,
        packets: PacketCodec | None = None,
        streams: StreamCodec | None = None,
        metrics: Metrics | None = None,
        labels: tuple[tuple[str, str], ...] = (),
    ) -> None:
        packets = packets or PacketCodec()
        self._address = (addr, port)
        core = Core(
            name,
            settings,
            packets,
            streams or StreamCodec(packets),
            delegate,
            rng,
            Telemetry(metrics or Metrics(), labels),
        )
        self._core = core
        self._beliefs = Beliefs(core)
        self._exchanges = Exchanges(core, self._beliefs)
        self._probing = Probing(core, self._beliefs, self._exchanges.dial_ping)
        self._wake_at = float("inf")
        #: When the last round found nothing to tell. There is no timer then: the next news is told at once.
        self._resting: float | None = None
        self._handlers = {
            MessageType.PING: self._ping,
            MessageType.INDIRECT_PING: self._indirect_ping,
            MessageType.ACK: self._ack,
            MessageType.NACK: self._nack,
            MessageType.SUSPECT: self._suspect,
            MessageType.ALIVE: self._alive,
            MessageType.DEAD: self._dead,
            MessageType.USER: self._user,
        }

    # -- events

    def handle(self, event: Event, now: float) -> list[Command]:
        if isinstance(event, PacketRead):
            self._packet(event.data, event.source, now)
        elif isinstance(event, TimerFired):
            if event.name == WAKE:
                self._wake_at = float("inf")
        elif isinstance(event, StreamRead):
            self._exchanges.heard(event.stream, event.message, event.source, now)
        elif isinstance(event, StreamRefused):
            self._exchanges.refused(event.stream, event.drop, event.detail, event.source)
        elif isinstance(event, DialRead):
            self._exchanges.ended(event.dial, event.message, None, now)
        elif isinstance(event, DialFailed):
            self._exchanges.ended(event.dial, None, event.detail, now)
        self._core.agenda.run(now)
        return self.take_commands()

    def take_commands(self) -> list[Command]:
        core = self._core
        if self._resting is not None and self._has_news():
            core.agenda.at(self._resting, self._gossip)  # at once: the last round is long enough ago
            self._resting = None
        due = core.agenda.next_at()
        if due is not None and due < self._wake_at:
            self._wake_at = due
            core.out.append(SetTimer(WAKE, due))
        commands, core.out = core.out, []
        return commands

    def _packet(self, data: bytes, source: Address, now: float) -> None:
        core = self._core
        core.telemetry.udp_received.incr(len(data))
        try:
            messages, cut = core.packets.decode(data)
        except RemoteProtocolError as error:
            self._dropped(error, source)
            return
        if cut:
            core.telemetry.dropped(Drop.MALFORMED, cut)
        for message in messages:
            handler = self._handlers.get(message[0])  # type: ignore[call-overload]
            if handler is None:
                core.telemetry.dropped(Drop.UNKNOWN_TYPE)
                continue
            try:
                handler(message[1:], source, now)
            except RemoteProtocolError as error:
                self._dropped(error, source)

    def _dropped(self, error: RemoteProtocolError, source: Address) -> None:
        drop = reason_of(error)
        self._core.telemetry.dropped(drop)
        self._core.log(_DEBUG, f"packet from {source[0]} dropped ({drop}): {error}")

    def _ping(self, body: bytes, source: Address, now: float) -> None:
        ping = decode_ping(body)
        core = self._core
        if ping.node and ping.node != core.name:
            core.telemetry.dropped(Drop.OTHER_NAME)
            return
        core.send(ping.source or source, encode_ack(Ack(ping.seq_no, core.delegate.ack_payload())))

    def _indirect_ping(self, body: bytes, source: Address, now: float) -> None:
        self._probing.run_errand(decode_indirect_ping(body), source, now)

    def _ack(self, body: bytes, source: Address, now: float) -> None:
        self._probing.acked(decode_ack(body), now)

    def _nack(self, body: bytes, source: Address, now: float) -> None:
        self._probing.nacked(decode_nack(body))

    def _suspect(self, body: bytes, source: Address, now: float) -> None:
        self._beliefs.suspect(decode_suspect(body), now)

    def _alive(self, body: bytes, source: Address, now: float) -> None:
        self._beliefs.alive(decode_alive(body), now)

    def _dead(self, body: bytes, source: Address, now: float) -> None:
        self._beliefs.dead(decode_dead(body), now)

    def _user(self, body: bytes, source: Address, now: float) -> None:
        self._core.delegate.user_message(body, source, now)

    # -- the gossip round

    def _gossip(self, now: float) -> None:
        core, settings = self._core, self._core.settings
        if not self._has_news():
            self._resting = now  # an agent at rest wakes for its probes, not five times a second
            return
        core.agenda.at(now + settings.gossip_interval_s, self._gossip)
        room = core.packets.room()
        messages = core.gather(room)
        if not messages:
            return
        core.telemetry.queue(len(core.broadcasts))
        for node in core.table.draw(settings.gossip_nodes, lambda node: self._hears(node, now)):
            messages = messages or core.gather(room)
            if not messages:
                break
            core.send_all(node.address, messages, crc=node.protocol_max >= CRC_PROTOCOL)
            messages = []
        core.telemetry.gossiped(now)

    def _has_news(self) -> bool:
        """Whether there is something to tell, and somebody to tell it. Alone, what waits is kept."""
        core = self._core
        return len(core.table) > 1 and (bool(core.broadcasts) or core.delegate.has_broadcasts())

    def _hears(self, node: Node, now: float) -> bool:
        """Whom to gossip to: all that are up, and the dead for a while, as they may not be."""
        core = self._core
        if node.state is NodeState.DEAD:
            return now - core.table.changed[node.name] <= core.settings.gossip_to_the_dead_s
        return node.state is not NodeState.LEFT and node.name != core.name

    # -- calls of the layer above

    @property
    def local(self) -> Node:
        return self._core.local

    @property
    def health_score(self) -> int:
        return self._core.awareness.score

    @property
    def size(self) -> int:
        return len(self._core.table)

    def node(self, name: str) -> Node | None:
        return self._core.table.get(name)

    def nodes(self) -> list[Node]:
        return list(self._core.table.nodes.values())

    def up_nodes(self) -> list[Node]:
        return [node for node in self._core.table.nodes.values() if node.up]

    def alive_others(self) -> bool:
        return self._core.table.up_count > self._core.local.up

    def start(self, now: float) -> None:
        core, settings = self._core, self._core.settings
        addr, port = self._address
        self._beliefs.announce(Node(core.name, addr, port, self._meta(), settings.versions, 1, NodeState.ALIVE), now)
        self._probing.start(now)
        self._exchanges.start(now)
        if settings.gossip_interval_s > 0 and settings.gossip_nodes > 0:
            core.agenda.at(now + core.rng.random() * settings.gossip_interval_s, self._gossip)

    def _meta(self) -> bytes:
        meta = self._core.delegate.node_meta()
        if len(meta) > MAX_META_BYTES:
            raise LocalProtocolError(f"metadata of this node: {len(meta)} bytes, more than {MAX_META_BYTES}")
        return meta

    def join(self, address: Address, now: float) -> int:
        return self._exchanges.join(address, now)

    def leave(self, now: float) -> None:
        self._beliefs.leave(now)

    def update_meta(self, now: float) -> None:
        incarnation = self._beliefs.next_incarnation()
        self._beliefs.announce(
            msgspec.structs.replace(self._core.local, meta=self._meta(), incarnation=incarnation), now
        )

    def send_user(self, address: Address, payload: bytes, now: float) -> None:
        self._core.send_all(address, [b"\x08" + payload], crc=False)

    def send_user_reliable(self, address: Address, payload: bytes, now: float) -> None:
        self._exchanges.send_user(address, payload, now)
