"""The consensus engine: pysyncobj's `SyncObj`, mended where it is not safe or not fast enough for a catalog.

Source: Ongaro and Ousterhout (2014); pysyncobj 0.3.17, `syncobj.py`, whose private methods are reached by their
mangled names (`self._SyncObj__x` calls whatever a subclass defines under that name). This is the only module that
does so. Each override says which fault it closes; the README beside it has the table.

No thread, no socket, no file, no asyncio: the driver (`replica.py`) calls `tick`, the journal makes things durable,
the transport carries messages. What may be changed: before a method of pysyncobj is used that is not used today, read
it for time, chance, pickle, and for what it believes to be on disk.
"""

# ruff: noqa: N802, N803 -- names that pysyncobj calls us by

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from meshagent.catalog.raft.journal import Journal
from meshagent.catalog.raft.records import Entry
from meshagent.catalog.raft.seams import RAFT_STATE, Node, SyncObj, SyncObjConf, Transport, use
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.clock import Clock

__all__ = ["Engine"]

STATE_NAMES = {RAFT_STATE.FOLLOWER: "Follower", RAFT_STATE.CANDIDATE: "Candidate", RAFT_STATE.LEADER: "Leader"}
APPLY_AT_ONCE = 256  # entries copied out of the journal at a time


class Engine(SyncObj):  # type: ignore[misc]
    """One server's part in the agreement on the log in `journal`.

    `apply` gets every committed entry once, in order, when it is on this server's disk. `on_state` hears "Leader" and
    so on at each change.
    """

    def __init__(
        self,
        node_id: str,
        peers: Sequence[str],
        *,
        journal: Journal,
        transport: Transport,
        clock: Clock,
        rng: random.Random,
        settings: RaftSettings,
        apply: Callable[[Entry], None],
        on_state: Callable[[str], None] = lambda state: None,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._slice_s = settings.slice_s
        self._apply = apply
        self._journal = journal
        self._halted = False
        self._applied_term = journal.snapshot.term
        scale = settings.multiplier
        use(clock)
        super().__init__(
            Node(node_id),
            [Node(peer) for peer in peers],
            conf=SyncObjConf(
                autoTick=False,
                appendEntriesUseBatch=True,
                appendEntriesPeriod=settings.heartbeat_s * scale,
                raftMinTimeout=settings.election_min_s * scale,
                raftMaxTimeout=settings.election_max_s * scale,
                connectionTimeout=settings.election_max_s * scale,
                leaderFallbackTimeout=settings.election_min_s * scale,
                commandsQueueSize=1,
                useFork=False,
                onStateChanged=lambda _, state: on_state(STATE_NAMES[state]),
            ),
            transport=transport,
        )
        # The constructor made itself a journal in memory; from here on there is ours, already loaded.
        self._SyncObj__raftLog = journal
        self._SyncObj__raftCurrentTerm = max(journal.getCurrentTerm(), journal[-1][2])
        self._SyncObj__votedForNodeId = journal.getVotedForNodeId()
        self._SyncObj__raftCommitIndex = journal.snapshot.index
        self._SyncObj__raftLastApplied = journal.snapshot.index
        self._SyncObj__needLoadDumpFile = False
        if not peers:
            self._SyncObj__raftElectionDeadline = clock.monotonic()  # nobody to wait for

    # -- what the driver asks

    @property
    def leads(self) -> bool:
        """Whether this server leads and has applied all that earlier leaders committed."""
        return (
            self._SyncObj__raftState == RAFT_STATE.LEADER
            and self._SyncObj__raftLastApplied >= self._SyncObj__noopIDx
            and not self._halted
        )

    @property
    def takes_commands(self) -> bool:
        return self._SyncObj__raftState == RAFT_STATE.LEADER and not self._halted

    @property
    def leader_id(self) -> str | None:
        leader = self._SyncObj__raftLeader
        return None if leader is None else str(leader.id)

    @property
    def state_name(self) -> str:
        return STATE_NAMES[self._SyncObj__raftState]

    @property
    def term(self) -> int:
        return int(self._SyncObj__raftCurrentTerm)

    @property
    def commit_index(self) -> int:
        return int(self._SyncObj__raftCommitIndex)

    @property
    def applied_index(self) -> int:
        return int(self._SyncObj__raftLastApplied)

    @property
    def applied_term(self) -> int:
        """Term of the entry at `applied_index`."""
        return self._applied_term

    @property
    def last_index(self) -> int:
        return self._journal[-1][1]

    @property
    def last_term(self) -> int:
        return self._journal[-1][2]

    @property
    def peer_count(self) -> int:
        return len(self._SyncObj__otherNodes)

    @property
    def has_backlog(self) -> bool:
        """Whether `tick` stopped applying because its slice was over."""
        return self._applicable() > self._SyncObj__raftLastApplied

    def append(self, payload: bytes) -> int:
        """Stage one entry (the leader only); its index. The caller then lets the journal sync."""
        index = self.last_index + 1
        self._journal.add(payload, index, self._SyncObj__raftCurrentTerm)
        return index

    def tick(self) -> None:
        """Do what is due: elect, commit, apply (for one slice), send. Stages on the journal; does not sync it."""
        self._onTick()

    def deadline(self) -> float | None:
        """The monotonic second at which `tick` must be called even if nothing happens; None: never."""
        if self._halted:
            return None
        if self._SyncObj__raftState != RAFT_STATE.LEADER:
            return float(self._SyncObj__raftElectionDeadline)
        return float(self._SyncObj__newAppendEntriesTime) if self._SyncObj__otherNodes else None

    def halt(self) -> None:
        """The disk failed: lead no more and seek no election, so that nothing is promised that cannot be kept."""
        self._halted = True
        self._SyncObj__raftLeader = None
        self._SyncObj__setState(RAFT_STATE.FOLLOWER)

    def resume(self) -> None:
        """The disk works again; the journal ends at its durable index."""
        use(self._clock)
        self._halted = False
        now = self._clock.monotonic()
        self._SyncObj__raftElectionDeadline = now + (
            self._SyncObj__generateRaftTimeout() if self._SyncObj__otherNodes else 0.0
        )

    # -- overrides

    def _onTick(self, timeToWait: float = 0.0) -> None:
        """Replaced: the original sleeps in its poller, polls for work, commits what is not on disk, forks, pickles."""
        use(self._clock)
        if self._halted:
            return
        now = self._clock.monotonic()
        state = self._SyncObj__raftState
        if state != RAFT_STATE.LEADER and now >= self._SyncObj__raftElectionDeadline:
            self._seek_election(now)
        if self._SyncObj__raftState == RAFT_STATE.LEADER:
            self._commit()
            self._check_quorum(now)
        self._SyncObj__applyLogEntries()
        if (
            self._SyncObj__raftState == RAFT_STATE.LEADER
            and self._SyncObj__otherNodes
            and now >= self._SyncObj__newAppendEntriesTime
        ):
            self._SyncObj__sendAppendEntries()

    def _seek_election(self, now: float) -> None:
        self._SyncObj__raftElectionDeadline = now + self._SyncObj__generateRaftTimeout()
        if not self._SyncObj__connectedToAnyone():
            return
        self._SyncObj__transferInProgress = False
        self._SyncObj__raftLeader = None
        self._SyncObj__setState(RAFT_STATE.CANDIDATE)
        self._SyncObj__setCurrentTerm(self._SyncObj__raftCurrentTerm + 1, self._SyncObj__selfNode.id)
        self._SyncObj__votesCount = 1
        request = {
            "type": "request_vote",
            "term": self._SyncObj__raftCurrentTerm,
            "last_log_index": self.last_index,
            "last_log_term": self.last_term,
        }
        for node in self._SyncObj__otherNodes:
            self._SyncObj__transport.send(node, request)
        self._SyncObj__onLeaderChanged()
        if not self._SyncObj__otherNodes:
            self._SyncObj__onBecomeLeader()

    def _commit(self) -> None:
        """Commit what a quorum has on disk. The original counts itself for what it has in memory only."""
        own = self._journal.durable_index
        others = self._SyncObj__otherNodes
        if others:
            held = sorted([own, *(self._SyncObj__raftMatchIndex[node] for node in others)], reverse=True)
            own = held[len(held) // 2]
        if own > self._SyncObj__raftCommitIndex and self._term_at(own) == self._SyncObj__raftCurrentTerm:
            self._SyncObj__raftCommitIndex = own
        self._SyncObj__leaderCommitIndex = self._SyncObj__raftCommitIndex

    def _check_quorum(self, now: float) -> None:
        """Lead no more when a majority has not answered for an election timeout."""
        others = self._SyncObj__otherNodes
        if not others:
            return
        since = now - self._SyncObj__conf.leaderFallbackTimeout
        heard = 1 + sum(self._SyncObj__lastResponseTime[node] > since for node in others)
        if heard <= (len(others) + 1) // 2:
            self._SyncObj__setState(RAFT_STATE.FOLLOWER)
            self._SyncObj__raftLeader = None

    def _term_at(self, index: int) -> int:
        return self._journal[index - self._journal[0][1]][2]

    def _applicable(self) -> int:
        """Committed, and on this disk."""
        return int(min(self._SyncObj__raftCommitIndex, self._journal.durable_index))

    def _SyncObj__applyLogEntries(self) -> bool:
        """Replaced: the original unpickles, holds the loop for the whole backlog, applies what is in memory only."""
        journal = self._journal
        end = self._applicable()
        applied: int = self._SyncObj__raftLastApplied
        if applied >= end:
            return False
        monotonic = self._clock.monotonic
        until = monotonic() + self._slice_s
        while applied < end:
            position = applied + 1 - journal[0][1]
            for entry in journal[position : position + min(end - applied, APPLY_AT_ONCE)]:
                self._apply(entry)
                applied = entry[1]
                self._SyncObj__raftLastApplied = applied
                self._applied_term = entry[2]
                if monotonic() >= until:
                    return False
        return False

    def _SyncObj__generateRaftTimeout(self) -> float:
        """Replaced: the original takes its chance from the module `random`."""
        conf = self._SyncObj__conf
        return float(conf.raftMinTimeout + (conf.raftMaxTimeout - conf.raftMinTimeout) * self._rng.random())

    def _SyncObj__tryLogCompaction(self) -> None:
        """Replaced by `compaction.py`: the original pickles the object, in this process or a forked one."""

    def _SyncObj__loadDumpFile(self, clearJournal: bool) -> None:
        """Replaced: the original unpickles. A snapshot sent by the leader comes in with the cluster work."""
        raise AssertionError("installing a snapshot from a leader needs the cluster transport")

    def _SyncObj__parseChangeClusterRequest(self, command: bytes) -> None:
        """Replaced: the original unpickles. Membership entries come in with the cluster work; none exist yet."""
        return
