"""What serf tells everybody: intents first, then queries, then user events.

Source: serf's three broadcast queues (golden notes, section 10); their samples are `serf.queue.Intent` and so on. What
may change here: nothing that a peer sees.
"""

from __future__ import annotations

from collections.abc import Callable

from meshagent.agent.gossip.transmit_queue import TransmitQueue

__all__ = ["Outbox"]


class Outbox:
    """Three queues that share the room of a packet in this order."""

    def __init__(self, retransmit_mult: int) -> None:
        self.intents = TransmitQueue(retransmit_mult)
        self.queries = TransmitQueue(retransmit_mult)
        self.events = TransmitQueue(retransmit_mult)

    def __len__(self) -> int:
        return len(self.intents) + len(self.queries) + len(self.events)

    def take(self, overhead: int, limit: int, nodes: Callable[[], int]) -> list[bytes]:
        """Payloads for one packet; see `TransmitQueue.take`."""
        if not (self.intents or self.queries or self.events):
            return []
        count = nodes()
        taken: list[bytes] = []
        for queue in (self.intents, self.queries, self.events):
            found = queue.take(overhead, limit, count)
            limit -= sum(overhead + len(payload) for payload in found)
            taken += found
        return taken

    def prune(self, most: int) -> int:
        """Keep at most `most` in each; how many were dropped."""
        return sum(queue.prune(most) for queue in (self.intents, self.queries, self.events))
