"""Who keeps a name that two nodes claim: the one that most members know.

Source: serf's conflict resolution (golden notes, "Queries": fewer than half + 1 of the answers for our address, and we
go). Pure. What may change here: nothing; both claimants count the same votes.
"""

from __future__ import annotations

from meshagent.agent.gossip.node import Node
from meshagent.agent.gossip.serf_codec import decode
from meshagent.agent.gossip.serf_messages import ConflictResponse
from meshagent.agent.gossip.serf_signals import NameLost, QueryEnded, QueryResult
from meshagent.errors import RemoteProtocolError
from meshagent.machine import Command

__all__ = ["NameConflict", "is_lost"]


def is_lost(local: Node, result: QueryResult) -> bool:
    """Whether the answers give our name to another node; what cannot be read is a vote for nobody."""
    votes = 0
    for payload in result.responses.values():
        try:
            told = decode(payload)
        except RemoteProtocolError:
            continue
        votes += isinstance(told, ConflictResponse) and (told.addr, told.port) == (local.addr, local.port)
    return votes < len(result.responses) // 2 + 1


class NameConflict:
    """Our own question about our name, while it runs."""

    def __init__(self) -> None:
        self.asking = 0
        """The number of the query; 0 while there is none."""

    def settle(self, out: list[Command], local: Node) -> None:
        """Take the end of the question out of `out`, which goes to the edge; if the name is lost, say so there."""
        if not self.asking:
            return
        for command in out:
            if isinstance(command, QueryEnded) and command.number == self.asking:
                self.asking = 0
                out.remove(command)
                if is_lost(local, command.result):
                    out.append(NameLost())
                return
