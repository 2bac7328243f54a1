"""What tokens do: when each was last used, and which rights each has asked for, for `acl suggest`.

Kept in memory, bounded; a server writes the times into the log now and then (`tell_used`), so that they survive it.
Source: ours. Pure but for `tell_used`, which waits. What may change here: bounds; how rules are proposed.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from meshagent.agent.acl import visible
from meshagent.catalog import commands
from meshagent.catalog.acl.resources import ACCESS, RESOURCES
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.http.request import Request
    from meshagent.agent.http.routes import Route

__all__ = ["Usage", "proposed_rules", "tell_used"]

log = logging.getLogger("agent.acl")

MAX_TOKENS = 4096
#: Different rights of one token.
MAX_RIGHTS = 512
#: How often the times of use are written.
TELL_S = 60.0
_BATCH = 512

#: (resource, access, name)
Right = tuple[str, str, str]

#: What a read that leaves rows out has looked at: resources by the name of the request ("name") or of any ("").
_READS: Mapping[Any, tuple[tuple[str, str], ...]] = {
    visible.nodes: (("node_prefix", ""),),
    visible.service_names: (("service_prefix", ""),),
    visible.entries: (("service", "name"), ("node_prefix", "")),
    visible.node_services: (("node", "name"), ("service_prefix", "")),
    visible.checks: (("node_prefix", ""), ("service_prefix", "")),
    visible.keys: (("key_prefix", "name"),),
    visible.sessions: (("session_prefix", ""),),
    visible.coordinates: (("node_prefix", ""),),
    visible.gateway_services: (("service_prefix", ""),),
    visible.intentions: (("intentions_prefix", ""),),
    visible.prepared_queries: (("query_prefix", ""),),
}


class Usage:
    """Of all tokens that this agent has judged since it started."""

    def __init__(self) -> None:
        #: Accessor -> when it was used since `take` was last called.
        self._used: dict[str, None] = {}
        self._allowed: OrderedDict[str, dict[Right, None]] = OrderedDict()
        self._denied: OrderedDict[str, dict[Right, None]] = OrderedDict()

    def used(self, accessor: str) -> None:
        """A token was brought."""
        self._used[accessor] = None

    def take(self) -> list[str]:
        """Who was used since the last call, each once, at most a batch of them."""
        taken = list(self._used)[:_BATCH]
        for accessor in taken:
            del self._used[accessor]
        return taken

    def note(self, accessor: str, resource: str, access: str, name: str, allowed: bool) -> None:
        """A decision was made."""
        table = self._allowed if allowed else self._denied
        rights = table.get(accessor)
        if rights is None:
            if len(table) >= MAX_TOKENS:
                table.popitem(last=False)
            rights = table[accessor] = {}
        if len(rights) < MAX_RIGHTS:
            rights[resource, access, name] = None

    def saw(self, accessor: str, route: Route, request: Request) -> None:
        """A read was answered with what the token may see."""
        for resource, of in _READS.get(route.visible, ()):
            if resource == "key_prefix" and not (request.query.has("recurse") or request.query.has("keys")):
                continue
            self.note(accessor, resource, "read", request.name if of else "", True)

    def allowed(self, accessor: str) -> list[Right]:
        """What it was allowed, in order."""
        return sorted(self._allowed.get(accessor, ()))

    def denied(self, accessor: str) -> list[Right]:
        """What it was denied, in order."""
        return sorted(self._denied.get(accessor, ()))


def proposed_rules(rights: Iterable[Right]) -> str:
    """The least rules that allow `rights`, as HCL: one for each name, with the strongest level that was asked for."""
    levels: dict[tuple[str, str], str] = {}
    intentions: dict[tuple[str, str], str] = {}
    for resource, access, name in rights:
        kind = resource.removesuffix("_prefix")
        if kind == "intentions":
            key = (resource.replace("intentions", "service"), name)
            intentions[key] = _stronger(intentions.get(key, ""), access)
            levels.setdefault(key, "read")
        elif kind in RESOURCES:
            key = (resource, name if RESOURCES[kind].label else "")
            levels[key] = _stronger(levels.get(key, ""), access)
    blocks = []
    for (resource, name), level in sorted(levels.items()):
        if _covered(levels, resource, name, level):
            continue
        if not RESOURCES[resource.removesuffix("_prefix")].label:
            blocks.append(f'{resource} = "{level}"')
            continue
        also = intentions.get((resource, name), "")
        extra = f'\n  intentions = "{also}"' if also == "write" else ""
        blocks.append(f'{resource} "{_quoted(name)}" {{\n  policy = "{level}"{extra}\n}}')
    return "\n".join(blocks) + "\n" if blocks else ""


def _stronger(held: str, access: str) -> str:
    return access if not held or held in ACCESS[access] else held


def _covered(levels: Mapping[tuple[str, str], str], resource: str, name: str, level: str) -> bool:
    """Whether a rule for a prefix, which is proposed too, allows it already."""
    kind = resource.removesuffix("_prefix")
    for (other, prefix), held in levels.items():
        wider = other == f"{kind}_prefix" and name.startswith(prefix) and (other, prefix) != (resource, name)
        if wider and level in ACCESS[held]:
            return True
    return False


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


async def tell_used(agent: Agent, usage: Usage) -> None:
    """Write when tokens were used, for ever: one command a minute, if any was."""
    while True:
        await agent.clock.sleep(TELL_S)
        taken = [accessor for accessor in usage.take() if accessor in agent.store.acl.tokens]
        if not taken:
            continue
        at = _minute(agent.clock.now())
        try:
            await agent.write(commands.AclTokensUsed(tuple((accessor, at) for accessor in taken)))
        except MeshError as error:
            log.debug("the use of tokens could not be written: %s", error)
            for accessor in taken:
                usage.used(accessor)


def _minute(now: datetime) -> str:
    return now.astimezone(UTC).replace(second=0, microsecond=0).isoformat().replace("+00:00", "Z")
