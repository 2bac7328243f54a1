"""Which datacenter a request is for.

Source: surface rows C5, C9. A server forwards such requests before they come here (`dispatch.py`); what is left are
agents that know no other datacenter. What may change here: nothing.
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
