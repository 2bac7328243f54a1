"""What the parts of the SWIM machine share: who we are, what we know, and the way out.

Source: golden README sections 3.2, 10 (what rides along with a packet and which packets bear a CRC). The parts are
`beliefs` (who is alive), `probing` (who answers), `exchanges` (push/pull); `swim.Memberlist` puts them together.
Nothing is sent from here: commands gather in `out`.
"""

from __future__ import annotations

from random import Random

from meshagent.agent.gossip.agenda import Agenda
from meshagent.agent.gossip.awareness import Awareness
from meshagent.agent.gossip.delegate import Delegate
from meshagent.agent.gossip.members import MemberTable
from meshagent.agent.gossip.node import Address, Node
from meshagent.agent.gossip.packet import COMPOUND_PART_BYTES, PacketCodec
from meshagent.agent.gossip.settings import GossipSettings
from meshagent.agent.gossip.signals import SendPacket
from meshagent.agent.gossip.streams import StreamCodec
from meshagent.agent.gossip.telemetry import Telemetry
from meshagent.agent.gossip.transmit_queue import TransmitQueue
from meshagent.machine import Command, Log

__all__ = ["CRC_PROTOCOL", "Core"]

#: Peers of this protocol and above check a CRC (surface row S7).
CRC_PROTOCOL = 5
_USER = b"\x08"
_MAX_SEQ_NO = 0xFFFF_FFFF


class Core:
    """The state of one node of one pool."""

    def __init__(
        self,
        name: str,
        settings: GossipSettings,
        packets: PacketCodec,
        streams: StreamCodec,
        delegate: Delegate,
        rng: Random,
        telemetry: Telemetry,
    ) -> None:
        self.name = name
        self.settings = settings
        self.packets = packets
        self.streams = streams
        self.delegate = delegate
        self.rng = rng
        self.telemetry = telemetry
        self.table = MemberTable(rng)
        self.agenda = Agenda()
        self.awareness = Awareness(settings.awareness_max)
        self.broadcasts = TransmitQueue(settings.retransmit_mult)
        self.out: list[Command] = []
        # Not from 1: what was recorded of an earlier life must not answer our probes.
        self._seq_no = rng.getrandbits(32)

    @property
    def local(self) -> Node:
        return self.table.nodes[self.name]

    def next_seq_no(self) -> int:
        self._seq_no = (self._seq_no + 1) & _MAX_SEQ_NO
        return self._seq_no

    def log(self, level: int, message: str) -> None:
        self.out.append(Log(level, message))

    def degrade(self, delta: int) -> None:
        """Our own health changed by `delta`."""
        before = self.awareness.score
        self.awareness.apply(delta)
        if self.awareness.score != before:
            self.telemetry.health(self.awareness.score)

    def send(self, address: Address, message: bytes) -> None:
        """One message by UDP, with as many broadcasts as fit."""
        messages = self.gather(self.packets.room() - len(message) - COMPOUND_PART_BYTES)
        messages.insert(0, message)
        self.send_all(address, messages, crc=False)

    def send_all(self, address: Address, messages: list[bytes], *, crc: bool) -> None:
        """Just these messages by UDP."""
        for data in self.packets.encode(messages, crc=crc):
            self.telemetry.udp_sent.incr(len(data))
            self.out.append(SendPacket(address, data))

    def gather(self, room: int) -> list[bytes]:
        """Broadcasts that fit into `room` bytes of a compound: memberlist's first, then the delegate's."""
        own = self.broadcasts.take(COMPOUND_PART_BYTES, room, len(self.table)) if self.broadcasts else []
        for message in own:
            room -= len(message) + COMPOUND_PART_BYTES
        if room > COMPOUND_PART_BYTES + len(_USER):
            users = self.delegate.broadcasts(COMPOUND_PART_BYTES + len(_USER), room)
            if users:
                own += [_USER + payload for payload in users]
        return own
