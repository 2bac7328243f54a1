"""Logging in and out, as HTTP and gRPC have it: the method found, the token written, the token ended.

Source: surface rows AC2, AC3, X32. Who is behind a credential is `login.py`. A login for another datacenter goes over
the RPC port to a server there, as a request to its HTTP table. What may change here: nothing that a client sees.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.agent.acl.now import now_text
from meshagent.catalog import commands
from meshagent.catalog.acl.model import AuthMethod, Token, secret_digest
from meshagent.errors import Denied, InternalError, MeshError

if TYPE_CHECKING:
    from meshagent.agent.acl.login import Logins
    from meshagent.agent.core import Agent
    from meshagent.agent.datacenters import Datacenters

__all__ = ["find_method", "find_token", "log_in", "log_in_at", "log_out", "log_out_at", "write_login"]

_ID_BYTES = 16


async def find_method(agent: Agent, name: str) -> AuthMethod | None:
    """An auth method, as new as the leader has it."""
    await agent.log.read_barrier()
    found: AuthMethod | None = agent.store.acl.methods.get(name)
    return found


async def log_in(agent: Agent, method: AuthMethod, bearer: str, meta: Mapping[str, str]) -> Token:
    """A token for a credential, written. Raises as `Logins.login`, NoLeader."""
    logins: Logins = agent.extras["acl_logins"]
    return await write_login(agent, await logins.login(method, bearer, meta, now_text(agent)))


async def write_login(agent: Agent, row: Token) -> Token:
    """The token of a login, as it is written."""
    created, modified = await agent.write(commands.AclTokenSet(row, create=True))
    return msgspec.structs.replace(row, create_index=created, modify_index=modified)


async def find_token(agent: Agent, secret: str) -> Token | None:
    """The token with a secret, as new as the leader has it."""
    await agent.log.read_barrier()
    return agent.store.acl.by_digest(secret_digest(secret))


async def log_out(agent: Agent, row: Token) -> None:
    """End a token that was made by a login. Raises Denied for any other."""
    if not row.auth_method:
        raise Denied("Permission denied: token wasn't created via login")
    await agent.write(commands.AclTokensDelete((row.accessor_id,)))


# --- in another datacenter --------------------------------------------------------------------------------------------


async def log_in_at(
    agent: Agent, datacenter: str, method: str, bearer: str, meta: Mapping[str, str]
) -> tuple[str, str]:
    """(accessor, secret) of a token of another datacenter. Raises MeshError as it is told there."""
    body = {"AuthMethod": method, "BearerToken": bearer, "Meta": dict(meta) or None}
    row = json.loads(await _ask(agent, datacenter, "/v1/acl/login", "", body))
    return str(row["AccessorID"]), str(row["SecretID"])


async def log_out_at(agent: Agent, datacenter: str, secret: str) -> None:
    """End the token of a login in another datacenter."""
    await _ask(agent, datacenter, "/v1/acl/logout", secret, None)


async def _ask(agent: Agent, datacenter: str, path: str, token: str, body: Any) -> bytes:
    from meshagent.agent.rpc import messages

    datacenters: Datacenters | None = agent.extras.get("datacenters")
    if datacenters is None:
        raise InternalError("No path to datacenter")
    sent = json.dumps(body).encode() if body is not None else b""
    headers = (("X-Consul-Token", token),) if token else ()
    asked = messages.Forwarded("POST", path, headers, sent, "", os.urandom(_ID_BYTES))
    answered = await datacenters.upstream(datacenter).call(messages.HTTP, messages.encode(asked), None)
    found = messages.decode(messages.Answered, answered)
    text = found.body.decode("utf-8", "replace")
    if found.status == 403:
        raise Denied(text)
    if found.status != 200:
        raise MeshError(f"datacenter {datacenter}: {text}")
    return found.body
