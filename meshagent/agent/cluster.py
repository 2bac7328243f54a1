"""I/O edge: this server among the others: the RPC port, connections, the Raft log, forwarding.

    HTTP, DNS, duties ─▶ log (ForwardingLog) ─▶ raft (RaftLog) ─▶ RpcTransport ─▶ Peers ═══ the other servers
                                                                  RpcServer ◀═════════════

Source: design.md "Raft", "RPC"; surface rows G12, G15, G21. A server alone pays for none of it but
the listener: its log proposes without ids and reads without asking. A `-dev` server listens too, for clients; it keeps
nothing on disk, so it can never be one of several.

What may change here: not the order in `start`: the port listens before the log speaks.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from meshagent.agent import settings
from meshagent.agent.auto.issuing import agent_of
from meshagent.agent.cluster_id import ClusterId
from meshagent.catalog.raft.opening import open_raft_log
from meshagent.catalog.raft.replica import RaftLog
from meshagent.catalog.results import revive
from meshagent.catalog.rpc.ask_once import ask_once
from meshagent.catalog.rpc.forward import ForwardingLog
from meshagent.catalog.rpc.hello import SERVER, Identity, Peer
from meshagent.catalog.rpc.leader_calls import LeaderCalls
from meshagent.catalog.rpc.leading import leader_methods
from meshagent.catalog.rpc.link import Link, Methods
from meshagent.catalog.rpc.peers import Peers
from meshagent.catalog.rpc.raft_transport import RpcTransport
from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.server import RpcServer
from meshagent.catalog.rpc.tls import Credentials, Security, load_security
from meshagent.errors import ConfigError
from meshagent.listening import cannot_listen

if TYPE_CHECKING:
    from meshagent.agent.config import Config
    from meshagent.catalog.store import Store
    from meshagent.clock import Clock, Tasks
    from meshagent.metrics import Metrics

__all__ = ["Cluster"]

log = logging.getLogger("agent.server")


class Cluster:
    """Made on the running loop. `raft` is this server's own log, `log` the one that takes requests wherever it leads.

    `peers` is None on a `-dev` server.
    """

    def __init__(
        self,
        store: Store,
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
        self._config = config
        self._clock, self._rng, self._metrics = clock, rng, metrics
        self._store = store
        self._hands_out = False
        self.security = self._secured()
        rpc = settings.rpc_settings(config)
        self.identity = Identity(node_id, config.node_name, config.datacenter)
        self.cluster_id = ClusterId(store, data_dir, tasks, self._set_cluster_id)
        self.identity = self.identity.in_cluster(self.cluster_id.value)
        self.server = RpcServer(self.identity, clock=clock, metrics=metrics, settings=rpc, security=self.security)
        self.peers: Peers | None = None
        if data_dir is not None:
            self.peers = Peers(
                identity=lambda: self.identity,
                security=lambda: self.security,
                clock=clock,
                rng=rng,
                metrics=metrics,
                settings=rpc,
            )
        self.raft: RaftLog = open_raft_log(
            store,
            data_dir,
            node_id=node_id,
            address=settings.server_address(config),
            clock=clock,
            rng=rng,
            settings=settings.raft_settings(config),
            metrics=metrics,
            transport=None if self.peers is None else RpcTransport(self.server, self.peers, metrics),
            joins=not config.bootstrap,
        )
        self.server.on_peer = self._heard_of
        self.log = ForwardingLog(
            self.raft,
            self,
            node_id=node_id,
            origin=os.urandom(8),
            clock=clock,
            metrics=metrics,
            settings=rpc,
            revive=revive,
        )
        self.server.methods.update(leader_methods(self.raft))
        self.leader_calls = LeaderCalls(
            self.raft, self.link, self.server.methods, identity=lambda: self.identity, clock=clock, settings=rpc
        )

    def link(self, node_id: str) -> Link | None:
        """The connection to another server, while it can be used."""
        return None if self.peers is None else self.peers.link(node_id)

    def set_addresses(self, addresses: Mapping[str, str]) -> None:
        """Where the servers are by what gossip says: node id to `host:port`."""
        if self.peers is not None:
            self.peers.set_addresses(addresses)

    async def ask(self, node_id: str, address: str, method: str, payload: bytes, timeout_s: float) -> bytes:
        """Ask a server that need not be in the configuration. Raises Unavailable, or what it answers."""
        return await ask_once(
            address,
            method,
            payload,
            timeout_s,
            expected_node_id=node_id,
            identity=lambda: self.identity,
            security=lambda: self.security,
            clock=self._clock,
            rng=self._rng,
            metrics=self._metrics,
            settings=self.server.settings,
        )

    def serve(self, methods: Methods) -> None:
        """Answer `methods` on the RPC port, too."""
        self.server.methods.update(methods)

    async def start(self) -> None:
        """Listen, and bring the log up.

        Raises:
            ConfigError: the port cannot be listened on.
            CorruptData: the data directory cannot be trusted.
        """
        listen = self._config.network.server
        if listen is not None:
            try:
                self.server.listen(listen.host, listen.port)
            except OSError as error:
                raise cannot_listen("ports.server", str(listen), error) from error
            secured = "TLS" if self.security.listener is not None else "plain TCP"
            log.info("listening: protocol=rpc address=%s (%s)", listen, secured)
        await self.log.start()

    async def stop(self) -> None:
        """What was acknowledged is on disk; the others are told."""
        await self.log.stop()
        if self.peers is not None:
            await self.peers.stop()
        await self.server.stop()

    def reload(self, config: Config) -> None:
        """Take certificates and limits as they are now; connections that stand stay. Raises ConfigError."""
        before, self._config = self._config, config
        try:
            self.security = self._secured()
        except ConfigError:
            self._config = before
            raise
        self.server.security = self.security
        rpc = settings.rpc_settings(config)
        self.server.settings = self.log.settings = self.leader_calls.settings = rpc
        if self.peers is not None:
            self.peers.settings = rpc
        self.raft.reload(settings.raft_settings(config))

    def hand_out(self, methods: Methods) -> None:
        """Let who has no certificate ask `methods`, and take the certificates that the mesh's authority signed."""
        self._hands_out = True
        self.server.bootstrap_methods = dict(methods)
        self.server.agent_of = lambda names: agent_of(names, self._store.ca.trust_domain, self.identity.datacenter)
        self._trust_roots()

    def _trust_roots(self) -> None:
        self._store.watches.subscribe(["ca-roots"], self._trust_roots)
        self.security = self.server.security = self._secured()

    def _secured(self) -> Security:
        """Raises ConfigError."""
        tls, domain = settings.tls_settings(self._config), self._config.domain
        if not self._hands_out:
            return load_security(tls, domain)
        roots = tuple(root.root_cert for root in self._store.ca.roots.values())
        return load_security(tls, domain, Credentials(authorities=roots), bootstrap=tls.listens)

    def _heard_of(self, peer: Peer) -> None:
        """Who reaches us can be reached: we need not wait for the next attempt."""
        if self.peers is not None and peer.role == SERVER:
            self.peers.nudge(peer.node_id)

    def _set_cluster_id(self, cluster_id: str) -> None:
        """From now on only servers of this cluster are taken; who turns out to be of another is let go."""
        log.info("cluster id: %s", cluster_id)
        self.identity = self.server.identity = self.identity.in_cluster(cluster_id)
        for link in self.server.links:
            if link.peer is not None and link.peer.cluster_id not in {"", cluster_id}:
                link.close(Reason.WRONG_CLUSTER, f"it belongs to cluster {link.peer.cluster_id!r}")
