"""What the daemon puts together for access control: the guardian, the audit log, tokens of registrations, DNS.

Source: surface rows G17, E3, D33. What may change here: what the daemon needs of it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from meshagent.agent.acl.audit import AuditLog
from meshagent.agent.acl.introducing import options_of
from meshagent.agent.acl.names import GuardedNames
from meshagent.agent.acl.tokens import AgentTokens
from meshagent.catalog.commands import Command, Register
from meshagent.dns.view import CatalogView, NamesView

if TYPE_CHECKING:
    from meshagent.agent.config import Config
    from meshagent.agent.core import Agent
    from meshagent.agent.role import Role

__all__ = ["guard", "names_view", "registration_token"]


def guard(agent: Agent, role: Role, tokens: AgentTokens, config: Config) -> None:
    """Resolve tokens and write the audit log from now on, as far as they are asked for. Raises ConfigError."""
    agent.extras["acl_tokens"] = tokens
    if config.acl.audit.path:
        agent.extras["audit"] = AuditLog(config, agent.node_name, agent.clock, agent.tasks)
    if config.acl.enabled:
        agent.extras["acl"] = role.guardian(agent, tokens)
        agent.extras["auto_config_options"] = partial(options_of, agent)


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
