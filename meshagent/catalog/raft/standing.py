"""What a server stands for at the moment: role, term, vote, leader, commit index. And its words, held until true.

Source: Ongaro and Ousterhout (2014), figure 2; pysyncobj 0.3.17, which keeps these values and stores term and vote.
Its private names are reached here and nowhere else (`self._SyncObj__x` calls whatever a subclass defines under that
name). Its own handling of messages, elections, replication, membership, snapshots and time is not used any more: see
the README's table for why; each way into it raises.

What may be changed: before a method of pysyncobj is used that is not used today, read it for time, chance, pickle, and
for what it believes to be on disk.
"""

# ruff: noqa: N802 -- names that pysyncobj calls us by

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

from meshagent.catalog.raft.batch import MEMBERSHIP
from meshagent.catalog.raft.configuration import Configuration, decode_configuration
from meshagent.catalog.raft.journal import Journal
from meshagent.catalog.raft.messages import Message
from meshagent.catalog.raft.seams import RAFT_STATE, Node, SyncObj, SyncObjConf, use
from meshagent.catalog.raft.seams import Transport as PySyncTransport
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.transport import Transport
from meshagent.clock import Clock

__all__ = ["CANDIDATE", "FOLLOWER", "LEADER", "Standing"]

FOLLOWER, CANDIDATE, LEADER = RAFT_STATE.FOLLOWER, RAFT_STATE.CANDIDATE, RAFT_STATE.LEADER
MAX_STRANGERS = 32
STATE_NAMES = {FOLLOWER: "Follower", CANDIDATE: "Candidate", LEADER: "Leader"}


class _Mute(PySyncTransport):  # type: ignore[misc]
    """What pysyncobj is given for a transport: it has nothing to say and nothing to hear."""

    def __init__(self) -> None:
        super().__init__(None, None, [])

    @property
    def ready(self) -> bool:
        return True


class Standing(SyncObj):  # type: ignore[misc]
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
        on_state: Callable[[str], None],
        since_term: int = 0,
    ) -> None:
        self.node_id = node_id
        self._since_term = since_term  # changes of members of earlier terms do not count: `members.py`
        self._clock = clock
        self._rng = rng
        self._journal = journal
        self._transport = transport
        self._halted = False
        scale = settings.multiplier
        self._heartbeat_s = settings.heartbeat_s * scale
        self._election_min_s = settings.election_min_s * scale
        self._election_max_s = settings.election_max_s * scale
        self._lease_s = self._election_min_s * settings.lease_share
        self.commit_index: int = journal.snapshot.index
        self.applied_index: int = journal.snapshot.index
        self.applied_term: int = journal.snapshot.term
        self._held: deque[tuple[int, str, Message]] = deque()  # (mark that must be on disk, to whom, what)
        # Who it was may be forgotten in a restart: until an election timeout has passed there may be a leader whose
        # lease counts on this server.
        self._heard_at = clock.monotonic()
        self._deadline = self._heard_at + self._timeout()
        self._configurations = [configuration]
        self._voters: frozenset[str] = frozenset()
        self.peer_count = 0  # servers beside this one
        self._incarnations: dict[str, int] = {}
        self._strangers: dict[str, str] = {}  # who spoke here and is not in the configuration: address by node id
        use(clock)
        super().__init__(
            Node(node_id),
            [],
            conf=SyncObjConf(
                autoTick=False,
                commandsQueueSize=1,
                useFork=False,
                onStateChanged=lambda _, state: on_state(STATE_NAMES[state]),
            ),
            transport=_Mute(),
        )
        # The constructor made itself a journal in memory; from here on there is ours, already loaded.
        self._SyncObj__raftLog = journal
        self._SyncObj__raftCurrentTerm = max(journal.getCurrentTerm(), journal[-1][2])
        self._SyncObj__votedForNodeId = journal.getVotedForNodeId()
        if journal.getCurrentTerm() < self.term:
            self._SyncObj__votedForNodeId = None
        self._SyncObj__needLoadDumpFile = False
        self._load_configurations()
        if self.voters == {node_id}:
            self._deadline = self._heard_at  # nobody to wait for

    # -- kept by pysyncobj

    @property
    def role(self) -> int:
        return int(self._SyncObj__raftState)

    def _set_role(self, role: int) -> None:
        self._SyncObj__setState(role)

    @property
    def term(self) -> int:
        return int(self._SyncObj__raftCurrentTerm)

    @property
    def voted_for(self) -> str | None:
        vote: str | None = self._SyncObj__votedForNodeId
        return vote

    def _set_term(self, term: int, vote: str | None) -> None:
        self._SyncObj__setCurrentTerm(term, vote)  # stages both on the journal

    @property
    def leader_id(self) -> str | None:
        leader: str | None = self._SyncObj__raftLeader
        return leader

    def _set_leader(self, node_id: str | None) -> None:
        self._SyncObj__raftLeader = node_id

    @property
    def state_name(self) -> str:
        return STATE_NAMES[self.role]

    # -- the log

    @property
    def last_index(self) -> int:
        return self._journal[-1][1]

    @property
    def last_term(self) -> int:
        return self._journal[-1][2]

    def _term_at(self, index: int) -> int:
        """The term of an entry that is in memory."""
        return self._journal[index - self._journal[0][1]][2]

    # -- who belongs to it

    @property
    def configuration(self) -> Configuration:
        return self._configurations[-1][1]

    @property
    def configuration_index(self) -> int:
        return self._configurations[-1][0]

    @property
    def voters(self) -> frozenset[str]:
        return self._voters

    @property
    def incarnation(self) -> int:
        """Of this server's data directory."""
        return self._journal.incarnation

    def _is_same(self, node_id: str, incarnation: int) -> bool:
        """Whether that is the data directory that the configuration means, or it does not know yet which one.

        Who lost its disk has forgotten what it voted and acknowledged: it is another server under the same name.
        """
        return self._incarnations.get(node_id, 0) in (0, incarnation)

    def configuration_at(self, index: int) -> tuple[int, Configuration]:
        """The one in force at entry `index` (a committed one), with the index of its own entry."""
        return next(each for each in reversed(self._configurations) if each[0] <= index)

    def _load_configurations(self) -> None:
        base = self._configurations[0][0]
        behind = max(base, self._journal.snapshot.index)
        for payload, index, term in self._journal[:]:
            if index > behind and term >= self._since_term and payload[:1] == bytes((MEMBERSHIP,)):
                self._configurations.append((index, decode_configuration(payload)))
        self._on_configuration()

    def _note_configuration(self, index: int, payload: bytes) -> None:
        """An entry was appended: a change of members is in force at once."""
        if payload[0] == MEMBERSHIP:
            self._configurations.append((index, decode_configuration(payload)))
            while len(self._configurations) > 2 and self._configurations[1][0] <= self._journal.snapshot.index:
                del self._configurations[0]
            self._on_configuration()

    def _forget_configurations(self, index: int) -> None:
        """The log was cut from `index` on: what was in force before is again."""
        if self._configurations[-1][0] >= index:
            while self._configurations[-1][0] >= index:
                del self._configurations[-1]
            self._on_configuration()

    def _on_configuration(self) -> None:
        self._voters = self.configuration.voters
        self._incarnations = self.configuration.incarnations
        addresses = self.configuration.addresses
        addresses.pop(self.node_id, None)
        self.peer_count = len(addresses)
        self._transport.set_servers({**self._strangers, **addresses})

    def _meet(self, node_id: str, address: str) -> None:
        """`node_id` spoke and says where it is: it must be answered though it is not in the configuration."""
        if address and self.configuration.get(node_id) is None and self._strangers.get(node_id) != address:
            if len(self._strangers) >= MAX_STRANGERS:
                self._strangers.clear()
            self._strangers[node_id] = address
            self._on_configuration()

    @property
    def address(self) -> str:
        """This server's, as the others know it."""
        return self.configuration.addresses.get(self.node_id, "")

    # -- words

    def _send(self, node_id: str, message: Message) -> None:
        """Say it when all that is staged now is on disk: it may depend on any of that."""
        self._hold(self._journal.mark, node_id, message)

    def _hold(self, mark: int, node_id: str, message: Message) -> None:
        if mark <= self._journal.durable_mark:
            self._transport.send(node_id, message)
        else:
            self._held.append((mark, node_id, message))

    def _release(self) -> None:
        """Say what is true by now."""
        durable = self._journal.durable_mark
        while self._held and self._held[0][0] <= durable:
            _, node_id, message = self._held.popleft()
            self._transport.send(node_id, message)

    def _timeout(self) -> float:
        return self._election_min_s + (self._election_max_s - self._election_min_s) * self._rng.random()

    # -- closed ways into pysyncobj

    def _closed(self, *_: Any, **__: Any) -> NoReturn:
        raise AssertionError("this part of pysyncobj is replaced: see catalog/raft/README.md")

    _onTick = _closed  # noqa: N815
    _SyncObj__onMessageReceived = _closed
    _SyncObj__sendAppendEntries = _closed
    _SyncObj__onBecomeLeader = _closed
    _SyncObj__applyLogEntries = _closed
    _SyncObj__doApplyCommand = _closed
    _SyncObj__doChangeCluster = _closed
    _SyncObj__changeCluster = _closed
    _SyncObj__parseChangeClusterRequest = _closed
    _SyncObj__tryLogCompaction = _closed
    _SyncObj__loadDumpFile = _closed

    def _SyncObj__generateRaftTimeout(self) -> float:
        """Replaced: the original takes its chance from the module `random`."""
        return 0.0
