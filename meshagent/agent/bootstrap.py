"""How a cluster of `bootstrap_expect` servers begins: who may begin it, with whom, and what each must have promised.

Source: developer.hashicorp.com/consul/docs/install/bootstrapping, surface row G10 (`bootstrap_expect`). Every server
tells in its tags how many it expects. When that many have met, the one with the lowest id asks all others for a
promise: they have no state and promise no other set of servers. With all promises it begins, and has the others begin
with the same set. Upstream lets each begin by itself, so that servers that see different sets may begin two clusters.

Pure: members come in, a decision with its reason comes out. What may change here: reasons; not that every one of the
set must have promised.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from meshagent.agent.server_tags import ServerTags
from meshagent.catalog.raft.configuration import Configuration, initial

__all__ = ["PROMISE_S", "Decision", "Promises", "decide"]

#: A promise that nobody came back to is void after so many seconds: who asked for it is gone.
PROMISE_S = 10.0


@dataclass(frozen=True, slots=True)
class Decision:
    """`configuration`: ask all others for their promise, then begin with it. None: wait, for `reason`."""

    configuration: Configuration | None
    reason: str
    warn: bool = False


def decide(own_id: str, expect: int, servers: Iterable[ServerTags]) -> Decision:
    """What the server `own_id` is to do, given all servers that are alive, itself among them."""
    found = sorted(servers, key=lambda server: server.node_id)
    for server in found:
        if server.bootstrap:
            return Decision(None, f"{server.name} has bootstrap set: this server waits to be added", warn=True)
        if server.expect and server.expect != expect:
            return Decision(
                None,
                f"{server.name} expects {server.expect} servers, this one {expect}: "
                "bootstrap_expect must be the same on all",
                warn=True,
            )
    waiting = [server for server in found if server.expect == expect]
    if len(waiting) < expect:
        return Decision(None, f"{len(waiting)} of {expect} expected servers are here")
    chosen = waiting[:expect]
    if chosen[0].node_id != own_id:
        return Decision(None, f"{chosen[0].name} begins the cluster")
    return Decision(initial({server.node_id: server.address for server in chosen}), "all expected servers are here")


class Promises:
    """What this server has promised, if anything."""

    def __init__(self) -> None:
        self._to: Configuration | None = None
        self._until = 0.0

    def give(self, configuration: Configuration, now: float) -> bool:
        """Promise to begin with `configuration` and no other; False when another is promised."""
        if self._to is not None and self._to != configuration and now < self._until:
            return False
        self._to, self._until = configuration, now + PROMISE_S
        return True

    def holds(self, configuration: Configuration, now: float) -> bool:
        """Whether that was promised and not withdrawn since."""
        return self._to == configuration and now < self._until
