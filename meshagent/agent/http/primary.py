"""Which requests a secondary datacenter has the primary answer: writes of what is copied from there.

Source: surface row L30; developer.hashicorp.com/consul/docs/secure/acl/replication. Local tokens, and tokens of logins,
are written here. What may change here: a family of endpoints whose rows are copied (`agent/replication.py`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from meshagent.agent.http.request import Request, parse_query
from meshagent.agent.replicated import OWN_KINDS

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.datacenters import Datacenters
    from meshagent.agent.http.dispatch import Dispatcher, Outcome
    from meshagent.agent.http.routes import Route

__all__ = ["to_primary"]

_COPIED = ("/v1/acl/policy", "/v1/acl/role", "/v1/acl/bootstrap", "/v1/connect/intentions")
#: Ways to name the datacenter of a request.
_DATACENTER = ("dc", "datacenter")


def to_primary(
    dispatcher: Dispatcher, route: Route, request: Request
) -> Callable[[Route, Request], Awaitable[Outcome]] | None:
    """How the primary answers a request that has its body; None when it is for this datacenter.

    Raises:
        InternalError: no server of the primary can be reached.
    """
    agent = dispatcher.agent
    primary = agent.extras.get("primary", "")
    if not primary or request.method == "GET" or not _is_copied(agent, route, request):
        return None
    datacenters: Datacenters = agent.extras["datacenters"]
    forwarder = datacenters.forwarder(primary, dispatcher.settings, dispatcher.always)
    return lambda route, request: forwarder.outcome(route, _unnamed(request))


def _is_copied(agent: Agent, route: Route, request: Request) -> bool:
    path = route.path
    if path.startswith(_COPIED):
        return True
    if path == "/v1/config":
        return _field(request.body, "kind") not in OWN_KINDS
    if path == "/v1/config/":
        return request.name.partition("/")[0] not in OWN_KINDS
    if path == "/v1/acl/token":
        return _writes_global(agent) and _field(request.body, "local") is not True
    if path == "/v1/acl/token/":
        held = agent.store.acl.tokens.get(request.name)
        return _writes_global(agent) and (held is None or not held.local)
    return False


def _writes_global(agent: Agent) -> bool:
    """Whether global tokens are the primary's; without copies of them this datacenter has its own."""
    return bool(agent.config.acl.enable_token_replication)


def _field(body: bytes, name: str) -> object:
    """A field at the top of a JSON object, whatever its case; what cannot be read is for who answers to refuse."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return next((value for key, value in found.items() if key.lower() == name), None)


def _unnamed(request: Request) -> Request:
    """The same without the name of a datacenter: the primary must not send it back."""
    parts = [part for part in request.query.raw.split("&") if part.partition("=")[0] not in _DATACENTER]
    bare = Request(
        request.method, request.path, parse_query("&".join(parts)), request.headers, request.body,
        name=request.name, remote=request.remote, token=request.token, asker=request.asker,
    )  # fmt: skip
    bare.access, bare.identity = request.access, request.identity
    return bare
