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
from functools import lru_cache

from meshagent.agent.gossip.coordinate_wire import decode_coordinate, encode_coordinate
from meshagent.agent.gossip.coordinates import Vivaldi
from meshagent.agent.gossip.delegate import Delegate, Pool
from meshagent.agent.gossip.departure import Departure, Step
from meshagent.agent.gossip.gate import Gate, open_gate
from meshagent.agent.gossip.keyring import Keyring
from meshagent.agent.gossip.lamport import LamportClock
from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.gossip.member_table import MemberTable
from meshagent.agent.gossip.name_conflict import is_lost
from meshagent.agent.gossip.node import Address, Node, show_address
from meshagent.agent.gossip.outbox import Outbox
from meshagent.agent.gossip.queries import CONFLICT, Queries
from meshagent.agent.gossip.seen import SeenWindow
from meshagent.agent.gossip.serf_messages import (
    Event,
    EventsAt,
    Join,
    KeyResponse,
    Leave,
    Message,
    PushPull,
    Query,
    QueryResponse,
    Relay,
    decode,
    encode,
)
from meshagent.agent.gossip.serf_settings import SerfSettings
from meshagent.agent.gossip.serf_signals import LeaveEnded, NameLost, QueryEnded, UserEventCame
from meshagent.agent.gossip.signals import JoinEnded, LeaveSent
from meshagent.agent.gossip.tags import decode_tags, encode_tags
from meshagent.catalog.model import Coordinate
from meshagent.durations import parse_seconds
from meshagent.errors import InternalError, RemoteProtocolError
from meshagent.machine import Command, Log, SetTimer, TimerFired
from meshagent.machine import Event as MachineEvent

__all__ = ["TIMER", "Serf"]

#: The name of serf's timer.
TIMER = "serf"
#: Tag of a member that asks to be forgotten sooner or later than others once it failed.
_RECONNECT_TAG = "rc_tm"
#: No clock gets here by counting: whoever says so means harm, or is broken.
_FAR_FUTURE = 1 << 63


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
    ) -> None:
        """`make_pool` builds memberlist with this as its delegate; `gate` says whom to let in.

        Raises:
            LocalProtocolError: the tags do not fit.
        """
        self.settings = settings or SerfSettings()
        self.counts: Counter[str] = Counter()
        self.clock = LamportClock()
        self.event_clock = LamportClock()
        self.members = MemberTable(prune_delay_s=self.settings.broadcast_timeout_s + self.settings.leave_propagate_s)
        self.outbox = Outbox(self.settings.retransmit_mult)
        self.vivaldi = Vivaldi(rng)
        self.coordinates: dict[str, Coordinate] = {}
        """Where others said they are, by name."""
        self._tags = dict(tags)
        self._meta = encode_tags(self._tags)
        self._rng = rng
        self._out: list[Command] = []
        self._events: SeenWindow[tuple[str, bytes | None]] = SeenWindow(self.event_clock)
        self._events.least = self.settings.least_event_time
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
        self._reap_at = self._reconnect_at = float("inf")
        self._joins: dict[int, bool] = {}
        self._conflict: int | None = None

    # --- driving ---------------------------------------------------------------------------------------------------

    def handle(self, event: MachineEvent, now: float) -> list[Command]:
        """Take one event at monotonic second `now`; what is to be done, in order."""
        if isinstance(event, TimerFired) and event.name == TIMER:
            self._wake = None
            self._on_timer(now)
        else:
            self._pass(self.pool.handle(event, now), now)
        self._now = now
        return self.take_commands()

    def take_commands(self) -> list[Command]:
        """What calls from outside queued."""
        self._pass(self.pool.take_commands(), self._now)
        self._leave_on(self._now)
        for change in self.members.changes:
            self._say(20, f"{change.kind}: {change.member.name} {change.member.addr}")
            self._out.append(change)
        self.members.changes.clear()
        self._mind_conflict()
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
        self._reap_at = now + self.settings.reap_interval_s
        self._reconnect_at = now + self.settings.reconnect_interval_s
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
        wake = min(self._reap_at, self._reconnect_at)
        for other in (self._departure.due, self.members.next_prune(), self.queries.asked.next_deadline()):
            if other is not None and other < wake:
                wake = other
        return wake

    def _on_timer(self, now: float) -> None:
        self.queries.expire(now)
        self._forget(self.members.prune(now))
        if now >= self._reap_at:
            self._reap_at = now + self.settings.reap_interval_s
            self._reap(now)
        if now >= self._reconnect_at:
            self._reconnect_at = now + self.settings.reconnect_interval_s
            self._reconnect(now)

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
        limit = self.settings.user_event_bytes
        if len(name.encode()) + len(payload or b"") > limit:
            raise InternalError(f"user event exceeds configured limit of {limit} bytes before encoding")
        event = Event(self.event_clock.time, name, payload, coalesce)
        data = encode(event)
        if len(data) > limit:
            raise InternalError(f"encoded user event exceeds configured limit of {limit} bytes after encoding")
        self.event_clock.increment()
        self._take_event(event, data)
        return event.ltime

    def query(
        self,
        name: str,
        payload: bytes | None,
        now: float,
        *,
        filters: tuple[bytes, ...] = (),
        ack: bool = False,
        relay_factor: int = 0,
        timeout_s: float = 0.0,
    ) -> int:
        """Ask everybody; see `Queries.ask`."""
        self._now = now
        return self.queries.ask(
            name, payload, now, filters=filters, ack=ack, relay_factor=relay_factor, timeout_s=timeout_s
        )

    def respond(self, query: Query, payload: bytes, now: float) -> None:
        """Answer a `QueryCame`. Raises InternalError: too large."""
        self._now = now
        self.queries.respond(query, payload, now)

    def keys_kept(self, token: int, response: KeyResponse, now: float) -> None:
        """The keys of a `KeysChanged` are on disk, or `response` says what went wrong."""
        self._now = now
        self.queries.keys_kept(token, response, now)

    def set_tags(self, tags: Mapping[str, str], now: float) -> None:
        """Tell other tags of ourselves. Raises LocalProtocolError: they do not fit."""
        self._now = now
        meta = encode_tags(tags)
        self._tags, self._meta = dict(tags), meta
        self.pool.update_meta(now)
        entry = self.members.get(self.pool.local.name)
        if entry is not None and entry.tags != self._tags:
            self.members.updated(self.pool.local, self._tags)

    @property
    def tags(self) -> dict[str, str]:
        """Our tags."""
        return dict(self._tags)

    def local_member(self) -> Member | None:
        """Ourselves, once started."""
        entry = self.members.get(self.pool.local.name)
        return entry.member() if entry is not None else None

    def stats(self) -> dict[str, str]:
        """Facts for `agent/self`, under serf's names."""
        return {
            "coordinate_resets": str(self.vivaldi.resets),
            "event_queue": str(len(self.outbox.events)),
            "event_time": str(self.event_clock.time),
            "failed": str(len(self.members.in_state(Status.FAILED))),
            "health_score": str(self.pool.health_score),
            "intent_queue": str(len(self.outbox.intents)),
            "left": str(len(self.members.in_state(Status.LEFT))),
            "member_time": str(self.clock.time),
            "members": str(len(self.members)),
            "query_queue": str(len(self.outbox.queries)),
            "query_time": str(self.queries.clock.time),
        }

    # --- memberlist's delegate -------------------------------------------------------------------------------------

    def node_meta(self) -> bytes:
        return self._meta

    def user_message(self, payload: bytes, source: Address, now: float) -> None:
        self.counts["serf.msgs.received"] += 1
        try:
            self._take(decode(payload), payload, now)
        except RemoteProtocolError as error:
            self.counts["dropped.malformed"] += 1
            self._say(logging.DEBUG, f"dropped a message from {show_address(source)}: {error}")

    def broadcasts(self, overhead: int, limit: int) -> list[bytes]:
        taken = self.outbox.take(overhead, limit, self._size)
        self.counts["serf.msgs.sent"] += len(taken)
        return taken

    def local_state(self, join: bool) -> bytes:
        events = tuple(EventsAt(ltime, keys) for ltime, keys in self._events)
        left = tuple(entry.node.name for entry in self.members.in_state(Status.LEFT))
        status = self.members.status_times()
        state = PushPull(self.clock.time, status, left, self.event_clock.time, events, self.queries.clock.time)
        return encode(state)

    def merge_remote_state(self, state: bytes, join: bool, now: float) -> None:
        try:
            told = decode(state)
            if not isinstance(told, PushPull):
                raise RemoteProtocolError("the state of a full exchange is none")
            times = (told.ltime, told.event_ltime, told.query_ltime, *told.status.values())
            _check_times(*times, *(at.ltime for at in told.events))
        except RemoteProtocolError as error:
            self.counts["dropped.malformed"] += 1
            self._say(logging.WARNING, f"dropped a remote state: {error}")
            return
        for clock, time in (
            (self.clock, told.ltime),
            (self.event_clock, told.event_ltime),
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
            self._events.least = max(self._events.least, told.event_ltime)
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
        self.counts["serf.conflict"] += 1
        own = existing.name == self.pool.local.name
        who = "this agent's name" if own else f"the name {existing.name}"
        self._say(logging.ERROR, f"{show_address(other.address)} claims {who}; names must be unique")
        if own and self.settings.resolve_conflicts and self._conflict is None:
            self._conflict = self.query(CONFLICT, existing.name.encode(), now)

    def refuse_merge(self, peers: Sequence[Node], now: float) -> str | None:
        for peer in peers:
            if peer.up and (reason := self.refuse_alive(peer, now)) is not None:
                return reason
        return None

    def refuse_alive(self, peer: Node, now: float) -> str | None:
        try:
            return self._gate(peer.name, _decoded(peer.meta))
        except RemoteProtocolError as error:
            return f"Member '{peer.name}': {error}"

    def ack_payload(self) -> bytes:
        return encode_coordinate(self.vivaldi.coordinate) if self.settings.coordinates else b""

    def ping_complete(self, node: Node, rtt_s: float, payload: bytes, now: float) -> None:
        if not self.settings.coordinates or not payload:
            return
        try:
            other = decode_coordinate(payload)
            self.vivaldi.update(node.name, other, rtt_s)
        except RemoteProtocolError as error:
            self.counts["serf.coordinate.rejected"] += 1
            self._say(logging.DEBUG, f"coordinate of {node.name}: {error}")
        else:
            self.coordinates[node.name] = other

    # --- messages --------------------------------------------------------------------------------------------------

    def _take(self, message: Message, data: bytes, now: float) -> None:
        match message:
            case Leave():
                _check_times(message.ltime)
                self._take_leave(message, data, now)
            case Join():
                _check_times(message.ltime)
                self.clock.witness(message.ltime)
                if self.members.join_intent(message, now):
                    self.outbox.intents.add(data)
            case Event():
                _check_times(message.ltime)
                self._take_event(message, data)
            case Query():
                _check_times(message.ltime)
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
        self.event_clock.witness(event.ltime)
        if not self._events.take(event.ltime, (event.name, event.payload)):
            return
        self.counts["serf.events"] += 1
        if data is not None:
            self.outbox.events.add(data)
        self._out.append(UserEventCame(event))

    def _tell_join(self, ltime: int, now: float) -> None:
        intent = Join(ltime, self.pool.local.name)
        self.clock.witness(ltime)
        self.members.join_intent(intent, now)
        self.outbox.intents.add(encode(intent))

    # --- timers ----------------------------------------------------------------------------------------------------

    def _leave_on(self, now: float) -> None:
        """The next step of leaving, if it is due."""
        step = self._departure.advance(now, others=self.pool.alive_others())
        if step is Step.LEAVING:
            self.pool.leave(now)
            self._pass(self.pool.take_commands(), now)
            step = self._departure.advance(now, others=self.pool.alive_others())
        if step is Step.GONE:
            self._out.append(LeaveEnded())

    def _reap(self, now: float) -> None:
        settings = self.settings
        own = {}
        for entry in self.members.in_state(Status.FAILED):
            wish = entry.tags.get(_RECONNECT_TAG)
            if wish:
                try:
                    own[entry.node.name] = parse_seconds(wish)
                except ValueError:
                    self.counts["dropped.reconnect_timeout"] += 1
        self._forget(
            self.members.reap(
                now,
                failed_s=settings.reconnect_timeout_s,
                left_s=settings.tombstone_timeout_s,
                intent_s=settings.intent_timeout_s,
                own=own,
            )
        )
        dropped = self.outbox.prune(settings.max_queue)
        if dropped:
            self.counts["serf.queue.dropped"] += dropped
            self._say(logging.WARNING, f"dropped {dropped} broadcasts: more than {settings.max_queue} wait")

    def _forget(self, names: list[str]) -> None:
        for name in names:
            self.vivaldi.forget(name)
            self.coordinates.pop(name, None)

    def _reconnect(self, now: float) -> None:
        """Try one failed member; each is tried about once an interval, whoever does it."""
        failed = self.members.in_state(Status.FAILED)
        if not failed or self._departure.step is not Step.HERE:
            return
        alive = len(self.members) - len(failed) - len(self.members.in_state(Status.LEFT))
        if self._rng.random() <= len(failed) / max(alive, 1):
            node = self._rng.choice(failed).node
            self._say(20, f"attempting reconnect to {node.name} {show_address(node.address)}")
            self.pool.join(node.address, now)

    # --- conflicts over our name -----------------------------------------------------------------------------------

    def _mind_conflict(self) -> None:
        """Take the end of our own question about our name out of what goes to the edge."""
        if self._conflict is None:
            return
        for command in self._out:
            if isinstance(command, QueryEnded) and command.number == self._conflict:
                self._conflict = None
                self._out.remove(command)
                if is_lost(self.pool.local, command.result):
                    self._out.append(NameLost())
                return

    # --- small ones ------------------------------------------------------------------------------------------------

    def _size(self) -> int:
        return self.pool.size

    def _tags_of(self, node: Node) -> dict[str, str]:
        try:
            return _decoded(node.meta)
        except RemoteProtocolError:
            self.counts["dropped.tags"] += 1
            return {}


@lru_cache(maxsize=8192)
def _decoded(meta: bytes) -> dict[str, str]:
    """The tags in `meta`; shared, so nobody may change them."""
    return decode_tags(meta)


def _check_times(*times: int) -> None:
    if any(time >= _FAR_FUTURE for time in times):
        raise RemoteProtocolError("a Lamport time that nobody can have counted to")
