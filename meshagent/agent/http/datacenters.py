"""Which datacenter a request is for.

Source: surface rows C5, C9. A server forwards such requests before they come here (`dispatch.py`); what is left are
agents that know no other datacenter. What may change here: nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from meshagent.agent.acl.access import Refused
from meshagent.agent.http.request import Request
from meshagent.errors import InternalError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.datacenters import Datacenters
    from meshagent.agent.http.dispatch import Dispatcher, Outcome
    from meshagent.agent.http.routes import Route

__all__ = ["elsewhere", "require_local"]

#: Answered the same by every datacenter.
_EVERYWHERE = frozenset({"/v1/catalog/datacenters"})


def elsewhere(
    dispatcher: Dispatcher, route: Route, request: Request
) -> Callable[[Route, Request], Awaitable[Outcome]] | None:
    """How a server has another datacenter answer; None when the request is for this one, or for one that nobody knows.

    Raises:
        InternalError: none of its servers can be reached.
    """
    agent = dispatcher.agent
    datacenters: Datacenters | None = agent.extras.get("datacenters")
    wanted = request.query.get("datacenter") or request.query.get("dc")
    if datacenters is not None and not wanted and _primarys(agent, route, request):
        return datacenters.forwarder(agent.extras["primary"], dispatcher.settings, dispatcher.always).outcome
    if datacenters is None or not wanted or wanted == agent.datacenter or route.path in _EVERYWHERE:
        return None
    if wanted not in datacenters.names():
        return None  # each endpoint has its own way to say that there is no such datacenter
    return datacenters.forwarder(wanted, dispatcher.settings, dispatcher.always).outcome


def _primarys(agent: Agent, route: Route, request: Request) -> bool:
    """Whether a token asks for itself that only the primary has."""
    guardian, access = agent.extras.get("acl"), request.access
    if not route.personal or guardian is None or guardian.primary is None or isinstance(access, Refused):
        return False
    return not access.anonymous and access.accessor not in agent.store.acl.tokens


def require_local(agent: Agent, request: Request) -> None:
    """Refuse a request for another datacenter.

    Raises:
        InternalError: there is no path to it.
    """
    wanted = request.options.datacenter
    if wanted and wanted != agent.datacenter:
        raise InternalError("No path to datacenter")
