"""Replication: how a leader brings its log to the others, and what a follower takes, refuses and acknowledges.

Source: Ongaro and Ousterhout (2014), section 5.3; Ongaro (2014), sections 6.4 (lease, reads confirmed by a quorum) and
10.2 (pipelining; writing to the own disk while the others write).

A sign of life (`_beat`) begins a round; messages of the leader name the newest round, answers repeat it. An answer
proves when the leader was heard at the latest: when the round began, not when the answer came in.

A leader lets the others commit what it has applied itself, not what it knows to be committed: a read that it answers
under its lease from its own state must not fall behind what a reader at a follower has already seen.

What may be changed: not the rule of `_take`: only what contradicts the leader is deleted, never what is committed.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from meshagent.catalog.raft.batch import NO_OP
from meshagent.catalog.raft.configuration import Configuration, Server, encode_configuration
from meshagent.catalog.raft.elections import Elections
from meshagent.catalog.raft.messages import AppendEntries, AppendReply, TimeoutNow
from meshagent.catalog.raft.progress import Progress
from meshagent.catalog.raft.records import Entry
from meshagent.catalog.raft.standing import FOLLOWER, LEADER
from meshagent.catalog.raft.telemetry import RaftMetrics, entries_took, heartbeat_took
from meshagent.errors import InternalError

__all__ = ["Replication"]

log = logging.getLogger("agent.server.raft")
BATCH_BYTES = 1 << 20  # of one message; an entry that is larger goes alone
NEVER = float("inf")


class Replication(Elections):
    def __init__(
        self,
        *args: Any,
        on_behind: Callable[[str], None],
        on_deposed: Callable[[], None],
        metrics: RaftMetrics,
        **options: Any,
    ):
        self._metrics = metrics
        self._on_behind = on_behind
        self._on_deposed = on_deposed
        self._progress: dict[str, Progress] = {}
        self._noop_index = self._led_mark = 0  # until the mark is on disk the term is not
        self._round = 0
        self._rounds: list[tuple[int, float]] = []  # (round, when it began), oldest first
        self._lease_until = 0.0
        self._next_beat, self._beat_wanted = NEVER, False
        self._transfer: tuple[str, float, bool] | None = None  # (to whom, until when, whether it was told)
        self._leaves = False  # it was removed, and says so for the last time
        self._incarnations_heard = False  # another directory than what is written down, perhaps
        super().__init__(*args, **options)

    # -- leading

    def _become_leader(self, now: float) -> None:
        self._led_mark = self._journal.mark
        self._set_leader(self.node_id)
        self._set_role(LEADER)
        self._progress = {}
        self._round = 0
        self._rounds = []
        self._lease_until = 0.0
        self._leaves = False
        self._transfer = None
        self._noop_index = self.last_index + 1
        self._journal.add(bytes((NO_OP,)), self._noop_index, self.term)
        self._track(now)
        if self._progress and self.configuration_index <= 1:
            # The one a cluster begins with is in no entry: write it down, so that a later member learns it.
            self._append_configuration(self._with_incarnations())
        self._beat(now)

    def _stop_leading(self) -> None:
        self._on_deposed()  # who waits is told while it is still known what a quorum has
        self._progress = {}
        self._rounds = []
        self._lease_until = 0.0
        self._next_beat = NEVER
        self._transfer = None

    def _track(self, now: float) -> None:
        """One `Progress` for each other server of the configuration."""
        for server in self.configuration.servers:
            if server.node_id != self.node_id and server.node_id not in self._progress:
                self._progress[server.node_id] = Progress(self.last_index, answered_at=now)
        for node_id in set(self._progress) - set(self.configuration.addresses):
            del self._progress[node_id]
        if self._progress and self._next_beat == NEVER:
            self._next_beat = now
        self._reckon_lease()

    def _append_configuration(self, configuration: Configuration) -> int:
        index = self.last_index + 1
        payload = encode_configuration(configuration)
        self._journal.add(payload, index, self.term)
        self._note_configuration(index, payload)
        self._track(self._clock.monotonic())
        return index

    def _with_incarnations(self) -> Configuration:
        """The configuration in force with what the servers say of their data directories.

        One that has another directory than it had when it got its vote lost it, and gets it back as a newcomer does.
        Naming what was not known changes no quorum; only one server a time loses its vote.
        """
        servers, lost = [], False
        for server in self.configuration.servers:
            progress = self._progress.get(server.node_id)
            heard = self.incarnation if server.node_id == self.node_id else progress.incarnation if progress else 0
            if heard not in (0, server.incarnation):
                loses = server.voter and server.incarnation != 0
                if loses and lost:
                    servers.append(server)
                    continue
                lost = lost or loses
                server = Server(server.node_id, server.address, server.voter and not loses, heard)
            servers.append(server)
        return Configuration(tuple(servers))

    def _note_incarnations(self) -> None:
        """Write down which data directories the servers have, when a change of members may begin."""
        if self.commit_index < max(self._noop_index, self.configuration_index) or self._transfer is not None:
            return
        configuration = self._with_incarnations()
        if configuration == self.configuration:
            self._incarnations_heard = False
            return
        for node_id in self.voters - configuration.voters:
            log.warning("server %s came back without its data: it votes no more until it has caught up", node_id)
        self._append_configuration(configuration)
        self.replicate()

    def _hear_incarnation(self, node_id: str, incarnation: int) -> None:
        progress = self._progress.get(node_id)
        if progress is not None and progress.incarnation != incarnation:
            progress.heard(incarnation)
            self._incarnations_heard = True

    def _counts(self, node_id: str) -> bool:
        """Whether what that server answers counts for a quorum."""
        return self._is_same(node_id, self._progress[node_id].incarnation)

    def append(self, payload: bytes) -> int:
        """Stage one entry (the leader only); its index. The caller then lets the journal sync and calls `replicate`."""
        index = self.last_index + 1
        self._journal.add(payload, index, self.term)
        return index

    def replicate(self) -> None:
        """Send what is new to those that keep up, while this server's own disk is at work."""
        for node_id, progress in self._progress.items():
            self._feed(node_id, progress, beat=False)

    def _beat(self, now: float) -> None:
        self._beat_wanted = False
        self._next_beat = now + self._heartbeat_s if self._progress else NEVER
        self._round += 1
        self._rounds.append((self._round, now))
        for node_id, progress in self._progress.items():
            self._feed(node_id, progress, beat=True)
        self._reckon_lease()

    def _feed(self, node_id: str, progress: Progress, *, beat: bool) -> None:
        transport = self._transport
        if progress.epoch != transport.epoch(node_id):  # what was under way is lost
            progress.epoch = transport.epoch(node_id)
            progress.reconnected()
        if not transport.connected(node_id):
            return
        first, last = self._journal[0][1], self.last_index
        if not progress.installing and progress.is_behind(first):
            progress.installing = True
            self._on_behind(node_id)
        if progress.installing:
            if beat:
                self._say(node_id, progress, first, [], beat=True)
            return
        while beat or progress.next <= last:
            if progress.awaiting and not beat:
                return
            room = progress.next <= last and not progress.is_full
            if not room and not beat:
                return
            entries = self._entries(progress) if room else []
            self._say(node_id, progress, progress.next - 1, entries, beat=beat)
            if entries or progress.probing:
                end = entries[-1][1] if entries else progress.next - 1
                progress.sent(end, sum(len(entry[0]) for entry in entries), self._clock.monotonic())
                self._metrics.incr("raft.replication.appendEntries.logs", len(entries), (("peer_id", node_id),))
            beat = False
            if progress.is_behind(first):  # the next piece of the log on disk, when this one is acknowledged
                return

    def _entries(self, progress: Progress) -> list[Entry]:
        source = progress.behind if progress.next <= self._journal[0][1] else self._journal
        position = progress.next - source[0][1]
        entries = source[position : position + 256]
        size = 0
        for count, entry in enumerate(entries):
            size += len(entry[0])
            if size > BATCH_BYTES and count:
                return entries[:count]
        return entries

    def _say(self, node_id: str, progress: Progress, prev: int, entries: list[Entry], *, beat: bool) -> None:
        message = AppendEntries(
            self.node_id,
            self.term,
            progress.epoch,
            self._round,
            prev,
            self._term_at(prev) if prev >= self._journal[0][1] else progress.behind[prev - progress.behind[0][1]][2],
            self.commit_index if self._leaves else self.applied_index,
            entries,
            self.address if beat else "",
        )
        self._hold(self._led_mark, node_id, message)  # needs the term on this disk, not the entries

    def _on_append_reply(self, message: AppendReply, now: float) -> None:
        progress = self._progress.get(message.sender)
        if self.role != LEADER or progress is None or message.round > self._round:
            return
        if message.incarnation != progress.incarnation:
            self._hear_incarnation(message.sender, message.incarnation)
        progress.answered_at = now
        if message.round > progress.round:
            progress.round = message.round
            heartbeat_took(self._metrics, message.sender, self._began(message.round), now)
            self._reckon_lease()
        if not message.success:
            if not progress.installing:
                tried = progress.next
                progress.probe(min(message.index, tried))
                progress.awaiting = progress.next == tried and message.index <= progress.match
                self._feed(message.sender, progress, beat=False)
            return
        if message.index > self.last_index:
            log.error("server %s acknowledges entry %d, which was not sent", message.sender, message.index)
            return
        sent_at = progress.confirm(message.index)
        entries_took(self._metrics, message.sender, sent_at, now)
        self._commit(now)
        self._feed(message.sender, progress, beat=False)
        self._hand_over(now)

    def _began(self, round_: int) -> float | None:
        """When that round began, if it is not forgotten."""
        at = bisect_right(self._rounds, (round_, NEVER)) - 1
        return self._rounds[at][1] if at >= 0 and self._rounds[at][0] == round_ else None

    def _quorum_of(self, own: int, others: Callable[[Progress], int]) -> int:
        """The highest value that a majority of the voters has reached."""
        values = sorted(
            (
                own if node == self.node_id else others(self._progress[node]) if self._counts(node) else 0
                for node in self.voters
            ),
            reverse=True,
        )
        return values[len(values) // 2] if values else 0

    def _commit(self, now: float) -> None:
        """Commit what a quorum has on disk. Only an entry of the own term: figure 8 of the paper."""
        index = self._quorum_of(self._journal.durable_index, lambda progress: progress.match)
        if index > self.commit_index and self._term_at(index) == self.term:
            self.commit_index = index  # the others learn it with the next entries, or the next sign of life
            if self.node_id not in self.voters and self.configuration_index <= index:
                self._leaves = True  # it answers no read any more
                self._beat(now)
                self._step_down(self.term, now)  # this server was removed, and a quorum knows

    # -- lease, and reads confirmed by a quorum

    def _reckon_lease(self) -> None:
        confirmed = self.confirmed_round
        at = bisect_right(self._rounds, (confirmed, NEVER)) - 1
        if at > 0:
            del self._rounds[:at]
        if self.voters == {self.node_id}:
            self._lease_until = NEVER
        elif self._rounds and self._rounds[0][0] <= confirmed:
            self._lease_until = self._rounds[0][1] + self._lease_s
        else:
            self._lease_until = 0.0

    @property
    def confirmed_round(self) -> int:
        """The newest round that a quorum answered."""
        return self._quorum_of(self._round, lambda progress: progress.round)

    def confirm(self) -> int:
        """Begin a round with the next tick; when `confirmed_round` reaches it, this server led after the call."""
        self._beat_wanted = True
        return self._round + 1

    def _check_quorum(self, now: float) -> None:
        """Lead no more when a majority has not answered for the shortest election timeout."""
        if len(self.voters) < 2 or not self._rounds:
            return
        since = now - self._election_min_s
        heard = {
            node_id
            for node_id, progress in self._progress.items()
            if progress.answered_at > since and (not progress.incarnation or self._counts(node_id))
        }
        if not self._is_quorum(heard | {self.node_id}):
            log.warning("no answer from a majority of the servers: leading no more")
            self._step_down(self.term, now)

    # -- handing over

    def transfer(self, node_id: str, now: float) -> None:
        """Hand leadership to voter `node_id` as soon as it has the whole log; no entry is taken meanwhile."""
        self._transfer = (node_id, now + self._election_min_s, False)
        self._hand_over(now)

    def _hand_over(self, now: float) -> None:
        if self._transfer is None:
            return
        node_id, until, told = self._transfer
        progress = self._progress.get(node_id)
        if now >= until or progress is None:
            self._transfer = None
            if told:
                # It may hear of it later and then stand without asking whether a leader lives: lead no more in a term
                # in which that can happen.
                self._step_down(self.term, now)
        elif not told and progress.match == self.last_index and self._counts(node_id):
            self._transfer = (node_id, until, True)
            self._hold(self._led_mark, node_id, TimeoutNow(self.node_id, self.term, self._transport.epoch(node_id)))

    # -- following

    def _hear_leader(self, node_id: str, now: float) -> None:
        self._heard_at = now
        self._removed = False  # it is counted in again
        self._deadline = now + self._timeout()
        self._pre_term = 0
        if self.leader_id != node_id:
            self._set_leader(node_id)
        if self.role != FOLLOWER:
            self._set_role(FOLLOWER)

    def _on_append_entries(self, message: AppendEntries, now: float) -> None:
        if message.term < self.term:
            self._answer(message, success=False, index=self.last_index + 1)  # carries the newer term
            return
        self._hear_leader(message.sender, now)
        self._take(message)

    def _answer(self, message: AppendEntries, *, success: bool, index: int) -> None:
        reply = AppendReply(self.node_id, self.term, message.epoch, message.round, success, index, self.incarnation)
        self._send(message.sender, reply)

    def _take(self, message: AppendEntries) -> None:
        """Make the own log the leader's as far as this message shows it."""
        prev = message.prev_index
        if prev > self.last_index:
            self._answer(message, success=False, index=self.last_index + 1)
            return
        # What is committed is the leader's too: no need to look, and perhaps nothing in memory to look at.
        if prev > self.commit_index and self._term_at(prev) != message.prev_term:
            self._answer(message, success=False, index=self._first_of_term(prev))
            return
        for entry in message.entries:
            index = entry[1]
            if index <= self.commit_index:
                continue
            if index <= self.last_index:
                if self._term_at(index) == entry[2]:
                    continue
                self._cut(index)
            self._journal.add(*entry)
            self._note_configuration(index, entry[0])
        checked = prev + len(message.entries)
        self.commit_index = max(self.commit_index, min(message.commit, checked))
        self._answer(message, success=True, index=checked)

    def _cut(self, index: int) -> None:
        """Delete the log from `index` on: there it contradicts the leader's."""
        if index <= self.commit_index:
            raise InternalError(f"the leader contradicts entry {index}, which is committed")
        self._journal.deleteEntriesFrom(index - self._journal[0][1])
        self._forget_configurations(index)

    def _first_of_term(self, index: int) -> int:
        """The first entry, behind what is committed, of the term that entry `index` has: the next to try."""
        term = self._term_at(index)
        while index - 1 > self.commit_index and self._term_at(index - 1) == term:
            index -= 1
        return index
