"""What the daemon puts together for access control: the guardian, the audit log, tokens of registrations, DNS.

Source: surface rows G17, E3, D33. What may change here: what the daemon needs of it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from meshagent.agent.acl.audit import AuditLog
from meshagent.agent.acl.introducing import options_of
from meshagent.agent.acl.names import GuardedNames
from meshagent.agent.acl.primary_tokens import PrimaryTokens
from meshagent.agent.acl.tokens import AgentTokens
from meshagent.agent.http.forwarding import Forwarder
from meshagent.agent.http.request import Request, parse_query
from meshagent.agent.http.response import StreamingResponse
from meshagent.agent.http.settings import HttpSettings
from meshagent.agent.replicated import one_token
from meshagent.catalog.acl.model import Token
from meshagent.catalog.commands import Command, Register
from meshagent.dns.view import CatalogView, NamesView
from meshagent.errors import InternalError

if TYPE_CHECKING:
    from meshagent.agent.acl.guardian import ServerGuardian
    from meshagent.agent.config import Config
    from meshagent.agent.core import Agent
    from meshagent.agent.role import Role

__all__ = ["ask_primary", "guard", "names_view", "registration_token"]


def guard(agent: Agent, role: Role, tokens: AgentTokens, config: Config) -> None:
    """Resolve tokens and write the audit log from now on, as far as they are asked for. Raises ConfigError."""
    agent.extras["acl_tokens"] = tokens
    if config.acl.audit.path:
        agent.extras["audit"] = AuditLog(config, agent.node_name, agent.clock, agent.tasks)
    if config.acl.enabled:
        agent.extras["acl"] = role.guardian(agent, tokens)
        agent.extras["auto_config_options"] = partial(options_of, agent)


def ask_primary(agent: Agent, guardian: ServerGuardian) -> None:
    """Have a server of a secondary datacenter ask the primary for tokens that it does not have."""
    acl, resolver, path = agent.config.acl, guardian.resolver, "/v1/acl/token/self"

    async def ask(secret: str) -> Token | None:
        upstream = agent.extras["datacenters"].upstream(agent.config.primary_datacenter)
        route = agent.extras["router"].find(path).methods["GET"]
        request = Request("GET", path, parse_query(""), {"X-Consul-Token": secret})
        answer = await Forwarder(upstream, HttpSettings(), b"").answer(route, request)
        if isinstance(answer, StreamingResponse) or answer.status not in {200, 403}:
            raise InternalError(f"{agent.config.primary_datacenter} answers {answer.status} to {path}")
        return one_token(answer.body) if answer.status == 200 else None

    def changed(digest: bytes) -> None:
        resolver.drop(digest)
        agent.store.watches.notify("acl-tokens")  # what was refused may be looked at again
        agent.store.watches.flush()

    guardian.primary = PrimaryTokens(
        ask,
        agent.clock,
        agent.tasks,
        down_policy=acl.down_policy,
        ttl_s=min(acl.token_ttl, acl.policy_ttl, acl.role_ttl),
        changed=changed,
    )
    resolver.elsewhere = guardian.primary.held


def registration_token(tokens: AgentTokens, command: Command, token: str) -> str:
    """What anti-entropy writes with: the token of a registration, else the default one, else that of the agent."""
    if not token and isinstance(command, Register) and (command.service is not None or command.checks):
        token = tokens.default
    return token or tokens.agent


def names_view(agent: Agent, role: Role) -> NamesView | None:
    """What DNS is answered from, when that is not the store as it is. The servers guard what a client follows."""
    guardian = agent.extras.get("acl")
    if guardian is None or role.names is not None:
        return role.names
    inner = CatalogView(role.store, agent.node_name, agent.datacenter)
    return GuardedNames(inner, guardian, role.store.prepared_queries.named)
