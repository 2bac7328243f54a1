"""I/O edge: the pools of this agent: LAN, and on servers WAN; what `agent/members` and the catalog's reconcile ask.

Source: surface rows A3, A18, A20, G11 to G14, S46, S47; Consul's words for what fails. `daemon.py` builds one `Pools`,
starts it when the RPC port listens (its tags name it), and has it leave and stop at the end. What may change here: how
pools are put together; names and tags of members are Consul's.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meshagent.agent.definitions import multierror
from meshagent.agent.gossip.flood import FLOOD_S, missing_in_wan
from meshagent.agent.gossip.gate import Gate, lan_gate, wan_gate
from meshagent.agent.gossip.keyring_file import load_ring
from meshagent.agent.gossip.member import Member
from meshagent.agent.gossip.member_table import MemberTable
from meshagent.agent.gossip.node import Address, show_address
from meshagent.agent.gossip.pool import Connect, Pool, PoolSettings
from meshagent.agent.gossip.retry_join import RetryJoin
from meshagent.agent.gossip.serf_messages import Event
from meshagent.agent.gossip.serf_settings import SerfSettings
from meshagent.agent.gossip.serf_signals import Change
from meshagent.agent.gossip.settings import LAN, WAN, with_options
from meshagent.agent.gossip.snapshot_file import read_snapshot
from meshagent.agent.gossip.snapshot_log import Replayed
from meshagent.agent.gossip.transport import GossipTransport
from meshagent.agent.membership import member_tags
from meshagent.catalog.model import Coordinate
from meshagent.clock import Clock, Tasks
from meshagent.durations import format_duration
from meshagent.errors import ConfigError, InternalError
from meshagent.hostport import split_host_port
from meshagent.metrics import Metrics

if TYPE_CHECKING:
    from meshagent.agent.config import Config, Listen

__all__ = ["MemberEvent", "Pools"]

log = logging.getLogger("agent.gossip")


@dataclass(frozen=True, slots=True)
class MemberEvent:
    """A change of members: `kind` is serf's ("member-join", "-leave", "-failed", "-update", "-reap")."""

    kind: str
    members: tuple[Member, ...]
    wan: bool


class Pools:
    """The pools of one agent; a `Membership`."""

    def __init__(
        self,
        *,
        config: Config,
        node_name: str,
        node_id: str,
        data_dir: Path | None,
        clock: Clock,
        rng: random.Random,
        tasks: Tasks,
        metrics: Metrics,
        connect: Connect = GossipTransport,
    ) -> None:
        self._connect = connect
        self._config = config
        self._node_name = node_name
        self._node_id = node_id
        self._serf_dir = data_dir / "serf" if data_dir is not None else None
        self._clock = clock
        self._rng = rng
        self._tasks = tasks
        self._metrics = metrics
        self._observers: list[Callable[[MemberEvent], None]] = []
        self._pools: dict[bool, Pool] = {}
        self._stopped = False
        self._server_joined = asyncio.Event()
        self._flooding = Tasks()

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind, and begin to gossip. Raises ConfigError: an address is taken, or a keyring cannot be used."""
        config = self._config
        network = config.network
        if network.serf_lan is None:
            raise ConfigError("ports.serf_lan: an agent cannot be without its datacenter's gossip")
        self._pools[False] = self._build(False, network.serf_lan)
        if config.server and network.serf_wan is not None:
            self._pools[True] = self._build(True, network.serf_wan)
        for wan, pool in self._pools.items():
            pool.on_change.append(self._relay(wan))
            await pool.start()
            log.info(
                "listening: protocol=serf_%s address=%s", "wan" if wan else "lan", show_address(pool.settings.bind)
            )
        if True in self._pools:
            self._flooding.start(self._flood(), name="WAN flood")

    async def _flood(self) -> None:
        """Bring the servers of this datacenter into the WAN pool, now and then and when one joins."""
        lan, wan = self._pools[False], self._pools[True]
        while True:
            self._server_joined.clear()
            for address in missing_in_wan(lan.members(), wan.members(), self._config.datacenter):
                try:
                    await wan.join(address)
                except InternalError as error:
                    log.debug("WAN join of %s: %s", show_address(address), error)
            try:
                async with asyncio.timeout(FLOOD_S):
                    await self._server_joined.wait()
            except TimeoutError:
                continue

    def start_joining(self, on_give_up: Callable[[str], None]) -> None:
        """Keep trying `retry_join` and `retry_join_wan`; `on_give_up` is told when their attempts are used up."""
        config = self._config
        for wan, addresses, interval_s, most in (
            (False, config.retry_join, config.retry_interval, config.retry_max),
            (True, config.retry_join_wan, config.retry_interval_wan, config.retry_max_wan),
        ):
            if addresses and wan in self._pools:
                joining = RetryJoin(addresses, interval_s, most)
                self._tasks.start(self._keep_joining(joining, wan, on_give_up), name="retry join")

    async def leave(self) -> None:
        """Leave all pools for good."""
        await self._flooding.cancel()
        await asyncio.gather(*(pool.leave() for pool in self._pools.values()))

    async def stop(self) -> None:
        """Close the sockets; what was noted is on disk."""
        if not self._stopped:
            self._stopped = True
            await self._flooding.cancel()
            await asyncio.gather(*(pool.stop() for pool in self._pools.values()))

    def _build(self, wan: bool, listen: Listen) -> Pool:
        config = self._config
        kind, stem = ("wan", "remote") if wan else ("lan", "local")
        if wan:
            gossip = with_options(WAN, config.gossip_wan, config.serf_wan_allowed_cidrs)
        else:
            gossip = with_options(LAN, config.gossip_lan, config.serf_lan_allowed_cidrs)
        directory = self._serf_dir
        snapshot_path = directory / f"{stem}.snapshot" if directory is not None else None
        ring_path = directory / f"{stem}.keyring" if directory is not None and not config.disable_keyring_file else None
        remembered = Replayed()
        if snapshot_path is not None:
            remembered = read_snapshot(snapshot_path, rejoin_after_leave=config.rejoin_after_leave)
        settings = PoolSettings(
            name=f"{self._node_name}.{config.datacenter}" if wan else self._node_name,
            bind=(listen.host, listen.port),
            advertise=(config.network.advertise_addr_wan if wan else config.network.advertise_addr, listen.port),
            option=f"ports.serf_{kind}",
            gossip=gossip,
            serf=SerfSettings(
                gossip_interval_s=gossip.gossip_interval_s,
                retransmit_mult=gossip.retransmit_mult,
                reconnect_timeout_s=config.reconnect_timeout_wan if wan else config.reconnect_timeout,
                coordinates=not config.disable_coordinates,
                least_event_time=remembered.event_clock + 1,
                least_query_time=remembered.query_clock + 1,
            ),
            labels=(("network", kind),),
            verify_incoming=config.encrypt_verify_incoming,
            verify_outgoing=config.encrypt_verify_outgoing,
            ring_path=ring_path,
            snapshot_path=snapshot_path,
            rejoin_after_leave=config.rejoin_after_leave,
        )
        return Pool(
            settings,
            tags=self._tags(wan),
            ring=load_ring(ring_path, config.encrypt or ""),
            remembered=remembered,
            gate=self._wan_gate if wan else self._lan_gate,
            clock=self._clock,
            rng=random.Random(self._rng.random()),  # noqa: S311  spreads load
            metrics=self._metrics,
            connect=self._connect,
        )

    def _tags(self, wan: bool) -> dict[str, str]:
        config = self._config
        tags = member_tags(config, self._node_name, self._node_id, wan=wan)
        if not wan and config.advertise_reconnect_timeout > 0:
            tags["rc_tm"] = format_duration(round(config.advertise_reconnect_timeout * 1e9))
        return tags

    def _lan_gate(self, members: MemberTable) -> Gate:
        return lan_gate(self._config.datacenter, self._node_name, self._node_id, members.holder_of_id)

    @staticmethod
    def _wan_gate(_members: MemberTable) -> Gate:
        return wan_gate

    async def _keep_joining(self, joining: RetryJoin, wan: bool, on_give_up: Callable[[str], None]) -> None:
        """Try all addresses, and again after a while, until one answers."""
        pool = "WAN" if wan else "LAN"
        while True:
            problems = []
            for address in joining.addresses:
                try:
                    await self.join(address, wan=wan)
                except InternalError as error:
                    problems.append(" ".join(str(error).split()))
            if len(problems) < len(joining.addresses):
                log.info("join %s completed: %d of %d addresses", pool, len(joining.addresses) - len(problems),
                         len(joining.addresses))  # fmt: skip
                return
            delay_s = joining.failed()
            if delay_s is None:
                log.error("max join %s retry exhausted, exiting", pool)
                on_give_up(f"agent: max join {pool} retry exhausted, exiting")
                return
            log.warning("join %s failed, will retry in %g s: %s", pool, delay_s, "; ".join(problems))
            await self._clock.sleep(delay_s)

    # --- members ---------------------------------------------------------------------------------------------------

    def members(self, *, wan: bool = False) -> list[Member]:
        """All members, by name."""
        pool = self._pools.get(wan)
        return pool.members() if pool is not None else []

    def size(self, *, wan: bool = False) -> int:
        """How many members there are, whatever their state."""
        pool = self._pools.get(wan)
        return len(pool.serf.members) if pool is not None else 0

    def local(self, *, wan: bool = False) -> Member | None:
        """This agent as a member; None without that pool."""
        pool = self._pools.get(wan)
        return pool.serf.local_member() if pool is not None else None

    def observe(self, observer: Callable[[MemberEvent], None]) -> None:
        """Be told of every change, from the loop."""
        self._observers.append(observer)

    async def join(self, address: str, *, wan: bool = False) -> None:
        """Join the pool of whoever answers at `host[:port]`. Raises InternalError in Consul's words."""
        pool = self._pool(wan)
        problems = []
        joined = 0
        for place in await self._resolved(address, pool.settings.bind[1]):
            try:
                await pool.join(place)
            except InternalError as error:
                problems.append(f"Failed to join {show_address(place)}: {error}")
            else:
                joined += 1
        if not joined:
            raise InternalError(multierror(problems))

    async def force_leave(self, name: str, *, prune: bool = False, wan: bool = False) -> None:
        """Take a failed member for left, in both pools unless `wan`. Raises InternalError for an unknown one."""
        if not any(member.name == name for member in self.members(wan=wan)):
            # Consul's words for the wide pool name nobody.
            raise InternalError(f"agent: No node found with name '{'' if wan else name}'")
        if not wan:
            self._pools[False].force_leave(name, prune=prune)
        if True in self._pools:
            suffix = f".{self._config.datacenter}"
            self._pools[True].force_leave(name if name.endswith(suffix) else name + suffix, prune=prune)

    def set_tags(self, changes: Mapping[str, str | None], *, wan: bool = False) -> None:
        """Tell other values of some tags; None takes a tag away. Raises LocalProtocolError: they do not fit."""
        pool = self._pool(wan)
        tags = {**pool.serf.tags, **changes}
        pool.set_tags({name: value for name, value in sorted(tags.items()) if value is not None})

    def stats(self, *, wan: bool = False) -> dict[str, str]:
        """Facts for `agent/self`, under serf's names."""
        pool = self._pools.get(wan)
        return pool.stats() if pool is not None else {}

    def _pool(self, wan: bool) -> Pool:
        pool = self._pools.get(wan)
        if pool is None:
            raise InternalError("WAN federation is disabled" if wan else "this agent has no gossip")
        return pool

    def _relay(self, wan: bool) -> Callable[[str, Member], None]:
        def relay(kind: str, member: Member) -> None:
            if kind == Change.JOIN and not wan:
                self._server_joined.set()
            event = MemberEvent(kind, (member,), wan)
            for observer in self._observers:
                observer(event)

        return relay

    @staticmethod
    async def _resolved(address: str, default_port: int) -> list[Address]:
        host, port = split_host_port(address, default_port)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1) if host else []
        except OSError:
            found = []
        if not found:
            raise InternalError(multierror([f"Failed to resolve {address}: lookup {host}: no such host"]))
        return list(dict.fromkeys((str(place[0]), int(place[1])) for *_, place in found))

    # --- events, queries, keys, coordinates ------------------------------------------------------------------------

    def on_event(self, observer: Callable[[Event], None]) -> None:
        """Be told of every user event of the datacenter, ours too."""
        self._pools[False].on_event.append(observer)

    def fire_event(self, name: str, payload: bytes | None) -> int:
        """Send a user event to the datacenter; its Lamport time. Raises InternalError: too large."""
        return self._pools[False].user_event(name, payload)

    def pool(self, *, wan: bool = False) -> Pool | None:
        """The running pool, for queries and keys."""
        return self._pools.get(wan)

    def coordinate(self, *, wan: bool = False) -> Coordinate:
        """Where this agent is among the members of the pool."""
        return self._pool(wan).serf.placing.vivaldi.coordinate

    def coordinates(self, *, wan: bool = False) -> Mapping[str, Coordinate]:
        """Where others last said they are, by name."""
        return self._pool(wan).serf.placing.known
