"""The token that a client is given when the servers configure it (`auto_config`): its node identity, nothing more.

Source: developer.hashicorp.com/consul/docs/reference/agent/configuration-file/auto-config: the servers send `acl` with
the agent's token. Who asks has been judged by `agent/auto/issuing.py`. A client that asks again is given the same one.
What may change here: options that a client needs to resolve tokens as the servers do.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from meshagent.catalog import commands
from meshagent.catalog.acl.model import NodeIdentity, Token
from meshagent.ids import new_uuid

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["options_of"]


async def options_of(agent: Agent, node: str) -> dict[str, Any]:
    """The block `acl` for a node. Raises MeshError: no token could be made."""
    acl = agent.config.acl
    await agent.log.read_barrier()
    row = _held(agent, node) or await _made(agent, node)
    return {
        "acl": {
            "enabled": True,
            "default_policy": acl.default_policy,
            "down_policy": acl.down_policy,
            "enable_key_list_policy": acl.enable_key_list_policy,
            "tokens": {"agent": row.secret_id},
        }
    }


def _described(node: str) -> str:
    return f"Auto Config Token for Node {node!r}"


def _held(agent: Agent, node: str) -> Token | None:
    description = _described(node)
    for row in agent.store.acl.tokens.values():
        if row.description == description and _is_plain(agent, row, node):
            return row
    return None


def _is_plain(agent: Agent, row: Token, node: str) -> bool:
    """It grants what a fresh one would: an operator may have given another one the same description."""
    others = (*row.policies, *row.roles, *row.service_identities, *row.templated_policies, row.expiration_time)
    return row.node_identities == (_identity(agent, node),) and row.local and not any(others)


def _identity(agent: Agent, node: str) -> NodeIdentity:
    return NodeIdentity(node_name=node, datacenter=agent.datacenter)


async def _made(agent: Agent, node: str) -> Token:
    row = Token(
        accessor_id=new_uuid(),
        secret_id=new_uuid(),
        description=_described(node),
        node_identities=(_identity(agent, node),),
        local=True,
        create_time=agent.clock.now().astimezone(UTC).isoformat().replace("+00:00", "Z"),
    )
    await agent.write(commands.AclTokenSet(row, True))
    return row
