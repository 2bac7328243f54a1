"""The seam between memberlist and serf: what each asks of the other. Types only.

Source: memberlist's delegates (github.com/hashicorp/memberlist, MPL: delegate, ping, conflict, alive and merge
delegates) as facts. Nothing here does I/O or reads a clock.

Promises, both ways:
- All is called on one thread, within `handle` or a call below, with that call's `now` (monotonic seconds).
- A delegate may call back into `Pool` at any moment. Calls of `Pool` never send: they queue commands, and `handle` or
  `take_commands` returns them in order. So whoever calls `Pool` from outside `handle` takes the commands afterwards.
- A delegate does not raise. Bytes of peers are given as they came: the delegate judges them, drops and counts.
- Timers: memberlist has one, named `WAKE`; `Pool.handle` ignores all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from meshagent.agent.gossip.node import Address, Node
from meshagent.machine import Command, Event

__all__ = ["WAKE", "Delegate", "Pool"]

#: The name of memberlist's timer.
WAKE = "memberlist"


class Delegate(Protocol):
    """What memberlist asks of the layer above."""

    def node_meta(self) -> bytes:
        """Our metadata (serf: ff and the tags), at most 512 bytes; asked at start and by `Pool.update_meta`."""

    def user_message(self, payload: bytes, source: Address, now: float) -> None:
        """A message of type 8, from a packet or a stream, without the 8."""

    def has_broadcasts(self) -> bool:
        """Whether `broadcasts` would have something. Asked after every event."""

    def broadcasts(self, overhead: int, limit: int) -> list[bytes]:
        """Payloads to send along (without the 8), each counted as len + `overhead`, together at most `limit` bytes.

        Called for every packet that has room, so an empty queue must answer at once.
        """

    def local_state(self, join: bool) -> bytes:
        """Our half of a push/pull's user state."""

    def merge_remote_state(self, state: bytes, join: bool, now: float) -> None:
        """The peer's half; called after its nodes were merged, never with empty bytes."""

    def notify_join(self, node: Node, now: float) -> None:
        """New and alive, or alive again; for ourselves too, at start."""

    def notify_leave(self, node: Node, now: float) -> None:
        """`node.state` says whether it is DEAD or has LEFT; for ourselves too."""

    def notify_update(self, node: Node, now: float) -> None:
        """Its metadata changed."""

    def notify_conflict(self, existing: Node, other: Node, now: float) -> None:
        """`other` has the name of `existing` and another address; it was refused."""

    def refuse_merge(self, peers: Sequence[Node], now: float) -> str | None:
        """Why not to join with the pool of these nodes (asked on a joining push/pull), or None."""

    def refuse_alive(self, peer: Node, now: float) -> str | None:
        """Why not to take this node for a member (asked before anything is changed), or None."""

    def ack_payload(self) -> bytes:
        """What an ack of a direct ping carries (serf: our coordinate); empty for nothing."""

    def ping_complete(self, node: Node, rtt_s: float, payload: bytes, now: float) -> None:
        """A direct probe by UDP was acked after `rtt_s` seconds, with that payload."""


class Pool(Protocol):
    """What memberlist does for the layer above. `swim.Memberlist` is the one."""

    @property
    def local(self) -> Node:
        """Ourselves, as we tell it."""

    @property
    def health_score(self) -> int:
        """Lifeguard's local health: 0 is well, higher is worse, at most 7."""

    @property
    def size(self) -> int:
        """How many nodes the table holds, ourselves and the recently dead too: the n of all formulas."""

    def node(self, name: str) -> Node | None:
        """What the table holds under that name, in any state; dead ones are forgotten after a while."""

    def nodes(self) -> list[Node]:
        """All of the table, in any state, in no order."""

    def up_nodes(self) -> list[Node]:
        """Alive and suspect ones, ourselves too."""

    def alive_others(self) -> bool:
        """Whether anybody else is up: else a broadcast reaches nobody."""

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take one event; all that it and the delegate's calls asked for."""

    def take_commands(self) -> list[Command]:
        """What calls outside `handle` queued."""

    def start(self, now: float) -> None:
        """Announce ourselves and set the timers."""

    def join(self, address: Address, now: float) -> int:
        """A joining push/pull with whoever listens there; ends in `JoinEnded` with the returned number."""

    def leave(self, now: float) -> None:
        """Tell everybody that we go; ends in `LeaveSent`. We stay up and answer until the edge stops."""

    def update_meta(self, now: float) -> None:
        """Ask `node_meta` again and announce it with a new incarnation."""

    def send_user(self, address: Address, payload: bytes, now: float) -> None:
        """A user message by UDP, alone in its packet, best effort; `payload` without the 8."""

    def send_user_reliable(self, address: Address, payload: bytes, now: float) -> None:
        """A user message on a stream of its own; a failure is logged."""
