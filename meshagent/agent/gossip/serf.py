"""The serf machine: members with intents and tags, user events, queries, keys and coordinates, above memberlist.

It owns a `Pool` (memberlist) and is its delegate. `handle` takes every event: its own timer stays here, all else goes
to the pool; what comes back are the pool's commands and those of `serf_signals.py`. Calls from outside (`user_event`,
`leave`, ...) queue commands: whoever makes them takes those with `take_commands`.

Source: serf's protocol (surface section 9.3; golden notes sections 6 and 7), timers as Consul sets them (row S48).
Input of others that does not fit is dropped and counted. What may change here: nothing that a peer sees.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from meshagent.agent.gossip.delegate import Delegate, Pool
from meshagent.agent.gossip.departure import Departure, Step
from meshagent.agent.gossip.gate import Gate, open_gate
from meshagent.agent.gossip.keyring import Keyring
from meshagent.agent.gossip.lamport import LamportClock, check_times
from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.gossip.member_table import MemberTable
from meshagent.agent.gossip.name_conflict import NameConflict
from meshagent.agent.gossip.node import Address, Node, show_address
from meshagent.agent.gossip.outbox import Outbox
from meshagent.agent.gossip.placing import Placing
from meshagent.agent.gossip.queries import CONFLICT, Queries
from meshagent.agent.gossip.serf_codec import decode, encode
from meshagent.agent.gossip.serf_messages import (
    Event,
    Join,
    Leave,
    Message,
    PushPull,
    Query,
    QueryResponse,
    Relay,
)
from meshagent.agent.gossip.serf_settings import SerfSettings
from meshagent.agent.gossip.serf_signals import LeaveEnded, UserEventCame
from meshagent.agent.gossip.signals import JoinEnded, LeaveSent
from meshagent.agent.gossip.tags import encode_tags, shared_tags
from meshagent.agent.gossip.upkeep import Upkeep
from meshagent.agent.gossip.user_events import UserEvents
from meshagent.errors import InternalError, RemoteProtocolError
from meshagent.machine import Command, Log, SetTimer, TimerFired
from meshagent.machine import Event as MachineEvent
from meshagent.metrics import Labels, Metrics

__all__ = ["TIMER", "Serf"]

#: The name of serf's timer.
TIMER = "serf"


class Serf(Delegate):
    """One member of one pool."""

    def __init__(
        self,
        *,
        make_pool: Callable[[Delegate], Pool],
        tags: Mapping[str, str],
        ring: Keyring,
        rng: random.Random,
        settings: SerfSettings | None = None,
        gate: Callable[[MemberTable], Gate] | None = None,
        metrics: Metrics | None = None,
        labels: Labels = (),
    ) -> None:
        """`make_pool` builds memberlist with this as its delegate; `gate` says whom to let in.

        Raises:
            LocalProtocolError: the tags do not fit.
        """
        self.settings = settings or SerfSettings()
        self.clock = LamportClock()
        self.members = MemberTable(prune_delay_s=self.settings.broadcast_timeout_s + self.settings.leave_propagate_s)
        self.outbox = Outbox(self.settings.retransmit_mult)
        self.placing = Placing(rng, enabled=self.settings.coordinates)
        self.events = UserEvents(self.settings)
        self._upkeep = Upkeep(self.members, self.settings, rng)
        self._counts: Counter[str] = Counter()
        metrics = metrics or Metrics()
        self._received = metrics.sampler("serf.msgs.received", labels)
        self._sent = metrics.sampler("serf.msgs.sent", labels)
        self.tags = dict(tags)
        """Ours; `set_tags` changes them."""
        self._meta = encode_tags(self.tags)
        self._out: list[Command] = []
        self._gate = gate(self.members) if gate is not None else open_gate
        self.pool = make_pool(self)
        self.queries = Queries(
            pool=self.pool,
            members=self.members,
            ring=ring,
            rng=rng,
            settings=self.settings,
            broadcast=self.outbox.queries.add,
            out=self._out,
        )
        self._departure = Departure(tell_s=self.settings.broadcast_timeout_s, stay_s=self.settings.leave_propagate_s)
        self._now = 0.0
        self._wake: float | None = None
        self._joins: dict[int, bool] = {}
        self._conflict = NameConflict()

    # --- driving ---------------------------------------------------------------------------------------------------

    def handle(self, event: MachineEvent, now: float) -> list[Command]:
        """Take one event at monotonic second `now`; what is to be done, in order."""
        self._now = now
        if isinstance(event, TimerFired) and event.name == TIMER:
            self._wake = None
            self._on_timer(now)
            return self.take_commands()
        self._pass(self.pool.handle(event, now), now)
        return self._gathered()

    def take_commands(self) -> list[Command]:
        """What calls from outside queued."""
        self._pass(self.pool.take_commands(), self._now)
        return self._gathered()

    def _gathered(self) -> list[Command]:
        if self._departure.step is not Step.HERE:
            self._leave_on(self._now)
        if self.members.changes:
            for change in self.members.changes:
                self._say(logging.INFO, f"{change.kind}: {change.member.name} {change.member.addr}")
                self._out.append(change)
            self.members.changes.clear()
        if self._conflict.asking:
            self._conflict.settle(self._out, self.pool.local)
        wake = self._next_wake()
        if wake != self._wake:
            self._wake = wake
            self._out.append(SetTimer(TIMER, wake))
        out = self._out[:]
        self._out.clear()
        return out

    def start(self, now: float) -> None:
        """Become a member of a pool of one."""
        self._now = now
        self._upkeep.start(now)
        self.pool.start(now)

    def _pass(self, commands: Sequence[Command], now: float) -> None:
        """Look at the pool's commands: some are for us."""
        for command in commands:
            if isinstance(command, JoinEnded):
                if self._joins.pop(command.join, None) is None:
                    continue  # an attempt to reconnect
                if command.error is None:
                    self._tell_join(self.clock.time, now)
            elif isinstance(command, LeaveSent):
                self._departure.advance(now, sent=True, others=self.pool.alive_others())
                continue
            self._out.append(command)

    def _next_wake(self) -> float:
        others = (self._departure.due, self.members.next_prune(), self.queries.asked.next_deadline())
        return min(self._upkeep.reap_at, self._upkeep.reconnect_at, *(at for at in others if at is not None))

    def _on_timer(self, now: float) -> None:
        self.queries.expire(now)
        self.placing.forget(self.members.prune(now) + self._upkeep.reap(now))
        node = self._upkeep.reconnect(now)
        if node is not None and self._departure.step is Step.HERE:
            self._say(logging.INFO, f"attempting reconnect to {node.name} {show_address(node.address)}")
            self.pool.join(node.address, now)
        dropped = self.outbox.prune(self.settings.max_queue)
        if dropped:
            self._counts["serf.queue.dropped"] += dropped
            self._say(logging.WARNING, f"dropped {dropped} broadcasts: more than {self.settings.max_queue} wait")

    def _say(self, level: int, message: str) -> None:
        self._out.append(Log(level, f"serf: {message}"))

    # --- what is asked of it ---------------------------------------------------------------------------------------

    def join(self, address: Address, now: float, *, ignore_old: bool = True) -> int:
        """Join the pool of whoever listens there; ends in `JoinEnded`. `ignore_old`: its past events are not for us."""
        self._now = now
        number = self.pool.join(address, now)
        self._joins[number] = ignore_old
        return number

    def leave(self, now: float) -> None:
        """Leave for good; ends in `LeaveEnded`. A second call does nothing."""
        self._now = now
        if not self._departure.begin(now):
            return
        intent = Leave(self.clock.increment(), self.pool.local.name)
        self.members.leave_intent(intent, now)
        if self.pool.alive_others():
            self.outbox.intents.add(encode(intent), ended=self._departure.told)
        else:
            self._departure.told()

    def force_leave(self, name: str, now: float, *, prune: bool = False) -> None:
        """Take a failed member for left; `prune` forgets it at once. One that lives will say so."""
        self._now = now
        intent = Leave(self.clock.increment(), name, prune)
        self._take_leave(intent, encode(intent), now)

    def user_event(self, name: str, payload: bytes | None, now: float, *, coalesce: bool = False) -> int:
        """Tell everybody, us too; the event's Lamport time.

        Raises:
            InternalError: it is too large for gossip.
        """
        self._now = now
        event, data = self.events.made(name, payload, coalesce=coalesce)
        self._take_event(event, data)
        return event.ltime

    def set_tags(self, tags: Mapping[str, str], now: float) -> None:
        """Tell other tags of ourselves. Raises LocalProtocolError: they do not fit."""
        self._now = now
        meta = encode_tags(tags)
        self.tags, self._meta = dict(tags), meta
        self.pool.update_meta(now)
        entry = self.members.get(self.pool.local.name)
        if entry is not None and entry.tags != self.tags:
            self.members.updated(self.pool.local, self.tags)

    @property
    def counts(self) -> Counter[str]:
        """How often what happened since the start, by name; `dropped.<why>` is input that was refused."""
        parts = (self.members, self.queries, self.events, self.placing, self._upkeep)
        return sum((part.counts for part in parts), Counter(self._counts))

    def local_member(self) -> Member | None:
        """Ourselves, once started."""
        entry = self.members.get(self.pool.local.name)
        return entry.member() if entry is not None else None

    # --- memberlist's delegate -------------------------------------------------------------------------------------

    def node_meta(self) -> bytes:
        return self._meta

    def user_message(self, payload: bytes, source: Address, now: float) -> None:
        self._received.sample(len(payload))
        try:
            self._take(decode(payload), payload, now)
        except (RemoteProtocolError, InternalError) as error:  # the second: an answer that would be too large
            self._counts["dropped.malformed"] += 1
            self._say(logging.DEBUG, f"dropped a message from {show_address(source)}: {error}")

    def has_broadcasts(self) -> bool:
        return bool(self.outbox)

    def broadcasts(self, overhead: int, limit: int) -> list[bytes]:
        for payload in (taken := self.outbox.take(overhead, limit, lambda: self.pool.size)):
            self._sent.sample(len(payload))
        return taken

    def local_state(self, join: bool) -> bytes:
        left = tuple(entry.node.name for entry in self.members.in_state(Status.LEFT))
        status, events, asked = self.members.status_times(), self.events, self.queries.clock.time
        return encode(PushPull(self.clock.time, status, left, events.clock.time, events.remembered(), asked))

    def merge_remote_state(self, state: bytes, join: bool, now: float) -> None:
        try:
            told = decode(state)
            if not isinstance(told, PushPull):
                raise RemoteProtocolError("the state of a full exchange is none")
            check_times(told.ltime, *told.status.values(), clock=self.clock, told=True)
            check_times(told.event_ltime, *(at.ltime for at in told.events), clock=self.events.clock, told=True)
            check_times(told.query_ltime, clock=self.queries.clock, told=True)
        except RemoteProtocolError as error:
            self._counts["dropped.malformed"] += 1
            self._say(logging.WARNING, f"dropped a remote state: {error}")
            return
        for clock, time in (
            (self.clock, told.ltime),
            (self.events.clock, told.event_ltime),
            (self.queries.clock, told.query_ltime),
        ):
            if time > 0:
                clock.witness(time - 1)
        left = set(told.left)
        for name in told.left:
            # Its leave came after the intent that is known, or it would not be among those that left.
            self._take_leave(Leave(told.status.get(name, 0) + 1, name), None, now)
        for name, time in told.status.items():
            if name not in left:
                self.members.join_intent(Join(time, name), now)
        if join and any(self._joins.values()):
            self.events.ignore_before(told.event_ltime)
        for at in told.events:
            for name, payload in at.events:
                self._take_event(Event(at.ltime, name, payload), None)

    def notify_join(self, node: Node, now: float) -> None:
        self.members.joined(node, self._tags_of(node), now)

    def notify_leave(self, node: Node, now: float) -> None:
        self.members.departed(node, now)

    def notify_update(self, node: Node, now: float) -> None:
        self.members.updated(node, self._tags_of(node))

    def notify_conflict(self, existing: Node, other: Node, now: float) -> None:
        self._counts["serf.conflict"] += 1
        own = existing.name == self.pool.local.name
        who = "this agent's name" if own else f"the name {existing.name}"
        self._say(logging.ERROR, f"{show_address(other.address)} claims {who}; names must be unique")
        if own and self.settings.resolve_conflicts and not self._conflict.asking:
            self._conflict.asking = self.queries.ask(CONFLICT, existing.name.encode(), now)

    def refuse_merge(self, peers: Sequence[Node], now: float) -> str | None:
        for peer in peers:
            if peer.up and (reason := self.refuse_alive(peer, now)) is not None:
                return reason
        return None

    def refuse_alive(self, peer: Node, now: float) -> str | None:
        try:
            return self._gate(peer.name, shared_tags(peer.meta))
        except RemoteProtocolError as error:
            return f"Member '{peer.name}': {error}"

    def ack_payload(self) -> bytes:
        return self.placing.payload()

    def ping_complete(self, node: Node, rtt_s: float, payload: bytes, now: float) -> None:
        self.placing.acked(node.name, rtt_s, payload)

    # --- messages --------------------------------------------------------------------------------------------------

    def _take(self, message: Message, data: bytes, now: float) -> None:
        match message:
            case Leave():
                check_times(message.ltime, clock=self.clock)
                self._take_leave(message, data, now)
            case Join():
                check_times(message.ltime, clock=self.clock)
                self.clock.witness(message.ltime)
                if self.members.join_intent(message, now):
                    self.outbox.intents.add(data)
            case Event():
                check_times(message.ltime, clock=self.events.clock)
                self._take_event(message, data)
            case Query():
                check_times(message.ltime, clock=self.queries.clock)
                self.queries.take(message, data, now)
            case QueryResponse():
                self.queries.answer(message)
            case Relay():
                self.queries.pass_on(message, now)
            case _:
                raise RemoteProtocolError(f"{type(message).__name__} travels only inside others")

    def _take_leave(self, intent: Leave, data: bytes | None, now: float) -> None:
        """A leave intent; `data` is gossiped on if it is news."""
        self.clock.witness(intent.ltime)
        entry = self.members.get(intent.node)
        if entry is not None and intent.node == self.pool.local.name and self._departure.step is Step.HERE:
            if intent.ltime > entry.status_ltime:
                self._say(logging.WARNING, "refuting a leave intent about ourselves")
                self._tell_join(self.clock.time, now)
            return
        if self.members.leave_intent(intent, now) and data is not None:
            self.outbox.intents.add(data)

    def _take_event(self, event: Event, data: bytes | None) -> None:
        if not self.events.take(event):
            return
        if data is not None:
            self.outbox.events.add(data)
        self._out.append(UserEventCame(event))

    def _tell_join(self, ltime: int, now: float) -> None:
        intent = Join(ltime, self.pool.local.name)
        self.clock.witness(ltime)
        self.members.join_intent(intent, now)
        self.outbox.intents.add(encode(intent))

    def _leave_on(self, now: float) -> None:
        """The next step of leaving, if it is due."""
        step = self._departure.advance(now, others=self.pool.alive_others())
        if step is Step.LEAVING:
            self.pool.leave(now)
            self._pass(self.pool.take_commands(), now)
            step = self._departure.advance(now, others=self.pool.alive_others())
        if step is Step.GONE:
            self._out.append(LeaveEnded())

    def _tags_of(self, node: Node) -> dict[str, str]:
        try:
            return shared_tags(node.meta)
        except RemoteProtocolError:
            self._counts["dropped.tags"] += 1
            return {}
