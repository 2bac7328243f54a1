"""Elections: when a server seeks one, when it gives its vote, and when it does not even listen.

Source: Ongaro (2014), sections 3.4 (votes), 3.10 (transfer), 4.2.3 and 9.6 (pre-vote, and not disturbing a leader that
lives). Two promises lean on each other here and in `replication.py`: a server that heard its leader gives no vote for
the shortest election timeout, and a leader's lease is shorter than that, counted from when it spoke.

A server votes for whoever asks, of its cluster or not; whose vote counts is for the candidate's configuration to say.

What may be changed: the order of the checks in `_on_request_vote`: none.
"""

from __future__ import annotations

import logging
from collections.abc import Set

from meshagent.catalog.raft.messages import PreVote, RequestVote, TimeoutNow, VoteReply
from meshagent.catalog.raft.standing import CANDIDATE, FOLLOWER, LEADER, Standing

__all__ = ["Elections"]

log = logging.getLogger("agent.server.raft")


class Elections(Standing):
    """`_become_leader` and `_stop_leading` are what a leader adds."""

    _pre_term = 0  # the term that is being asked for in a pre-vote, or 0
    _granted: frozenset[str] = frozenset()  # who said yes to what is being asked
    _removed = False  # a leader said that this server does not belong to the cluster any more
    timeouts = 0  # how often no leader was heard for an election timeout

    def _become_leader(self, now: float) -> None:
        raise NotImplementedError

    def _stop_leading(self) -> None:
        raise NotImplementedError

    @property
    def may_lead(self) -> bool:
        """Whether this server may seek an election."""
        return self.node_id in self.voters and not self._removed and self._is_same(self.node_id, self.incarnation)

    def _is_quorum(self, node_ids: Set[str]) -> bool:
        return 2 * len(self.voters & node_ids) > len(self.voters)

    def _step_down(self, term: int, now: float) -> None:
        """Follow: somebody is in `term`, or this server leads no more."""
        if self.role == LEADER:
            self._stop_leading()
            self._deadline = now + self._timeout()
        if term > self.term:
            self._set_term(term, None)
        self._pre_term = 0
        self._set_leader(None)
        self._set_role(FOLLOWER)

    # -- seeking

    def _seek_election(self, now: float) -> None:
        """Nothing was heard for an election timeout: ask who would vote, before any term is disturbed."""
        self.timeouts += 1
        self._deadline = now + self._timeout()
        self._set_leader(None)
        self._set_role(FOLLOWER)
        self._granted = frozenset((self.node_id,))
        self._pre_term = self.term + 1
        if self._is_quorum(self._granted):
            self._stand(now, transfer=False)
            return
        for node_id in sorted(self.voters - {self.node_id}):
            epoch = self._transport.epoch(node_id)
            asked = PreVote(self.node_id, self._pre_term, epoch, self.last_index, self.last_term, self.address)
            self._send(node_id, asked)

    def _stand(self, now: float, *, transfer: bool) -> None:
        """Begin a term and ask for votes in it. The requests leave when term and vote are on disk."""
        self._deadline = now + self._timeout()
        self._pre_term = 0
        self._set_leader(None)
        self._set_role(CANDIDATE)
        self._set_term(self.term + 1, self.node_id)
        self._granted = frozenset((self.node_id,))
        for node_id in sorted(self.voters - {self.node_id}):
            epoch = self._transport.epoch(node_id)
            self._send(
                node_id,
                RequestVote(self.node_id, self.term, epoch, self.last_index, self.last_term, transfer, self.address),
            )
        if self._is_quorum(self._granted):
            self._become_leader(now)

    def _on_vote_reply(self, message: VoteReply, now: float) -> None:
        if message.removed and message.term >= self.term and not self._removed:
            log.warning("server %s leads and says that this one was removed: standing for no election", message.sender)
            self._removed = True
        if message.term > self.term:
            self._step_down(message.term, now)
            return
        if not message.granted or not self._is_same(message.sender, message.incarnation):
            return
        if message.pre and self._pre_term == message.asked == self.term + 1:
            self._granted |= {message.sender}
            if self._is_quorum(self._granted):
                self._stand(now, transfer=False)
        elif not message.pre and self.role == CANDIDATE and message.asked == self.term:
            self._granted |= {message.sender}
            if self._is_quorum(self._granted):
                self._become_leader(now)

    def _on_timeout_now(self, message: TimeoutNow, now: float) -> None:
        """The leader hands over. Only the leader of this very term may: a late one must depose nobody."""
        if message.term == self.term and message.sender == self.leader_id and self.may_lead:
            self._stand(now, transfer=True)

    # -- voting

    def _is_guarded(self, now: float) -> bool:
        """Whether there may be a leader whose lease counts on this server."""
        return self.role == LEADER or now - self._heard_at < self._election_min_s

    def _has_all_of_mine(self, last_index: int, last_term: int) -> bool:
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def _on_pre_vote(self, message: PreVote, now: float) -> None:
        granted = (
            message.term > self.term
            and not self._is_guarded(now)
            and self._has_all_of_mine(message.last_index, message.last_term)
        )
        removed = (
            self.role == LEADER
            and self.configuration.get(message.sender) is None
            and self.commit_index >= self.configuration_index
        )
        self._send(
            message.sender,
            VoteReply(
                self.node_id,
                self.term,
                message.epoch,
                message.term,
                granted,
                pre=True,
                removed=removed,
                incarnation=self.incarnation,
            ),
        )

    def _on_request_vote(self, message: RequestVote, now: float) -> None:
        if not message.transfer and self._is_guarded(now):
            return  # not even the term: a server that was cut off must not depose a leader that lives
        if message.term > self.term:
            self._step_down(message.term, now)
        granted = (
            message.term == self.term
            and self.role != LEADER
            and self.voted_for in (None, message.sender)
            and self._has_all_of_mine(message.last_index, message.last_term)
        )
        if granted:
            if self.voted_for is None:
                self._set_term(self.term, message.sender)
            self._deadline = now + self._timeout()
        self._send(
            message.sender,
            VoteReply(
                self.node_id,
                self.term,
                message.epoch,
                message.term,
                granted,
                pre=False,
                incarnation=self.incarnation,
            ),
        )
