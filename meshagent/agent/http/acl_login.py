"""`/v1/acl/login`, `/v1/acl/logout` and, beyond Consul's free edition, `/v1/acl/oidc/*`.

Source: surface rows AC2, AC3, AC17; the golden scenario acl-login; developer.hashicorp.com/consul/api-docs/acl. What
may change here: nothing that a client of Consul reads.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

import msgspec

from meshagent.agent.acl import logins, shapes
from meshagent.agent.acl.access import Refused
from meshagent.agent.acl.now import now_text
from meshagent.agent.decode import decode_body
from meshagent.agent.http.acl_rows import AclDisabled, done, enabled
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route
from meshagent.catalog.acl.model import AuthMethod, Token
from meshagent.catalog.model import Row
from meshagent.errors import BadRequest, Denied, MeshError

if TYPE_CHECKING:
    from meshagent.agent.acl.login import Logins
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

_DECODE = "Failed to decode request body: "


class NoToken(MeshError):
    """Logging out needs a token."""

    http_status = 401


class _LoginBody(Row, frozen=True, kw_only=True):
    go_name: ClassVar[str] = "ACLLoginParams"

    auth_method: str = ""
    bearer_token: str = ""
    meta: dict[str, str] | None = None


class _UrlBody(Row, frozen=True, kw_only=True):
    go_name: ClassVar[str] = "ACLOIDCAuthURLParams"

    auth_method: str = ""
    redirect_uri: str = msgspec.field(default="", name="RedirectURI")
    client_nonce: str = ""
    meta: dict[str, str] | None = None


class _CallbackBody(Row, frozen=True, kw_only=True):
    go_name: ClassVar[str] = "ACLOIDCCallbackParams"

    auth_method: str = ""
    redirect_uri: str = msgspec.field(default="", name="RedirectURI")
    state: str = ""
    code: str = ""
    client_nonce: str = ""


def _logins(agent: Agent) -> Logins:
    found: Logins | None = agent.extras.get("acl_logins")
    if found is None:
        raise AclDisabled
    return found


async def _method(agent: Agent, name: str) -> AuthMethod:
    found = await logins.find_method(agent, name)
    if found is None:
        raise Denied(f'ACL not found: auth method "{name}" not found')
    return found


def _shown(agent: Agent, row: Token) -> Response:
    return json_response(shapes.token(agent.store.acl, row, secret=True))


async def _login(agent: Agent, request: Request) -> Response:
    _logins(agent)
    body = decode_body(_LoginBody, request.body, prefix=_DECODE)
    method = await _method(agent, body.auth_method)
    return _shown(agent, await logins.log_in(agent, method, body.bearer_token, body.meta or {}))


async def _logout(agent: Agent, request: Request) -> Response:
    if not request.token:
        raise NoToken("Supplied token does not exist")
    access = request.access
    if isinstance(access, Refused):
        raise access.error
    await agent.log.read_barrier()
    row = agent.store.acl.tokens.get(access.accessor)
    if row is None:
        raise Denied("ACL not found")
    await logins.log_out(agent, row)
    return done()


async def _auth_url(agent: Agent, request: Request) -> Response:
    found = _logins(agent)
    body = decode_body(_UrlBody, request.body, prefix=_DECODE)
    method = await _method(agent, body.auth_method)
    state = os.urandom(24).hex()
    return json_response({"AuthURL": await found.auth_url(method, body.redirect_uri, state, body.client_nonce)})


async def _callback(agent: Agent, request: Request) -> Response:
    found = _logins(agent)
    body = decode_body(_CallbackBody, request.body, prefix=_DECODE)
    for name, given in (("State", body.state), ("Code", body.code)):
        if not given:
            raise BadRequest(f"{name} must be given: it comes with the redirect of the issuer")
    method = await _method(agent, body.auth_method)
    row = await found.callback(method, body.code, body.redirect_uri, body.state, body.client_nonce, now_text(agent))
    return _shown(agent, await logins.write_login(agent, row))


ROUTES = (
    Route(
        row="AC2", method="POST", path="/v1/acl/login", guard=enabled, tenancy="", handle=_login,
        summary="exchange a credential for a token",
        example="""curl -X POST -d '{"AuthMethod":"ci","BearerToken":"..."}' localhost:8500/v1/acl/login""",
    ),
    Route(
        row="AC3", method="POST", path="/v1/acl/logout", guard=enabled, asks=True, tenancy="", handle=_logout,
        summary="destroy a login token",
        example='curl -X POST -H "X-Consul-Token: $TOKEN" localhost:8500/v1/acl/logout',
    ),
    Route(
        row="AC17", method="POST", path="/v1/acl/oidc/auth-url", guard=enabled, tenancy="", handle=_auth_url,
        summary="where a person is sent to log in by OpenID Connect (beyond Consul's free edition)",
        example="curl -X POST -d @oidc.json localhost:8500/v1/acl/oidc/auth-url",
    ),
    Route(
        row="AC17", method="POST", path="/v1/acl/oidc/callback", guard=enabled, tenancy="", handle=_callback,
        summary="exchange the code of the issuer for a token",
        example="curl -X POST -d @code.json localhost:8500/v1/acl/oidc/callback",
    ),
)  # fmt: skip
