"""What an agent is in its datacenter: a server (`server_role.py`) or a client (`client.py`), as the daemon sees it.

What only one of them needs is imported only there: a client has neither Raft nor the certificate authority. What may
change here: what the daemon needs of either, and nothing that only one of them does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from meshagent.agent.acl.guardian import Guardian
    from meshagent.agent.acl.tokens import AgentTokens
    from meshagent.agent.auto.keeper import CertificateKeeper
    from meshagent.agent.auto.kept import Kept
    from meshagent.agent.check_runs import Followed
    from meshagent.agent.checks.alias import AliasSource
    from meshagent.agent.config import Config
    from meshagent.agent.core import Agent
    from meshagent.agent.differences import NodeRows
    from meshagent.agent.gossip.pools import Pools
    from meshagent.agent.http.server import HttpServer
    from meshagent.agent.local import LocalState
    from meshagent.agent.rpc.upstream import Upstream
    from meshagent.agent.sync import AntiEntropy
    from meshagent.catalog.log import ServingLog
    from meshagent.catalog.store import Store
    from meshagent.clock import Clock, Tasks
    from meshagent.dns.view import NamesView
    from meshagent.metrics import Metrics

__all__ = ["Role", "make_role"]


class Role(Protocol):
    """Made first; `attach`, `start` and `run` in this order, `stop` at the end."""

    @property
    def store(self) -> Store:
        """The catalog; empty on a client."""

    @property
    def log(self) -> ServingLog:
        """Where writes go."""

    @property
    def upstream(self) -> Upstream | None:
        """The way to the servers of a client."""

    @property
    def names(self) -> NamesView | None:
        """What DNS is answered from, when that is not the store."""

    @property
    def certificate(self) -> CertificateKeeper | None:
        """Who keeps the certificate that servers gave this agent (`auto_encrypt`, `auto_config`)."""

    def attach(self, agent: Agent, pools: Pools, sync: AntiEntropy) -> None:
        """There is an agent now: build the rest."""

    def guardian(self, agent: Agent, tokens: AgentTokens) -> Guardian:
        """Who resolves tokens; asked before `attach`, with ACLs on."""

    async def start(self) -> None:
        """Before gossip and listeners. Raises ConfigError, CorruptData."""

    def run(self, http: HttpServer) -> None:
        """After the listeners."""

    def reload(self, config: Config) -> None:
        """Take another configuration. Raises ConfigError."""

    async def hand_over(self) -> bool:
        """This agent is about to end; whether others should have a moment to move on."""

    async def stop(self) -> None:
        """The end."""

    async def own_rows(self) -> NodeRows:
        """What the catalog holds of this node, as the leader knows it. Raises NoLeader."""

    def alias_source(self, local: LocalState) -> AliasSource:
        """Who answers alias checks."""

    def follow_node(self, node: str, callback: Callable[[], None]) -> Followed:
        """Call `callback` once, when the checks or services of `node` have changed."""


def make_role(
    config: Config,
    node_id: str,
    data_dir: Path | None,
    kept: Kept | None = None,
    *,
    clock: Clock,
    rng: random.Random,
    metrics: Metrics,
    tasks: Tasks,
) -> Role:
    """The role that the configuration asks for; `kept` is what `auto_config` gave. Raises ConfigError."""
    if config.server:
        from meshagent.agent.server_role import ServerRole

        return ServerRole(config, node_id, data_dir, clock=clock, rng=rng, metrics=metrics, tasks=tasks)
    from meshagent.agent.client import Client

    return Client(config, node_id, data_dir, clock=clock, rng=rng, metrics=metrics, tasks=tasks, kept=kept)
