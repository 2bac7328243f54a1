"""I/O edge: one running pool: serf's machine on its sockets, its snapshot and its keys on disk, and who waits for it.

Source: surface section 9; serf's snapshot and keyring files. The machine decides, here is what its commands become:
changes of members are told to observers (from the loop, never from within a call), ends of queries wake who asked, keys
are kept before they are answered for. What may change here: a new command of `serf_signals.py` is a row in `_DO`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshagent.agent.gossip.delegate import Delegate
from meshagent.agent.gossip.delegate import Pool as PoolLayer
from meshagent.agent.gossip.gate import Gate
from meshagent.agent.gossip.key_queries import KeyReport, report
from meshagent.agent.gossip.keyring import Keyring
from meshagent.agent.gossip.keyring_file import save_ring
from meshagent.agent.gossip.member import Member
from meshagent.agent.gossip.member_table import MemberTable
from meshagent.agent.gossip.node import Address, parse_ip
from meshagent.agent.gossip.packet import PacketCodec
from meshagent.agent.gossip.pool_telemetry import PoolTelemetry
from meshagent.agent.gossip.seal import Seal
from meshagent.agent.gossip.serf import Serf
from meshagent.agent.gossip.serf_codec import encode
from meshagent.agent.gossip.serf_messages import Event, KeyRequest, KeyResponse, Query
from meshagent.agent.gossip.serf_settings import SerfSettings
from meshagent.agent.gossip.serf_signals import (
    Change,
    KeysChanged,
    LeaveEnded,
    MembersChanged,
    NameLost,
    QueryCame,
    QueryEnded,
    QueryResult,
    UserEventCame,
)
from meshagent.agent.gossip.serf_stats import serf_stats
from meshagent.agent.gossip.settings import GossipSettings
from meshagent.agent.gossip.snapshot_file import SnapshotFile
from meshagent.agent.gossip.snapshot_log import Replayed
from meshagent.agent.gossip.streams import StreamCodec
from meshagent.agent.gossip.swim import Memberlist
from meshagent.agent.gossip.transport import GossipTransport
from meshagent.clock import Clock, Tasks
from meshagent.errors import InternalError
from meshagent.machine import Command
from meshagent.metrics import Labels, Metrics

__all__ = ["Connect", "Pool", "PoolSettings"]

log = logging.getLogger("agent.gossip")

#: How often what was noted goes to disk, as serf does, and what was counted into the metrics.
_TICK_S = 1.0
_NONCE_BYTES = 12


#: Builds what carries a machine's packets and streams; `GossipTransport` is the one, tests have another.
Connect = Callable[..., GossipTransport]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """One pool of this agent. `ring_path` and `snapshot_path` are None where nothing is kept."""

    name: str
    bind: Address
    advertise: Address
    option: str
    """The configuration's option of the address, for errors."""
    gossip: GossipSettings
    serf: SerfSettings
    labels: Labels = ()
    verify_incoming: bool = True
    verify_outgoing: bool = True
    ring_path: Path | None = None
    snapshot_path: Path | None = None
    rejoin_after_leave: bool = False


class Pool:
    """One pool; build it, `start`, and `stop` it, after `leave` if it is for good."""

    def __init__(
        self,
        settings: PoolSettings,
        *,
        tags: Mapping[str, str],
        ring: Keyring,
        remembered: Replayed,
        gate: Callable[[MemberTable], Gate] | None,
        clock: Clock,
        rng: random.Random,
        metrics: Metrics,
        connect: Connect = GossipTransport,
    ) -> None:
        """Binds the sockets. Raises ConfigError: the address is taken, or the tags do not fit."""
        self.settings = settings
        self.ring = ring
        self.remembered = remembered
        self.on_change: list[Callable[[str, Member], None]] = []
        self.on_event: list[Callable[[Event], None]] = []
        self.on_query: list[Callable[[Query, float], None]] = []
        self.on_name_lost: list[Callable[[], None]] = []
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._tasks = Tasks()
        self._queries: dict[int, asyncio.Future[QueryResult]] = {}
        self._left = asyncio.Event()
        self._snapshot = SnapshotFile(settings.snapshot_path, remembered) if settings.snapshot_path else None
        packets = PacketCodec(
            Seal(ring, lambda: os.urandom(_NONCE_BYTES)),
            verify_incoming=settings.verify_incoming,
            verify_outgoing=settings.verify_outgoing,
        )

        def make_pool(delegate: Delegate) -> PoolLayer:
            host, port = settings.advertise
            return Memberlist(
                settings.name,
                parse_ip(host),
                port,
                settings=settings.gossip,
                delegate=delegate,
                rng=rng,
                packets=packets,
                metrics=metrics,
                labels=settings.labels,
            )

        self.serf = Serf(
            make_pool=make_pool,
            tags=tags,
            ring=ring,
            rng=rng,
            settings=settings.serf,
            gate=gate,
            metrics=metrics,
            labels=settings.labels,
        )
        self._telemetry = PoolTelemetry(self.serf, metrics, settings.labels)
        self.transport = connect(
            self.serf,
            StreamCodec(packets),
            clock,
            on_command=self._do,
            option=settings.option,
            read_timeout_s=settings.gossip.tcp_timeout_s,
            logger=log,
        )
        self.transport.listen(*settings.bind)

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to gossip, and to rejoin those whom the snapshot names."""
        self.serf.clock.witness(self.remembered.clock)
        self.serf.events.clock.witness(self.remembered.event_clock)
        self.serf.queries.clock.witness(self.remembered.query_clock)
        self.transport.start()
        self._tasks.start(self._tick(), name="gossip tick")
        if self.remembered.alive:
            self._tasks.start(self._rejoin(), name="gossip rejoin")

    async def leave(self) -> None:
        """Leave for good; returns when everybody had the time to hear it."""
        if self._snapshot is not None:
            self._note_clocks()
            self._snapshot.log.leave(rejoin_after_leave=self.settings.rejoin_after_leave)
            await self._snapshot.flush()
        serf = self.settings.serf
        self.serf.leave(self._clock.monotonic())
        self.transport.flush()
        try:
            async with asyncio.timeout(2 * serf.broadcast_timeout_s + serf.leave_propagate_s + 1.0):
                await self._left.wait()
        except TimeoutError:
            log.warning("%s left without being sure that it was heard", self.settings.name)

    async def stop(self) -> None:
        """Close the sockets, write what was noted."""
        await self._tasks.cancel()
        await self.transport.close()
        for waiting in self._queries.values():
            waiting.cancel()
        self._telemetry.publish(self._clock.monotonic())
        await self._flush()

    async def _rejoin(self) -> None:
        """Full exchanges with those of the last run, in random order, until one succeeds."""
        places = [(name, place) for name, place in self.remembered.alive.items() if name != self.settings.name]
        self._rng.shuffle(places)
        for name, place in places:
            host, _, port = place.rpartition(":")
            if not port.isdigit():
                continue
            try:
                await self.join((host.strip("[]"), int(port)))
            except InternalError as error:
                log.info("rejoining %s at %s: %s", name, place, error)
            else:
                log.info("rejoined through %s at %s", name, place)
                return
        if places:
            log.warning("nobody of the last run could be rejoined")

    async def _tick(self) -> None:
        while True:
            self._telemetry.publish(self._clock.monotonic())
            await self._flush()
            await self._clock.sleep(_TICK_S)

    # --- what is asked of it ---------------------------------------------------------------------------------------

    def members(self) -> list[Member]:
        """All members, by name."""
        return [entry.member() for entry in sorted(self.serf.members, key=lambda entry: entry.node.name)]

    async def join(self, address: Address) -> None:
        """Join the pool of whoever listens there. Raises InternalError: why it failed."""
        await self.transport.join(address)

    def force_leave(self, name: str, *, prune: bool) -> None:
        """Take a failed member for left."""
        self.serf.force_leave(name, self._clock.monotonic(), prune=prune)
        self.transport.flush()

    def user_event(self, name: str, payload: bytes | None) -> int:
        """Tell everybody; the Lamport time. Raises InternalError: too large."""
        try:
            return self.serf.user_event(name, payload, self._clock.monotonic())
        finally:
            self.transport.flush()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tell other tags. Raises LocalProtocolError: they do not fit."""
        self.serf.set_tags(tags, self._clock.monotonic())
        self.transport.flush()

    def respond(self, query: Query, payload: bytes) -> None:
        """Answer a query that came. Raises InternalError: too large."""
        self.serf.queries.respond(query, payload, self._clock.monotonic())
        self.transport.flush()

    async def query(
        self,
        name: str,
        payload: bytes | None,
        *,
        filters: Sequence[bytes] = (),
        ack: bool = False,
        relay_factor: int = 0,
        timeout_s: float = 0.0,
    ) -> QueryResult:
        """Ask everybody that the filters let through, and wait until the query is over.

        Raises:
            InternalError: it is too large.
            Unavailable: too many queries run.
        """
        number = self.serf.queries.ask(
            name,
            payload,
            self._clock.monotonic(),
            filters=tuple(filters),
            ack=ack,
            relay_factor=relay_factor,
            timeout_s=timeout_s,
        )
        waiting: asyncio.Future[QueryResult] = asyncio.get_running_loop().create_future()
        self._queries[number] = waiting
        self.transport.flush()
        try:
            return await waiting
        finally:
            self._queries.pop(number, None)

    async def key_query(self, name: str, key: bytes = b"", *, relay_factor: int = 0) -> KeyReport:
        """Have all members list, install, use or remove a key (`key_queries.py` has the names)."""
        return report(await self.query(name, encode(KeyRequest(key)), relay_factor=relay_factor))

    def stats(self) -> dict[str, str]:
        """Facts for `agent/self`, under serf's names."""
        return serf_stats(self.serf, encrypted=bool(self.ring.keys))

    # --- what the machine asks for ---------------------------------------------------------------------------------

    def _do(self, command: Command) -> None:
        action = _DO.get(type(command))
        if action is not None:
            action(self, command)

    def _changed(self, command: MembersChanged) -> None:
        member = command.member
        if self._snapshot is not None:
            if command.kind in (Change.JOIN, Change.UPDATE):
                host = f"[{member.addr}]" if ":" in member.addr else member.addr
                self._snapshot.log.alive(member.name, f"{host}:{member.port}")
            elif command.kind in (Change.LEAVE, Change.FAILED):
                self._snapshot.log.gone(member.name)
        self._tell(self.on_change, command.kind, member)

    def _event_came(self, command: UserEventCame) -> None:
        self._telemetry.event(command.event.name)
        self._tell(self.on_event, command.event)

    def _query_came(self, command: QueryCame) -> None:
        self._tell(self.on_query, command.query, command.deadline)

    def _query_ended(self, command: QueryEnded) -> None:
        waiting = self._queries.get(command.number)
        if waiting is None:  # it ended within the call that began it
            asyncio.get_running_loop().call_soon(self._query_ended_late, command)
        elif not waiting.done():
            waiting.set_result(command.result)

    def _query_ended_late(self, command: QueryEnded) -> None:
        waiting = self._queries.get(command.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(command.result)

    def _keys_changed(self, command: KeysChanged) -> None:
        self._tasks.start(self._keep_keys(command), name="gossip keys")

    async def _keep_keys(self, command: KeysChanged) -> None:
        response = command.response
        path = self.settings.ring_path
        if path is not None:
            try:
                await asyncio.get_running_loop().run_in_executor(None, save_ring, path, command.keys)
            except OSError as error:
                log.error("keyring %s cannot be written: %s", path, error.strerror)
                response = KeyResponse(False, f"Failed to write keyring file: {error.strerror}")
        log.info("gossip keys changed: %d installed", len(command.keys))
        self.serf.queries.keys_kept(command.token, response, self._clock.monotonic())
        self.transport.flush()

    def _leave_ended(self, _command: LeaveEnded) -> None:
        self._left.set()

    def _name_lost(self, _command: NameLost) -> None:
        log.error("most members know another node as %s", self.settings.name)
        self._tell(self.on_name_lost)

    @staticmethod
    def _tell(observers: Sequence[Callable[..., None]], *what: Any) -> None:
        loop = asyncio.get_running_loop()
        for observer in observers:
            loop.call_soon(observer, *what)

    # --- what is kept and counted ----------------------------------------------------------------------------------

    async def _flush(self) -> None:
        """Bring what was noted to disk."""
        if self._snapshot is None:
            return
        self._note_clocks()
        started = self._clock.monotonic()
        done = await self._snapshot.flush()
        if done:
            self._metrics.measure(done, started, self.settings.labels)

    def _note_clocks(self) -> None:
        if self._snapshot is not None:
            serf = self.serf
            self._snapshot.log.clocks(serf.clock.time - 1, serf.events.clock.time - 1, serf.queries.clock.time - 1)


_DO: dict[type[Command], Callable[[Pool, Any], None]] = {
    MembersChanged: Pool._changed,
    UserEventCame: Pool._event_came,
    QueryCame: Pool._query_came,
    QueryEnded: Pool._query_ended,
    KeysChanged: Pool._keys_changed,
    LeaveEnded: Pool._leave_ended,
    NameLost: Pool._name_lost,
}
