"""What a member of the pool says of itself as a server, read from its tags.

Source: surface section 9.3 (tags), O7 (what the catalog keeps of a server). Tags come from other agents, so nothing is
taken on trust: a tag that is not what it should be makes the member no server. Pure. What may change here: tags may be
added, never renamed.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshagent.agent.gossip.member import Member
from meshagent.agent.self_registration import ServerFacts
from meshagent.ids import is_uuid

__all__ = ["ServerTags", "read_server"]

SERVER_ROLE = "consul"


@dataclass(frozen=True, slots=True)
class ServerTags:
    """A server: `address` is `host:port` of its RPC port. `expect` is 0 when it does not wait to begin a cluster."""

    name: str
    node_id: str
    address: str
    expect: int
    bootstrap: bool
    facts: ServerFacts


def read_server(member: Member, datacenter: str) -> ServerTags | None:
    """The server that `member` is; None for a client, one of another datacenter, or tags that are not a server's."""
    tags = member.tags
    node_id = tags.get("id", "").lower()
    port = _number(tags.get("port"))
    if tags.get("role") != SERVER_ROLE or tags.get("dc") != datacenter or not is_uuid(node_id) or not 0 < port < 65536:
        return None
    host = f"[{member.addr}]" if ":" in member.addr else member.addr
    facts = ServerFacts(
        node_id=node_id,
        name=member.name,
        address=member.addr,
        datacenter=datacenter,
        server_port=port,
        grpc_port=_number(tags.get("grpc_port")),
        grpc_tls_port=_number(tags.get("grpc_tls_port")),
        non_voter="nonvoter" in tags,
        read_replica="read_replica" in tags,
        version=tags.get("build", "").partition(":")[0],
        raft_version=_number(tags.get("raft_vsn")),
        serf_protocol=(member.protocol_cur, member.protocol_min, member.protocol_max),
    )
    return ServerTags(
        name=member.name,
        node_id=node_id,
        address=f"{host}:{port}",
        expect=_number(tags.get("expect")),
        bootstrap=tags.get("bootstrap") == "1",
        facts=facts,
    )


def _number(text: str | None) -> int:
    """A small number, or 0 when it is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0
