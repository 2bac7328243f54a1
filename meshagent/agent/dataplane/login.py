"""`ACLService`: a credential becomes a token, and the token ends.

Source: surface rows X32, AC2, AC3, P6; the statuses are Consul's. A login for another datacenter is carried out there.
What may change here: nothing that a client sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.agent.acl import logins
from meshagent.agent.dataplane.callers import UNAUTHENTICATED
from meshagent.agent.dataplane.messages import (
    LOGIN_REQUEST,
    LOGIN_RESPONSE,
    LOGOUT_REQUEST,
    LoginResponse,
    LoginToken,
)
from meshagent.agent.grpc.methods import Refused
from meshagent.errors import BadRequest, Denied, InternalError, NoLeader, NotFound, Unavailable

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.grpc.channel import Call

__all__ = ["log_in", "log_out"]

_FAILED_PRECONDITION, _INVALID_ARGUMENT = 9, 3


def _check_enabled(agent: Agent) -> None:
    if agent.extras.get("acl_logins") is None:
        raise Refused(_FAILED_PRECONDITION, "ACL support disabled")


async def log_in(agent: Agent, call: Call, message: bytes) -> bytes:
    """`Login`. A bearer that is not believed is unauthenticated, one that no rule binds is denied."""
    _check_enabled(agent)
    asked = LOGIN_REQUEST.decode(message)
    if asked.datacenter not in {"", agent.datacenter}:
        token = await logins.log_in_at(agent, asked.datacenter, asked.auth_method, asked.bearer_token, asked.meta)
        return LOGIN_RESPONSE.encode(LoginResponse(LoginToken(*token)))
    method = await logins.find_method(agent, asked.auth_method)
    if method is None:
        raise BadRequest(f'auth method "{asked.auth_method}" not found')
    try:
        row = await logins.log_in(agent, method, asked.bearer_token, asked.meta)
    except (NoLeader, Unavailable, Denied, BadRequest):
        raise
    except InternalError as error:
        raise Refused(UNAUTHENTICATED, str(error)) from error
    return LOGIN_RESPONSE.encode(LoginResponse(LoginToken(row.accessor_id, row.secret_id)))


async def log_out(agent: Agent, call: Call, message: bytes) -> bytes:
    """`Logout`: the token that the request names, whoever asks."""
    _check_enabled(agent)
    asked = LOGOUT_REQUEST.decode(message)
    if not asked.token:
        raise BadRequest("token is required")
    if asked.datacenter not in {"", agent.datacenter}:
        await logins.log_out_at(agent, asked.datacenter, asked.token)
        return b""
    row = await logins.find_token(agent, asked.token)
    if row is None:
        raise NotFound("ACL not found")
    await logins.log_out(agent, row)
    return b""
