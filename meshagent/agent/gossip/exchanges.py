"""Push/pull: telling one node all we know and hearing all it knows; how a node joins, and how a pool heals.

Source: surface rows S13, S14, S25; golden README sections 3.3, 5. An exchange is merged in this order: versions, merge
delegate (on a join), nodes, user state. A remote `dead` is only a suspicion to us, so that the node can answer for
itself. Streams are the edge's: a `Dial` command out, its answer back as an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from meshagent.agent.gossip.beliefs import Beliefs
from meshagent.agent.gossip.core import Core
from meshagent.agent.gossip.drops import Drop
from meshagent.agent.gossip.messages import Ack, Dead, Ping, Suspect
from meshagent.agent.gossip.node import Address, Node, NodeState, show_address
from meshagent.agent.gossip.signals import Closed, Dial, JoinEnded, Reply
from meshagent.agent.gossip.streams import PushPull, StreamError, StreamMessage, UserData
from meshagent.agent.gossip.timing import push_pull_interval_s

__all__ = ["Exchanges", "version_conflict"]

_DEBUG, _INFO, _WARNING = 10, 20, 30

#: What to do with the answer on a stream we dialled, or with the words of why there is none.
_OnEnd = Callable[[StreamMessage | None, str | None, float], None]


def version_conflict(nodes: Iterable[Node]) -> str | None:
    """Why these nodes cannot be one pool: each must speak within what all understand; None if they can."""
    triples = {node.versions for node in nodes if node.state is NodeState.ALIVE and len(node.versions) == 6}
    for at, what in ((0, "protocol"), (3, "delegate protocol")):
        low = max((versions[at] for versions in triples), default=0)
        high = min((versions[at + 1] for versions in triples), default=255)
        for versions in triples:
            if not low <= versions[at + 2] <= high:
                return f"{what} version ({versions[at + 2]}) is incompatible: [{low}, {high}]"
    return None


class Exchanges:
    """Streams of the machine: those we dial and those that peers dialled."""

    def __init__(self, core: Core, beliefs: Beliefs) -> None:
        self._core = core
        self._beliefs = beliefs
        self._dials: dict[int, _OnEnd] = {}
        self._dial_count = 0

    # -- what we dial

    def _dial(self, address: Address, message: StreamMessage, deadline: float, answered: bool, on_end: _OnEnd) -> int:
        self._dial_count += 1
        self._dials[self._dial_count] = on_end
        data = self._core.streams.encode(message, dialling=True)
        self._core.telemetry.tcp_connect.incr()
        self._core.telemetry.tcp_sent.incr(len(data))
        self._core.out.append(Dial(self._dial_count, address, data, deadline, answered))
        return self._dial_count

    def ended(self, dial: int, message: StreamMessage | None, detail: str | None, now: float) -> None:
        """A stream that we dialled is over; without a message `detail` says why."""
        on_end = self._dials.pop(dial, None)
        if on_end is not None:
            on_end(message, detail, now)

    def start(self, now: float) -> None:
        core = self._core
        interval_s = core.settings.push_pull_interval_s
        if interval_s > 0:
            core.agenda.at(now + core.rng.random() * interval_s, self._tick)

    def _tick(self, now: float) -> None:
        core = self._core
        interval_s = push_pull_interval_s(core.settings.push_pull_interval_s, len(core.table))
        core.agenda.at(now + interval_s, self._tick)
        for node in core.table.draw(1, lambda node: node.state is NodeState.ALIVE and node.name != core.name):
            self._exchange(node.address, False, now)

    def join(self, address: Address, now: float) -> int:
        """A joining exchange; ends in `JoinEnded`."""
        return self._exchange(address, True, now)

    def _exchange(self, address: Address, join: bool, now: float) -> int:
        core = self._core

        def on_end(message: StreamMessage | None, detail: str | None, later: float) -> None:
            error = detail
            if isinstance(message, PushPull):
                core.telemetry.took("pushPullNode", later - now)
                error = self._merge(message, join, later)
            elif isinstance(message, StreamError):
                error = f"remote error: {message.error}"
            elif message is not None:
                error = "the answer is not a push/pull"
            if join:
                core.out.append(JoinEnded(number, address, error))
            elif error is not None:
                core.log(_WARNING, f"push/pull with {show_address(address)} failed: {error}")

        number = self._dial(address, self._ours(join), now + core.settings.tcp_timeout_s, True, on_end)
        return number

    def dial_ping(self, node: Node, seq_no: int, deadline: float, answered: Callable[[], None]) -> None:
        """A ping by TCP; `answered` is called if it is acked."""

        def on_end(message: StreamMessage | None, detail: str | None, later: float) -> None:
            if isinstance(message, Ack) and message.seq_no == seq_no:
                answered()

        core = self._core
        self._dial(node.address, Ping(seq_no, node.name, core.local.address, core.name), deadline, True, on_end)

    def send_user(self, address: Address, payload: bytes, now: float) -> None:
        """A user message on a stream of its own."""
        core = self._core

        def on_end(message: StreamMessage | None, detail: str | None, later: float) -> None:
            if detail is not None:
                core.log(_WARNING, f"a message to {show_address(address)} was not delivered: {detail}")

        self._dial(address, UserData(payload), now + core.settings.tcp_timeout_s, False, on_end)

    # -- what peers dialled

    def heard(self, stream: int, message: StreamMessage, source: Address, now: float) -> None:
        """A peer said something on a stream that it dialled."""
        core = self._core
        core.telemetry.tcp_accept.incr()
        if isinstance(message, PushPull):
            self._reply(stream, self._ours(message.join))
            error = self._merge(message, message.join, now)
            if error is not None:
                core.log(_WARNING, f"push/pull from {show_address(source)} was not merged: {error}")
        elif isinstance(message, Ping) and message.node in ("", core.name):
            self._reply(stream, Ack(message.seq_no))
        else:
            core.out.append(Closed(stream))
            if isinstance(message, UserData):
                core.delegate.user_message(message.payload, source, now)
            else:
                core.telemetry.dropped(Drop.OTHER_NAME if isinstance(message, Ping) else Drop.UNKNOWN_TYPE)

    def refused(self, stream: int, drop: Drop, detail: str, source: Address) -> None:
        """What a peer said cannot be read: tell it why if it may be one of ours, as peers do."""
        core = self._core
        core.telemetry.tcp_accept.incr()
        core.telemetry.dropped(drop)
        core.log(_DEBUG, f"stream from {show_address(source)} dropped ({drop}): {detail}")
        if drop in (Drop.DECRYPT, Drop.PLAIN, Drop.SEALED, Drop.TOO_LARGE):
            self._reply(stream, StreamError(detail))
        else:
            core.out.append(Closed(stream))

    def _reply(self, stream: int, message: StreamMessage) -> None:
        data = self._core.streams.encode(message, dialling=False)
        self._core.telemetry.tcp_sent.incr(len(data))
        self._core.out.append(Reply(stream, data))

    # -- what is in them

    def _ours(self, join: bool) -> PushPull:
        core = self._core
        state = core.delegate.local_state(join)
        core.telemetry.size("local", state)
        return PushPull(join, tuple(core.table.nodes.values()), state)

    def _merge(self, remote: PushPull, join: bool, now: float) -> str | None:
        """Take what the peer knows; returns why not."""
        core, beliefs = self._core, self._beliefs
        nodes = core.table.nodes
        error = version_conflict((*nodes.values(), *remote.nodes))
        if error is not None:
            core.telemetry.dropped(Drop.VERSIONS)
            return error
        if join and (error := core.delegate.refuse_merge(remote.nodes, now)) is not None:
            core.telemetry.dropped(Drop.REFUSED)
            return error
        core.telemetry.size("remote", remote.user_state)
        for node in remote.nodes:
            if nodes.get(node.name) is node:
                continue
            if node.state is NodeState.ALIVE:
                beliefs.alive(node, now)
            elif node.state is NodeState.LEFT:
                beliefs.dead(Dead(node.incarnation, node.name, node.name), now)
            else:
                beliefs.suspect(Suspect(node.incarnation, node.name, core.name), now)
        if remote.user_state:
            core.delegate.merge_remote_state(remote.user_state, join, now)
        return None
