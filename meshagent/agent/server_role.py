"""I/O edge: this agent as a server: its part of the cluster, what it does when it leads, what others may ask it.

The counterpart of `client.py`: the daemon has one of the two as its `Role`. Source: surface rows O1, O7, E4, E5, G7,
G21. What may change here: a duty of the leader is a row in `attach`, a method of the RPC port one in its last lines.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from meshagent.agent import settings
from meshagent.agent.acl.guardian import ServerGuardian
from meshagent.agent.acl.login import Logins
from meshagent.agent.acl.resolver import Resolver
from meshagent.agent.acl.setup import init_acls, reap_tokens
from meshagent.agent.acl.usage import Usage, tell_used
from meshagent.agent.acl.wiring import ask_primary
from meshagent.agent.auto.issuing import Issuer, read_authorities
from meshagent.agent.autopilot import AutopilotKeeper
from meshagent.agent.bootstrap_keeper import BootstrapKeeper
from meshagent.agent.check_runs import Followed, alias_source, node_follower
from meshagent.agent.cluster import Cluster
from meshagent.agent.datacenters import Datacenters
from meshagent.agent.differences import NodeRows, node_rows
from meshagent.agent.entry_bootstrap import bootstrap_entries
from meshagent.agent.event_wire import NEW_LEADER
from meshagent.agent.federation import Federation, federation_methods
from meshagent.agent.fsm_metrics import MeasuredStore
from meshagent.agent.gossip.member import Status
from meshagent.agent.leadership import Duty, Leadership, drop_history, init_cluster, init_federation, reap_tombstones
from meshagent.agent.mesh import Mesh
from meshagent.agent.operator_calls import all_methods
from meshagent.agent.peering.service import PeeringService
from meshagent.agent.primary import PrimaryDatacenter
from meshagent.agent.reconcile_keeper import ReconcileKeeper
from meshagent.agent.rejoin import check_age, keep_seen
from meshagent.agent.replication import Replicator
from meshagent.agent.rpc.serving import Serving
from meshagent.agent.server_calls import hand_over, server_methods
from meshagent.agent.server_tags import read_server
from meshagent.agent.sidecars.everywhere import Everywhere
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.acl.tokens import AgentTokens
    from meshagent.agent.checks.alias import AliasSource
    from meshagent.agent.config import Config
    from meshagent.agent.core import Agent
    from meshagent.agent.gossip.pools import MemberEvent, Pools
    from meshagent.agent.http.server import HttpServer
    from meshagent.agent.local import LocalState
    from meshagent.agent.sync import AntiEntropy
    from meshagent.clock import Clock, Tasks
    from meshagent.metrics import Metrics

__all__ = ["ServerRole"]

log = logging.getLogger("agent.server")

#: How often the first sync of a new leader looks whether the members are registered; that takes milliseconds.
_LOOK_S = 0.005


class ServerRole:
    """Made on the running loop; `attach` once there is an agent."""

    upstream = None
    names = None
    certificate = None

    agent: Agent
    pools: Pools
    peering: PeeringService | None = None

    def __init__(
        self,
        config: Config,
        node_id: str,
        data_dir: Path | None,
        *,
        clock: Clock,
        rng: random.Random,
        metrics: Metrics,
        tasks: Tasks,
    ) -> None:
        """Raises ConfigError."""
        if data_dir is not None:
            check_age(data_dir, clock.now(), config.server_rejoin_age_max)
        self._data_dir = data_dir
        self._clock = clock
        self.store = MeasuredStore()
        self.store.measure(metrics, clock.monotonic)
        self.cluster = Cluster(
            self.store, config, node_id, data_dir, clock=clock, rng=rng, metrics=metrics, tasks=tasks
        )
        self.log = self.cluster.log
        self._config = config
        self.issuer: Issuer | None = None
        self._tasks = tasks
        self._follow = node_follower(self.store)

    def attach(self, agent: Agent, pools: Pools, sync: AntiEntropy) -> None:
        """Build what this server does when it leads, in order, and what it answers on the RPC port."""
        cluster = self.cluster
        self.agent, self.pools = agent, pools
        agent.extras |= {"raft": cluster.raft, "leader_calls": cluster.leader_calls}
        if cluster.peers is not None:
            agent.extras["peers"] = cluster.peers
        self.datacenters = agent.extras["datacenters"] = Datacenters(
            pools,
            identity=lambda: cluster.identity,
            security=lambda: cluster.security,
            settings=lambda: cluster.server.settings,
            clock=agent.clock,
            rng=agent.rng,
            metrics=agent.metrics,
        )
        replicator = primary = None
        if agent.config.primary_datacenter not in ("", agent.datacenter):
            name = agent.extras["primary"] = str(agent.config.primary_datacenter)
            primary = PrimaryDatacenter(agent, self.datacenters, name, lambda: _replication_token(agent))
            replicator = agent.extras["replicator"] = Replicator(agent, primary)
        mesh = None
        if self._config.connect.enabled or Issuer.wanted(self._config):
            mesh = agent.extras["mesh"] = Mesh(agent, settings.authority_settings(self._config), primary=primary)
        if self._config.peering.enabled and mesh is not None and mesh.authority is not None:
            self.peering = PeeringService(agent, mesh.authority, settings.authority_settings(self._config).sealing)
        self.autopilot = agent.extras["autopilot"] = AutopilotKeeper(agent)
        self.reconcile = ReconcileKeeper(agent)
        self.bootstrap = BootstrapKeeper(agent, cluster.ask)
        self.leadership = agent.extras["leadership"] = Leadership(
            cluster.raft,
            agent,
            first=(
                ("giving the cluster an id", lambda: init_cluster(agent)),
                *([("initializing ACLs", lambda: init_acls(agent))] if self._config.acl.enabled else []),
                ("configuring autopilot", self.autopilot.configure),
                ("telling who leads", self._tell_leader),
                ("registering members", self.reconcile.once),
            ),
            duties=(
                ("federation state", lambda: init_federation(agent)),
                ("mesh gateways of other datacenters", Federation(agent, self.datacenters).run),
                ("config entries", lambda: bootstrap_entries(agent, agent.config)),
                ("history", lambda: drop_history(agent)),
                ("reconcile", self.reconcile.run),
                ("sessions", lambda: agent.sessions.lead(agent)),
                ("tombstones", lambda: reap_tombstones(agent)),
                ("autopilot", self._run_autopilot),
                *([("expired tokens", lambda: reap_tokens(agent))] if self._config.acl.enabled else []),
                *([("certificate authority", mesh.lead)] if mesh is not None else []),
                *_copying(replicator),
                *([("peerings", self.peering.lead)] if self.peering is not None else []),
            ),
        )
        self.leadership.on_leader.append(lambda: sync.trigger_full(now=cluster.raft.is_ready))
        agent.store.on_replaced.append(sync.trigger_full)
        self.serving = Serving(agent, settings.http_settings(self._config))
        cluster.serve({**server_methods(agent), **all_methods(agent), **self.bootstrap.methods()})
        cluster.serve({**self.serving.methods, **(mesh.rpc_methods() if mesh is not None else {})})
        everywhere = agent.extras["sidecars"] = Everywhere(agent, lambda: cluster.server.links, cluster.link)
        cluster.serve({**everywhere.methods(), **federation_methods(agent)})
        if mesh is not None and mesh.authority is not None and Issuer.wanted(self._config):
            self.issuer = Issuer(agent, mesh.authority, pools)
            cluster.serve(self.issuer.methods())
            cluster.hand_out(self.issuer.bootstrap_methods())
        pools.observe(self._on_members)

    def guardian(self, agent: Agent, tokens: AgentTokens) -> ServerGuardian:
        """Who resolves tokens: this server, from its own tables."""
        agent.extras["acl_logins"] = Logins(agent)
        resolver = Resolver(
            self.store,
            agent.clock,
            agent.metrics,
            tokens,
            datacenter=agent.datacenter,
            node_name=agent.node_name,
            default_allow=self._config.acl.default_policy == "allow",
        )
        usage = agent.extras["acl_usage"] = Usage()
        resolver.note, resolver.used = usage.note, usage.used
        found = ServerGuardian(resolver, tokens, self.log)
        if (
            self._config.primary_datacenter not in ("", agent.datacenter)
            and not self._config.acl.enable_token_replication
        ):
            ask_primary(agent, found)
        return found

    async def start(self) -> None:
        """Listen on the RPC port, and bring the log up. Raises ConfigError, CorruptData."""
        await self.cluster.start()
        if self._data_dir is not None:
            self._tasks.start(keep_seen(self._data_dir, self._clock), name="last seen")

    async def _tell_leader(self) -> None:
        """Every agent hears it, Consul's too."""
        self.pools.fire_event(NEW_LEADER, self.agent.node_name.encode())

    def run(self, http: HttpServer) -> None:
        """Begin with everything else: HTTP and DNS answer."""
        self._tasks.start(self.leadership.run(), name="leadership")
        self._tasks.start(self.serving.run(), name="serving")
        if self._config.acl.enabled:
            self._tasks.start(tell_used(self.agent, self.agent.extras["acl_usage"]), name="use of tokens")
        if self._config.bootstrap_expect > 1:
            self._tasks.start(self.bootstrap.run(), name="bootstrap")
        if "mesh" in self.agent.extras:
            self.agent.extras["mesh"].start()
        if self.peering is not None:
            self.peering.run()

    def reload(self, config: Config) -> None:
        """Take another configuration. Raises ConfigError."""
        authorities = read_authorities(config) if self.issuer is not None else ()
        self.cluster.reload(config)
        self._config = config
        if self.issuer is not None:
            self.issuer.know(authorities)
        self.serving.configure(settings.http_settings(config))
        if self.leadership.established:
            self._tasks.start(bootstrap_entries(self.agent, config), name="config entries")

    async def hand_over(self) -> bool:
        """A leader that ends lets another lead first: writes then pause for a moment and not for an election.

        Whether there are other servers.
        """
        raft = self.cluster.raft
        others = len(raft.servers) > 1
        if raft.is_ready and any(server.voter and server.node_id != self.agent.node_id for server in raft.servers):
            try:
                if await hand_over(self.agent):
                    log.info("leadership was handed over")
            except MeshError as error:
                log.warning("leadership could not be handed over: %s", error)
        return others

    async def stop(self) -> None:
        """What was acknowledged is on disk."""
        if hasattr(self, "datacenters"):
            await self.datacenters.stop()
        await self.cluster.stop()

    # --- what else the agent asks of its role ------------------------------------------------------------------

    async def own_rows(self) -> NodeRows:
        """What the catalog holds of this node, as the leader knows it; a leader registers its members first.

        Raises:
            NoLeader: there is none.
        """
        await self.log.read_barrier()
        while self.cluster.raft.is_ready and not self.leadership.established:
            await self.agent.clock.sleep(_LOOK_S)
        return node_rows(self.store, self.agent.node_name)

    def alias_source(self, local: LocalState) -> AliasSource:
        """Who answers alias checks."""
        return alias_source(local, self.store)

    def follow_node(self, node: str, callback: Callable[[], None]) -> Followed:
        """As `check_runs.Follow`."""
        return self._follow(node, callback)

    # --- inside ------------------------------------------------------------------------------------------------

    def _on_members(self, event: MemberEvent) -> None:
        """The pool has changed: servers are looked for where they are now, and the leader tells the catalog."""
        if not event.wan:
            datacenter = self.agent.datacenter
            present = [member for member in self.pools.members() if member.status != Status.LEFT]
            servers = [server for member in present if (server := read_server(member, datacenter))]
            self.cluster.set_addresses({server.node_id: server.address for server in servers})
        self.reconcile.on_members(event)

    async def _run_autopilot(self) -> None:
        self.autopilot.forget()  # what it saw in an earlier reign says nothing now
        await self.autopilot.run()


def _copying(replicator: Replicator | None) -> list[Duty]:
    """A duty for each table that is copied from the primary datacenter."""
    if replicator is None:
        return []
    return [(f"copying {table.name}", partial(replicator.follow, table)) for table in replicator.tables]


def _replication_token(agent: Agent) -> str:
    """The token that the primary is asked with; "" with ACLs off."""
    tokens: AgentTokens | None = agent.extras.get("acl_tokens")
    return tokens.get("replication") if tokens is not None else ""
