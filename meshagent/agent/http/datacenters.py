"""Which datacenter a request is for.

Source: surface rows C5, C9. What may change here: requests for other datacenters are refused until there is a way to
forward them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.agent.http.request import Request
from meshagent.errors import InternalError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["require_local"]


def require_local(agent: Agent, request: Request) -> None:
    """Refuse a request for another datacenter.

    Raises:
        InternalError: there is no path to it.
    """
    wanted = request.options.datacenter
    if wanted and wanted != agent.datacenter:
        raise InternalError("No path to datacenter")
