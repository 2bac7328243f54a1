"""Where this member is among the others, from the acks of its pings.

Source: surface row S51: an ack carries the coordinate of who answers. What cannot be used is counted and changes
nothing. What may change here: nothing that a peer sees.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from meshagent.agent.gossip.coordinate_wire import decode_coordinate, encode_coordinate
from meshagent.agent.gossip.coordinates import Vivaldi
from meshagent.catalog.model import Coordinate
from meshagent.errors import RemoteProtocolError

__all__ = ["Placing"]


class Placing:
    """Our coordinate, and those that others last told; with `enabled` False nothing is told or learned."""

    def __init__(self, rng: random.Random, *, enabled: bool) -> None:
        self.counts: Counter[str] = Counter()
        self.vivaldi = Vivaldi(rng)
        self.known: dict[str, Coordinate] = {}
        self._enabled = enabled

    def payload(self) -> bytes:
        """What our acks carry."""
        return encode_coordinate(self.vivaldi.coordinate) if self._enabled else b""

    def acked(self, name: str, rtt_s: float, payload: bytes) -> None:
        """A ping of ours was acked after `rtt_s` seconds with `payload`."""
        if not self._enabled or not payload:
            return
        try:
            other = decode_coordinate(payload)
            self.vivaldi.update(name, other, rtt_s)
        except RemoteProtocolError:
            self.counts["dropped.coordinate"] += 1
        else:
            self.known[name] = other

    def forget(self, names: Iterable[str]) -> None:
        """These have gone."""
        for name in names:
            self.vivaldi.forget(name)
            self.known.pop(name, None)
