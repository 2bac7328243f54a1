"""What an endpoint needs of a token, as a value in its row of the table.

    Route(..., guard=needs("operator", "read"))
    Route(..., guard=needs("key", "write", named))

Source: the column ACL of surface section 1. A guard is asked before the request is carried out, on the agent or server
that carries it out. What may change here: where a name comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.http.request import Request

__all__ = ["Guard", "Needs", "named", "needs", "parameter", "this_node"]

Guard: TypeAlias = "Callable[[Agent, Request], None]"
NameOf: TypeAlias = "Callable[[Agent, Request], str]"


@dataclass(frozen=True, slots=True)
class Needs:
    """`access` to what `of` names in `resource`; without `of` the resource has no names. `bare`: upstream says no more
    than "Permission denied"."""

    resource: str
    access: str
    of: NameOf | None = None
    bare: bool = False

    def __call__(self, agent: Agent, request: Request) -> None:
        """Raises Denied."""
        name = self.of(agent, request) if self.of is not None else ""
        request.access.require(self.resource, self.access, name, bare=self.bare)


def needs(resource: str, access: str, of: NameOf | None = None, *, bare: bool = False) -> Needs:
    """The guard of an endpoint that needs one thing."""
    return Needs(resource, access, of, bare)


def named(agent: Agent, request: Request) -> str:
    """What stands behind the path."""
    return request.name


def this_node(agent: Agent, request: Request) -> str:
    """The node of this agent."""
    return agent.node_name


def parameter(name: str) -> NameOf:
    """What a parameter of the query names."""

    def of(agent: Agent, request: Request) -> str:
        return request.query.get(name) or ""

    return of
