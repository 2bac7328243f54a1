"""Who answers: probing one node an interval, on our own account and for others.

Source: SWIM paper, section 3.1 (probe, indirect probe); Lifeguard paper, section IV.A (nacks) and IV.C (buddy system:
a suspect is told so with the ping); surface rows S20, S23; golden README sections 5 and 9. A probe: ping; no ack
within the timeout: ask others to ping, and try TCP; none until the interval (times our own health) ends: suspect.
"""

from __future__ import annotations

from collections.abc import Callable

from meshagent.agent.gossip.agenda import Timer
from meshagent.agent.gossip.beliefs import Beliefs
from meshagent.agent.gossip.core import CRC_PROTOCOL, Core
from meshagent.agent.gossip.drops import Drop
from meshagent.agent.gossip.messages import (
    Ack,
    IndirectPing,
    Ping,
    Suspect,
    encode_ack,
    encode_indirect_ping,
    encode_nack,
    encode_ping,
    encode_suspect,
)
from meshagent.agent.gossip.node import Address, Node, NodeState

__all__ = ["Probing"]

_INFO, _WARNING = 20, 30
#: Protocol maximum from which on a peer answers pings on TCP, and sends nacks (golden README section 5).
_TCP_PINGS, _NACKS = 3, 4


class _Probe:
    """The one that runs."""

    def __init__(self, node: Node, seq_no: int, sent: float) -> None:
        self.node = node
        self.seq_no = seq_no
        self.sent = sent
        self.indirect = False
        self.nacks = 0
        self.nacks_due = 0
        self.tcp_answered = False


class _Errand:
    """A ping that another node asked us for; `asker` wants its own number back."""

    def __init__(self, asker: Address, seq_no: int, nack: bool) -> None:
        self.asker = asker
        self.seq_no = seq_no
        self.nack = nack


class Probing:
    """`dial_ping(node, seq_no, deadline, answered)` tries a ping by TCP and calls `answered` when it is acked."""

    def __init__(
        self,
        core: Core,
        beliefs: Beliefs,
        dial_ping: Callable[[Node, int, float, Callable[[], None]], None],
    ) -> None:
        self._core = core
        self._beliefs = beliefs
        self._dial_ping = dial_ping
        self._probe: _Probe | None = None
        self._timers: list[Timer] = []
        self._overdue = False
        self._errands: dict[int, _Errand] = {}

    def start(self, now: float) -> None:
        """Begin at a random moment of the first interval, so that not all probe at once."""
        core = self._core
        if core.settings.probe_interval_s > 0:
            core.agenda.at(now + core.rng.random() * core.settings.probe_interval_s, self._tick)

    def _tick(self, now: float) -> None:
        core = self._core
        core.agenda.at(now + core.settings.probe_interval_s, self._tick)
        if self._probe is None:
            self._next(now)
        else:
            self._overdue = True

    def _next(self, now: float) -> None:
        core = self._core
        node = core.table.next_to_probe(core.name, now, core.settings.gossip_to_the_dead_s)
        if node is not None:
            self._begin(node, now)

    def _begin(self, node: Node, now: float) -> None:
        core, settings = self._core, self._core.settings
        local = core.local
        interval_s = core.awareness.scale(settings.probe_interval_s)
        if interval_s > settings.probe_interval_s:
            core.telemetry.degraded_probe.incr()
        seq_no = core.next_seq_no()
        self._probe = _Probe(node, seq_no, now)
        ping = encode_ping(Ping(seq_no, node.name, local.address, core.name))
        if node.state is NodeState.ALIVE:
            core.send(node.address, ping)
        else:
            suspect = encode_suspect(Suspect(node.incarnation, node.name, core.name))
            core.send_all(node.address, [ping, suspect], crc=node.protocol_max >= CRC_PROTOCOL)
        self._timers = [core.agenda.at(now + interval_s, self._failed)]
        if settings.probe_timeout_s < interval_s:
            self._timers.append(core.agenda.at(now + settings.probe_timeout_s, self._ask_others))

    def _ask_others(self, now: float) -> None:
        core, settings, probe = self._core, self._core.settings, self._probe
        if probe is None:
            return
        probe.indirect = True
        target = probe.node
        helpers = core.table.draw(
            settings.indirect_checks,
            lambda node: node.state is NodeState.ALIVE and node.name not in (core.name, target.name),
        )
        for helper in helpers:
            nack = helper.protocol_max >= _NACKS
            probe.nacks_due += nack
            asked = IndirectPing(probe.seq_no, target.address, target.name, nack, core.local.address, core.name)
            core.send(helper.address, encode_indirect_ping(asked))
        if settings.tcp_pings and target.protocol_max >= _TCP_PINGS:
            deadline = probe.sent + core.awareness.scale(settings.probe_interval_s)
            self._dial_ping(target, probe.seq_no, deadline, lambda: setattr(probe, "tcp_answered", True))

    def _failed(self, now: float) -> None:
        core, probe = self._core, self._probe
        if probe is None:
            return
        if probe.tcp_answered:
            core.log(
                _WARNING,
                f"{probe.node.name} answers over TCP but not over UDP: the network may be misconfigured",
            )
            core.degrade(-1)
        else:
            core.degrade(probe.nacks_due - probe.nacks if probe.nacks_due else 1)
            core.log(_INFO, f"suspect {probe.node.name} has failed, no acks received")
            self._beliefs.suspect(Suspect(probe.node.incarnation, probe.node.name, core.name), now)
        self._end(now)

    def _end(self, now: float) -> None:
        probe = self._probe
        if probe is None:
            return
        self._probe = None
        for timer in self._timers:
            timer.cancel()
        self._core.telemetry.took("probeNode", now - probe.sent)
        if self._overdue:
            self._overdue = False
            self._next(now)

    def acked(self, ack: Ack, now: float) -> None:
        """An ack came by UDP."""
        core, probe = self._core, self._probe
        if probe is not None and ack.seq_no == probe.seq_no:
            core.degrade(-1)
            if not probe.indirect:
                core.delegate.ping_complete(probe.node, now - probe.sent, ack.payload, now)
            self._end(now)
            return
        errand = self._errands.pop(ack.seq_no, None)
        if errand is None:
            core.telemetry.dropped(Drop.STALE_ACK)
            return
        core.send(errand.asker, encode_ack(Ack(errand.seq_no)))

    def nacked(self, seq_no: int) -> None:
        """A helper could not reach the node that we probe."""
        probe = self._probe
        if probe is None or seq_no != probe.seq_no or probe.nacks >= probe.nacks_due:
            self._core.telemetry.dropped(Drop.STALE_ACK)
            return
        probe.nacks += 1

    def run_errand(self, asked: IndirectPing, source: Address, now: float) -> None:
        """Ping a node for a peer; pass on its ack, or tell the peer that there was none."""
        core = self._core
        local = core.local
        seq_no = core.next_seq_no()
        self._errands[seq_no] = _Errand(asked.source or source, asked.seq_no, asked.nack)
        core.agenda.at(now + core.settings.probe_timeout_s, lambda now: self._errand_failed(seq_no))
        target = (asked.target[0], asked.target[1] or local.port)
        core.send(target, encode_ping(Ping(seq_no, asked.node, local.address, core.name)))

    def _errand_failed(self, seq_no: int) -> None:
        errand = self._errands.pop(seq_no, None)
        if errand is not None and errand.nack:
            self._core.send(errand.asker, encode_nack(errand.seq_no))
