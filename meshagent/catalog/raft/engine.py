"""The consensus engine: what the driver asks of it, and what it does with time and with messages.

Source: Ongaro and Ousterhout (2014); Ongaro (2014). `standing.py` (role, term, vote, configuration), `elections.py` and
`replication.py` are its parts; this one joins them.

No thread, no socket, no file, no asyncio: the driver (`replica.py`) calls `receive` and `tick`, the journal makes
things durable, the transport carries messages. What may be changed: nothing here may wait or ask for the time of day.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Protocol

from meshagent.catalog.raft.configuration import Configuration, Server
from meshagent.catalog.raft.journal import Journal
from meshagent.catalog.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    Message,
    PreVote,
    RequestVote,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
)
from meshagent.catalog.raft.records import Entry
from meshagent.catalog.raft.replication import NEVER, Replication
from meshagent.catalog.raft.seams import use
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.snapshots import SnapshotId
from meshagent.catalog.raft.standing import LEADER
from meshagent.catalog.raft.telemetry import NoMetrics, RaftMetrics
from meshagent.catalog.raft.transport import Transport
from meshagent.clock import Clock
from meshagent.errors import Conflict, NoLeader, Unavailable

__all__ = ["Courier", "Engine"]

log = logging.getLogger("agent.server.raft")

APPLY_AT_ONCE = 256  # entries copied out of the journal at a time
CAUGHT_UP_ENTRIES = 64  # a server that is this close to the end of the log may become a voter


class Courier(Protocol):
    """Who sends and takes snapshots; messages come here when their term has been checked.

    `on_behind`: a server needs what is not in memory, `supply` or `snapshot_delivered` or `snapshot_failed` follows.
    """

    def on_behind(self, node_id: str) -> None: ...
    def on_chunk(self, message: InstallSnapshot) -> None: ...
    def on_reply(self, message: SnapshotReply) -> None: ...
    def on_deposed(self) -> None: ...


class _NoCourier:
    def on_behind(self, node_id: str) -> None: ...
    def on_chunk(self, message: InstallSnapshot) -> None: ...
    def on_reply(self, message: SnapshotReply) -> None: ...
    def on_deposed(self) -> None: ...


class Engine(Replication):
    """One server's part in the agreement on the log in `journal`.

    `configuration` is the one before the journal's entries, with the index of its own entry (1: it is in none).
    Entries of terms before `since_term` do not change it.
    `apply` gets every committed entry, in order, when it is on this server's disk; it gets one again, after the loop
    has had its turn, for as long as it returns False. `on_state` hears "Leader" and so on at each change.
    """

    def __init__(
        self,
        node_id: str,
        configuration: tuple[int, Configuration],
        *,
        journal: Journal,
        transport: Transport,
        clock: Clock,
        rng: random.Random,
        settings: RaftSettings,
        apply: Callable[[Entry], None],
        on_state: Callable[[str], None] = lambda state: None,
        courier: Courier | None = None,
        since_term: int = 0,
        metrics: RaftMetrics | None = None,
    ) -> None:
        self._slice_s = settings.slice_s
        self._apply = apply
        self._courier = courier or _NoCourier()
        self._epochs: dict[str, int] = {}  # the newest connection that each server was heard on
        self.dropped = 0  # late, or from nobody
        super().__init__(
            node_id,
            configuration,
            journal=journal,
            transport=transport,
            clock=clock,
            rng=rng,
            settings=settings,
            on_state=on_state,
            since_term=since_term,
            on_behind=self._courier.on_behind,
            on_deposed=self._courier.on_deposed,
            metrics=metrics or NoMetrics(),
        )

    # -- what the driver asks

    @property
    def leads(self) -> bool:
        """Whether this server leads under a valid lease, and has applied all that earlier leaders committed."""
        return (
            self.role == LEADER
            and self.applied_index >= self._noop_index
            and not self._halted
            and (self._lease_until == NEVER or self._clock.monotonic() < self._lease_until)
            and (self._transfer is None or not self._transfer[2])
        )

    @property
    def is_ready(self) -> bool:
        """Whether it leads and an entry of its own term is applied, whatever the lease."""
        return self.role == LEADER and not self._halted and self.applied_index >= self._noop_index

    @property
    def takes_commands(self) -> bool:
        return self.role == LEADER and not self._halted and self._transfer is None

    @property
    def heard_at(self) -> float:
        """When the leader was last heard."""
        return self._heard_at

    @property
    def has_backlog(self) -> bool:
        """Whether `tick` stopped applying because its slice was over."""
        return not self._halted and self._applicable() > self.applied_index

    def deadline(self) -> float | None:
        """The monotonic second at which `tick` must be called even if nothing happens; None: never."""
        if self._halted:
            return None
        if self.role == LEADER:
            return None if self._next_beat == NEVER else self._next_beat
        return self._deadline if self.may_lead else None

    def halt(self) -> None:
        """The disk failed: lead no more and seek no election, so that nothing is promised that cannot be kept."""
        self._halted = True
        self._held.clear()
        self._step_down(self.term, self._clock.monotonic())

    def resume(self) -> None:
        """The disk works again; the journal ends at its durable index."""
        use(self._clock)
        self._halted = False
        self.commit_index = min(self.commit_index, self.last_index)
        self._forget_configurations(self.last_index + 1)
        now = self._clock.monotonic()
        self._deadline = now if self.voters == {self.node_id} else now + self._timeout()

    def match_index(self, node_id: str) -> int:
        """How much of the log server `node_id` is known to have; 0 on a server that does not lead."""
        progress = self._progress.get(node_id)
        return 0 if progress is None else progress.match

    def silences_s(self) -> dict[str, float]:
        """On a leader: for how long each other server has not answered, by node id."""
        now = self._clock.monotonic()
        return {node_id: now - progress.answered_at for node_id, progress in self._progress.items()}

    # -- messages

    def receive(self, node_id: str, message: Message, epoch: int) -> None:
        """A message that came from `node_id` on its connection number `epoch`. Stages on the journal, does not sync."""
        use(self._clock)
        if self._halted or message.sender != node_id or epoch < self._epochs.get(node_id, 0):
            self.dropped += 1
            return
        self._epochs[node_id] = epoch
        now = self._clock.monotonic()
        if isinstance(message, PreVote | RequestVote | AppendEntries) and message.address:
            self._meet(node_id, message.address)
        if isinstance(message, PreVote):
            self._on_pre_vote(message, now)
        elif isinstance(message, RequestVote):
            self._on_request_vote(message, now)
        elif isinstance(message, VoteReply | AppendReply | SnapshotReply):
            self._on_reply(message, now)
        else:
            self._on_leader(message, now)

    def _on_reply(self, message: VoteReply | AppendReply | SnapshotReply, now: float) -> None:
        if message.epoch != self._transport.epoch(message.sender):
            self.dropped += 1  # it answers what was said on an earlier connection
        elif isinstance(message, VoteReply):
            self._on_vote_reply(message, now)
        elif message.term > self.term:
            self._step_down(message.term, now)
        elif message.term < self.term:
            self.dropped += 1  # it answers what was said in an earlier term
        elif isinstance(message, AppendReply):
            self._on_append_reply(message, now)
        else:
            self._hear_incarnation(message.sender, message.incarnation)
            self._courier.on_reply(message)

    def _on_leader(self, message: Message, now: float) -> None:
        if message.term > self.term:
            self._step_down(message.term, now)
        elif message.term == self.term and self.role == LEADER:
            log.critical("server %s leads in term %d, and so does this one", message.sender, self.term)
            return
        if isinstance(message, AppendEntries):
            self._on_append_entries(message, now)
        elif isinstance(message, TimeoutNow):
            self._on_timeout_now(message, now)
        elif isinstance(message, InstallSnapshot):
            if message.term < self.term:
                self._send(
                    message.sender,
                    SnapshotReply(self.node_id, self.term, message.epoch, message.index, 0, False, self.incarnation),
                )
                return
            self._hear_leader(message.sender, now)
            self._courier.on_chunk(message)

    # -- time

    def tick(self) -> None:
        """Do what is due: elect, commit, apply (for one slice), send. Stages on the journal; does not sync it."""
        use(self._clock)
        self._release()
        if self._halted:
            return
        now = self._clock.monotonic()
        if self.role != LEADER and self.may_lead and now >= self._deadline:
            self._seek_election(now)
        if self.role == LEADER:
            self._commit(now)
        if self.role == LEADER:
            self._check_quorum(now)
        if self.role == LEADER and self._incarnations_heard:
            self._note_incarnations()
        self._apply_entries()
        if self.role == LEADER:
            self._hand_over(now)
        if self.role == LEADER and (self._beat_wanted or now >= self._next_beat):
            self._beat(now)

    def _applicable(self) -> int:
        """Committed, and on this disk."""
        return min(self.commit_index, self._journal.durable_index)

    def _apply_entries(self) -> None:
        journal = self._journal
        end = self._applicable()
        applied = self.applied_index
        if applied >= end:
            return
        monotonic = self._clock.monotonic
        until = monotonic() + self._slice_s
        while applied < end:
            position = applied + 1 - journal[0][1]
            for entry in journal[position : position + min(end - applied, APPLY_AT_ONCE)]:
                self._apply(entry)
                applied = self.applied_index = entry[1]
                self.applied_term = entry[2]
                if monotonic() >= until:
                    return

    # -- snapshots

    def say(self, node_id: str, message: Message) -> None:
        """Send for the courier, when what is staged is on disk."""
        if not self._halted:
            self._send(node_id, message)

    def needs(self, node_id: str) -> int:
        """The entry before the one that server `node_id` needs next, or 0."""
        progress = self._progress.get(node_id)
        return 0 if progress is None else progress.next - 1

    def supply(self, node_id: str, entries: list[Entry]) -> None:
        """The log on disk, from `needs` on."""
        progress = self._progress.get(node_id)
        if progress is not None and progress.installing:
            progress.installing = False
            progress.behind = entries
            self._feed(node_id, progress, beat=False)

    def snapshot_delivered(self, node_id: str, index: int, epoch: int) -> None:
        """Server `node_id` has the state behind entry `index` on its disk, as it said on connection `epoch`."""
        progress = self._progress.get(node_id)
        if progress is not None:
            progress.installing = False
            if epoch == progress.epoch:  # who speaks on a later one may have lost it again
                progress.match = max(progress.match, index)
            progress.probe(progress.match + 1)
            self._feed(node_id, progress, beat=False)

    def snapshot_failed(self, node_id: str) -> None:
        """Try again when it is next found behind."""
        progress = self._progress.get(node_id)
        if progress is not None:
            progress.installing = False

    def installed(self, snapshot: SnapshotId, configuration: tuple[int, Configuration]) -> None:
        """The machine holds the state behind `snapshot`, and the journal begins there."""
        self.commit_index = max(self.commit_index, snapshot.index)
        self.applied_index = snapshot.index
        self.applied_term = snapshot.term
        self._configurations = [configuration]
        self._load_configurations()

    # -- members

    def bootstrap(self, configuration: Configuration) -> None:
        """Begin with `configuration`, which is on disk. A leader that spoke meanwhile knows better."""
        use(self._clock)
        if not self._configurations[0][1].servers:
            self._configurations[0] = (1, configuration)
            self._on_configuration()
        now = self._clock.monotonic()
        self._deadline = now if self.voters == {self.node_id} else now + self._timeout()

    def change(self, configuration: Configuration) -> int:
        """Append a configuration that differs in one server from the one in force; the index of its entry.

        Raises:
            NoLeader: this server does not lead.
            Unavailable: try again later: another change, or the first entry of this leader, is not committed yet.
        """
        if not self.takes_commands:
            raise NoLeader
        if self.commit_index < self._noop_index:
            raise Unavailable("this leader has not yet committed an entry of its own term: try again")
        if self.commit_index < self.configuration_index:
            raise Unavailable("another change of the servers is not committed yet: try again")
        index = self._append_configuration(configuration)
        self.replicate()
        return index

    def add(self, server: Server) -> Configuration:
        """The configuration with `server`; a voter only when it has caught up. Raises Conflict, Unavailable."""
        present = self.configuration.get(server.node_id)
        if server.voter and (present is None or not present.voter):
            if present is None:
                raise Conflict(f"server {server.node_id} must join without a vote first")
            if self.match_index(server.node_id) + CAUGHT_UP_ENTRIES < self.last_index:
                raise Unavailable(f"server {server.node_id} has not caught up with the log yet")
            incarnation = self._progress[server.node_id].incarnation
        else:
            incarnation = 0 if present is None else present.incarnation
        return self.configuration.having(Server(server.node_id, server.address, server.voter, incarnation))

    def remove(self, node_id: str) -> Configuration:
        """The configuration without `node_id`. Raises Conflict."""
        if self.voters == {node_id}:
            raise Conflict(f"server {node_id} is the only one that votes")
        return self.configuration.without(node_id)
