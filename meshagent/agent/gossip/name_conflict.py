"""Who keeps a name that two nodes claim: the one that most members know.

Source: serf's conflict resolution (golden notes, "Queries": fewer than half + 1 of the answers for our address, and we
go). Pure. What may change here: nothing; both claimants count the same votes.
"""

from __future__ import annotations

from meshagent.agent.gossip.node import Node
from meshagent.agent.gossip.serf_messages import ConflictResponse, decode
from meshagent.agent.gossip.serf_signals import QueryResult
from meshagent.errors import RemoteProtocolError

__all__ = ["is_lost"]


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
