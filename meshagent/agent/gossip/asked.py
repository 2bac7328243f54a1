"""The queries that we asked and that still run: who has acked, who has answered, when it is over.

A query ends at its deadline, or earlier when everybody it was asked of has answered. Answers are found by the query's
Lamport time and id; a second one of the same member, which relays bring, does not count.

Source: serf's queries (golden notes, "Queries"). Bounded: the number that run at once and the answers that are kept.
What may change here: the bounds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from meshagent.agent.gossip.serf_messages import FLAG_ACK, Query, QueryResponse
from meshagent.agent.gossip.serf_signals import QueryEnded, QueryResult

__all__ = ["MAX_RUNNING", "Asked"]

#: Queries that run at once.
MAX_RUNNING = 256
#: Answers to one query: those of more members than any pool has.
MAX_ANSWERS = 65536


@dataclass(slots=True)
class _Running:
    number: int
    query: Query
    deadline: float
    nodes: int
    acks: dict[str, None] = field(default_factory=dict)
    responses: dict[str, bytes] = field(default_factory=dict)


class Asked:
    """Running queries by Lamport time."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._running: dict[int, _Running] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._running)

    def begin(self, query: Query, deadline: float, nodes: int) -> int:
        """A query goes out to `nodes` members; the number it ends under."""
        self._number += 1
        self._running[query.ltime] = _Running(self._number, query, deadline, nodes)
        return self._number

    def answer(self, response: QueryResponse) -> QueryEnded | None:
        """Take an ack or an answer; the end of the query, if it was the last that is missing."""
        running = self._running.get(response.ltime)
        if running is None or running.query.id != response.id:
            self.counts["serf.query_unknown"] += 1
            return None
        if response.flags & FLAG_ACK:
            if response.sender in running.acks:
                self.counts["serf.query_duplicate_acks"] += 1
            elif len(running.acks) < MAX_ANSWERS:
                self.counts["serf.query_acks"] += 1
                running.acks[response.sender] = None
            return None
        if response.sender in running.responses:
            self.counts["serf.query_duplicate_responses"] += 1
            return None
        if len(running.responses) < MAX_ANSWERS:
            self.counts["serf.query_responses"] += 1
            running.responses[response.sender] = response.payload or b""
        whole = not running.query.filters and len(running.responses) >= running.nodes
        return self._end(running) if whole else None

    def next_deadline(self) -> float | None:
        """When the next query is over."""
        return min(running.deadline for running in self._running.values()) if self._running else None

    def expire(self, now: float) -> list[QueryEnded]:
        """End what is over by now."""
        return [self._end(running) for running in list(self._running.values()) if running.deadline <= now]

    def _end(self, running: _Running) -> QueryEnded:
        del self._running[running.query.ltime]
        result = QueryResult(tuple(running.acks), running.responses, running.nodes)
        return QueryEnded(running.number, result)
