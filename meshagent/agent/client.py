"""I/O edge: this agent as a client: the way to the servers, and what is answered from what they tell.

    HTTP ─▶ remote views ─┐
    DNS  ─▶ rows ─────────┼─▶ Upstream ═══ a server of the datacenter
    anti-entropy ─▶ log ──┘

The counterpart of `cluster.py`, for an agent that is no server: no Raft, no port. Source: design.md "RPC"; surface rows
G12, G15, G21. What may change here: what a client is made of; where its servers come from (`set_servers`).
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from meshagent.agent import settings
from meshagent.agent.acl.remote import METHOD, RemoteGuardian
from meshagent.agent.acl.usage import Usage
from meshagent.agent.checks.alias import AliasedHealth, AliasSource
from meshagent.agent.differences import NodeRows
from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.http.remote_views import IDLE_S
from meshagent.agent.mesh import SIGN, Mesh
from meshagent.agent.mesh_replica import MeshReplica
from meshagent.agent.rpc import messages, questions
from meshagent.agent.rpc.messages import Once, Question
from meshagent.agent.rpc.names import RemoteNames
from meshagent.agent.rpc.remote_log import RemoteLog
from meshagent.agent.rpc.rows import STEP_S, Rows
from meshagent.agent.rpc.upstream import Upstream
from meshagent.agent.server_tags import read_server
from meshagent.agent.servers import Server, Servers
from meshagent.agent.sidecars.messages import METHOD as SIDECARS
from meshagent.catalog.rpc.hello import CLIENT, Identity, Peer
from meshagent.catalog.rpc.tls import Security, load_security
from meshagent.catalog.store import Store
from meshagent.connect.ca import SignedLeaf
from meshagent.dns.view import NotYet
from meshagent.errors import ConfigError, RemoteProtocolError, Unavailable

if TYPE_CHECKING:
    from meshagent.agent.acl.tokens import AgentTokens
    from meshagent.agent.auto.keeper import CertificateKeeper
    from meshagent.agent.auto.kept import Kept
    from meshagent.agent.check_runs import Followed
    from meshagent.agent.config import Config
    from meshagent.agent.core import Agent
    from meshagent.agent.http.server import HttpServer
    from meshagent.agent.local import LocalState
    from meshagent.agent.sync import AntiEntropy
    from meshagent.clock import Clock, Tasks
    from meshagent.metrics import Metrics

__all__ = ["Client"]


class Client:
    """Made on the running loop."""

    def __init__(
        self,
        config: Config,
        node_id: str,
        data_dir: Path | None = None,
        *,
        clock: Clock,
        rng: random.Random,
        metrics: Metrics,
        tasks: Tasks,
        kept: Kept | None = None,
    ) -> None:
        """Raises ConfigError."""
        self._datacenter = config.datacenter
        self._size = 1
        self._compared = False
        self._config = config
        self._found: tuple[Server, ...] = ()
        identity = Identity(node_id, config.node_name, config.datacenter, role=CLIENT)
        self.upstream = Upstream(
            Servers(rng),
            identity=lambda: identity,
            security=lambda: self.security,
            clock=clock,
            rng=rng,
            metrics=metrics,
            settings=settings.rpc_settings(config),
            members=lambda: self._size,
        )
        self.upstream.limit.set(config.limits.rpc_rate, config.limits.rpc_max_burst)
        self.store = Store()
        self.log = RemoteLog(self.upstream, origin=os.urandom(8), clock=clock)
        self.rows = Rows(self.upstream, clock, _max_age_s(config))
        self.names = RemoteNames(self.rows)
        self._replica = MeshReplica(self.rows, self.store, clock)
        self.mesh: Mesh | None = None
        self._node_name = config.node_name
        self._clock = clock
        self._tasks = tasks
        self.certificate: CertificateKeeper | None = None
        if config.auto_encrypt.tls or config.auto_config.enabled:
            from meshagent.agent.auto.own import certificate_keeper

            self.certificate = certificate_keeper(
                config, identity, self.upstream, kept, data_dir, lambda: self._found,
                clock=clock, rng=rng, metrics=metrics, tasks=tasks,
            )  # fmt: skip
            self.certificate.on_change.append(self._certified)
        self.security = self._secured()

    @property
    def size(self) -> int:
        """How many members the cluster has, as far as is known."""
        return self._size

    def attach(self, agent: Agent, pools: Members, sync: AntiEntropy) -> None:
        """Compare with the catalog in full with every new connection; find the servers by gossip."""
        self.upstream.on_connected.append(lambda: sync.trigger_full(now=not self._compared))
        self.upstream.on_connected.append(self._connected)
        if agent.config.connect.enabled:
            self.mesh = agent.extras["mesh"] = Mesh(agent, None, self._sign, self._replica)
            self.upstream.methods[SIDECARS] = lambda peer, payload: _of_sidecars(agent)(peer, payload)
            if self.certificate is not None:
                self.mesh.others.append(self.certificate.problem)
        self.follow(pools)
        self._replica.attach(agent.local)

    def guardian(self, agent: Agent, tokens: AgentTokens) -> RemoteGuardian:
        """Who resolves tokens: the servers, and this agent remembers."""
        acl = agent.config.acl
        dns_kinds = frozenset(questions.DNS_KINDS)
        self.rows.token = lambda kind: tokens.dns if kind in dns_kinds else tokens.agent
        tokens.on_change.append(self.rows.forget)
        usage = agent.extras["acl_usage"] = Usage()
        guardian = RemoteGuardian(
            lambda payload: self.upstream.call(METHOD, payload),
            tokens,
            agent.clock,
            self._tasks,
            agent.metrics,
            node_name=agent.node_name,
            default_allow=acl.default_policy == "allow",
            down_policy=acl.down_policy,
            # What is kept holds policies and roles, too: it is as fresh as the freshest of them must be.
            ttl_s=min(acl.token_ttl, acl.policy_ttl, acl.role_ttl),
        )
        guardian.note = usage.note
        return guardian

    async def _sign(self, request: bytes) -> SignedLeaf:
        """Have a request for a leaf signed by a server, with the token of somebody who may have it."""
        from meshagent.connect import certs, spiffe

        service = spiffe.parse(certs.requested_uri(request)).name
        token = await self.mesh.tokens.of(service) if self.mesh is not None else ""
        body = await self.upstream.call(SIGN, msgspec.msgpack.encode((token, request)))
        try:
            return msgspec.msgpack.decode(body, type=SignedLeaf)
        except msgspec.DecodeError as error:
            raise RemoteProtocolError(f"the answer to {SIGN} does not decode: {error}") from error

    def _connected(self) -> None:
        self._compared = True

    async def start(self) -> None:
        """Begin to look for a server; nothing waits for one."""
        self.upstream.start()

    def run(self, http: HttpServer) -> None:
        """Let go, from now on, of what nobody asks for."""
        self._tasks.start(self._sweep(http), name="client sweep")
        if self.certificate is not None:
            self._tasks.start(self.certificate.run(), name="agent certificate keeper")
            self._replica.follow_roots()
            self._roots_changed()
        if self.mesh is not None:
            self.mesh.start()

    async def hand_over(self) -> bool:
        """Nothing depends on a client."""
        return False

    async def stop(self) -> None:
        """Close the connections."""
        await self.log.stop()
        await self.upstream.stop()

    def reload(self, config: Config) -> None:
        """Take certificates and limits as they are now; connections that stand stay. Raises ConfigError."""
        before, self._config = self._config, config
        try:
            self.security = self._secured()
        except ConfigError:
            self._config = before
            raise
        self.upstream.settings = settings.rpc_settings(config)
        self.upstream.limit.set(config.limits.rpc_rate, config.limits.rpc_max_burst)
        self.rows.max_age_s = _max_age_s(config)

    def set_servers(self, servers: Iterable[Server]) -> None:
        """These are the servers of the datacenter now. Without a certificate none of them is dialled."""
        self._found = tuple(servers)
        if self.certificate is not None and not self.certificate.usable:
            self.certificate.news()
        else:
            self.upstream.set_servers(self._found)

    def _secured(self) -> Security:
        tls = settings.tls_settings(self._config)
        if self.certificate is not None:
            return self.certificate.security(tls, self._config.domain)
        return load_security(tls, self._config.domain)

    def _certified(self) -> None:
        """There is another certificate: new connections show it; one that stands was checked when it began."""
        self.security = self._secured()
        self.upstream.set_servers(self._found)

    def _roots_changed(self) -> None:
        active = self.store.ca.active
        if self.certificate is not None and active is not None:
            self.certificate.root_is(active.id)
        self.store.watches.subscribe(["ca-roots"], self._roots_changed)

    def follow(self, members: Members) -> None:
        """Find the servers among the members of the LAN pool from now on."""

        def look(event: object = None) -> None:
            known = members.members()
            self._size = len(known)
            found = (read_server(member, self._datacenter) for member in known if member.status == Status.ALIVE)
            self.set_servers(Server(server.address, server.node_id) for server in found if server is not None)

        members.observe(look)
        look()

    async def own_rows(self) -> NodeRows:
        """What the catalog holds of this node, as the leader knows it. Raises NoLeader."""
        once = Once(Question(questions.NODE_ROWS, self._node_name, token=self.rows.token(questions.NODE_ROWS)))
        body = await self.upstream.call(messages.ROWS, messages.encode(once))
        rows: NodeRows = questions.decode_rows(questions.NODE_ROWS, body)
        return rows

    # --- alias checks ------------------------------------------------------------------------------------------

    def alias_source(self, local: LocalState) -> AliasSource:
        """Who answers alias checks: the local state for this node, followed rows for others (surface row K19)."""

        def aliased(node: str, service_id: str) -> AliasedHealth:
            if not node or node.lower() == local.node_name.lower():
                own = [*local.checks_of(""), *(local.checks_of(service_id) if service_id else ())]
                return AliasedHealth([entry.check for entry in own], service_id in local.services)
            try:
                rows, _ = self.rows.need(questions.NODE_ROWS, node.lower())
            except NotYet:
                raise Unavailable(f"the checks of node {node} have not come yet") from None
            return AliasedHealth(rows.checks, any(service.id == service_id for service in rows.services))

        return aliased

    def follow_node(self, node: str, callback: Callable[[], None]) -> Followed:
        """As `check_runs.Follow`."""
        return _FollowedNode(self.rows, node.lower(), callback)

    # --- inside ------------------------------------------------------------------------------------------------

    async def _sweep(self, http: HttpServer) -> None:
        looked = self._clock.monotonic()
        while True:
            await self._clock.sleep(STEP_S)
            self.rows.sweep()
            now = self._clock.monotonic()
            if now - looked >= IDLE_S:
                looked = now
                sweep = getattr(http.dispatcher.reads.views, "sweep", None)
                if sweep is not None:
                    sweep()


class Members(Protocol):
    """What is needed of gossip."""

    def members(self) -> Sequence[Member]: ...
    def observe(self, observer: Callable[[Any], None]) -> None: ...


class _FollowedNode:
    """One call to come; the node's rows are kept until then."""

    def __init__(self, rows: Rows, node: str, callback: Callable[[], None]) -> None:
        self._rows = rows
        self._node = node
        self._callback = callback
        self._subscription = rows.watches.subscribe([rows.pin(questions.NODE_ROWS, node)], self._fired)

    def _fired(self) -> None:
        self._callback()  # it follows again before the rows could be let go
        self._rows.unpin(questions.NODE_ROWS, self._node)

    def cancel(self) -> None:
        """It need not come."""
        if self._subscription.active:
            self._subscription.cancel()
            self._rows.unpin(questions.NODE_ROWS, self._node)


def _of_sidecars(agent: Agent) -> Callable[[Peer, bytes], AsyncGenerator[bytes, None]]:
    from meshagent.agent.sidecars.questions import answer  # an idle agent has no sidecars

    return answer(agent)


def _max_age_s(config: Config) -> float:
    """How old the rows may be that DNS answers from (`dns_config.max_stale`, `cache_max_age`)."""
    dns = config.dns_config
    oldest = float(dns.max_stale) if dns.allow_stale else 0.0
    return min(oldest, float(dns.cache_max_age)) if dns.use_cache and dns.cache_max_age > 0 else oldest
