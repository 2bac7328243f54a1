"""Who is on the other side, and whether we want to talk: decided on its hello and its certificate's names.

Source: design.md "Bad input"; Consul's rule that only a certificate with `server.<datacenter>.<domain>` makes a server
(developer.hashicorp.com/consul/docs/agent/config/config-files, `tls.internal_rpc.verify_server_hostname`).

What may be changed: protocol versions go up with any change that an older peer would not ignore (`frames.py`); the row
in `VERSIONS` says what it added.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from meshagent.catalog.rpc.frames import Hello
from meshagent.catalog.rpc.reasons import Reason

__all__ = [
    "CLIENT",
    "NEWEST",
    "OLDEST",
    "SERVER",
    "VERSIONS",
    "WINDOWS_SINCE",
    "Identity",
    "Peer",
    "judge",
    "server_name",
]

#: Protocol version -> what it added.
VERSIONS = {1: "0.1: frames 1 to 11", 2: "0.1: windows of streams, frame 12"}
#: From this version on a stream may be asked for with a window.
WINDOWS_SINCE = 2
OLDEST = min(VERSIONS)
NEWEST = max(VERSIONS)

SERVER = "server"
CLIENT = "client"
_ROLES = (SERVER, CLIENT)
#: Longest name in a hello. DNS names and UUIDs are shorter.
MAX_NAME_CHARS = 255


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are. `cluster_id` is "" until this server belongs to a cluster; then any cluster's hello is taken."""

    node_id: str
    node_name: str
    datacenter: str
    cluster_id: str = ""
    role: str = SERVER

    def hello(self, epoch: int = 0) -> Hello:
        """Our hello; `epoch` counts our dials, 0 when we were dialled."""
        return Hello(OLDEST, NEWEST, self.cluster_id, self.datacenter, self.node_id, self.node_name, self.role, epoch)

    def in_cluster(self, cluster_id: str) -> Identity:
        """The same, as a member of a cluster."""
        return replace(self, cluster_id=cluster_id)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is on the other side of a connection, as far as its certificate proves what its hello says."""

    node_id: str
    node_name: str
    datacenter: str
    cluster_id: str
    role: str
    version: int
    epoch: int
    """The dialler's count of connections: it never falls while the dialler runs, so a higher one is newer."""
    proven: bool = False
    """Whether its certificate speaks for this very node."""


def server_name(datacenter: str, domain: str) -> str:
    """The DNS name that a server's certificate must carry."""
    return f"server.{datacenter}.{domain.strip('.')}"


def judge(
    hello: Hello,
    own: Identity,
    *,
    epoch: int,
    expected_node_id: str = "",
    names: Collection[str] | None = None,
    domain: str = "consul",
    only_node: str | None = None,
) -> Peer | tuple[Reason, str]:
    """The peer, or why it is refused and what its owner should do.

    `epoch` is ours when we dialled (then the peer's is 0), else 0. `names` are the DNS names of its certificate when a
    server must prove that it is one (lower case), None when no proof is asked for. `only_node` is the client agent that
    the certificate speaks for, "" when it is for something else, None when it says nothing of agents.
    """
    texts = (hello.cluster_id, hello.datacenter, hello.node_id, hello.node_name, hello.role)
    if hello.role not in _ROLES or not hello.node_id or any(len(text) > MAX_NAME_CHARS for text in texts):
        return Reason.GARBAGE, "the hello has no node id, an unknown role, or a name that is too long"
    if hello.oldest > NEWEST or hello.newest < OLDEST or hello.oldest > hello.newest:
        said = f"{hello.oldest} to {hello.newest}"
        return Reason.VERSION, f"it speaks protocol versions {said}, this agent {OLDEST} to {NEWEST}: upgrade the older"
    if hello.datacenter != own.datacenter:
        return Reason.WRONG_DATACENTER, f"it is in datacenter {hello.datacenter!r}, this agent in {own.datacenter!r}"
    if own.cluster_id and hello.cluster_id and hello.cluster_id != own.cluster_id:
        return (
            Reason.WRONG_CLUSTER,
            f"it belongs to cluster {hello.cluster_id!r}, this agent to {own.cluster_id!r}: "
            "a server moves to another cluster with an empty data_dir",
        )
    if hello.node_id == own.node_id:
        return Reason.WRONG_NODE, f"it has our own node id {own.node_id!r}: an address of ours, or a copied data_dir"
    if expected_node_id and hello.node_id != expected_node_id:
        return Reason.WRONG_NODE, f"it is node {hello.node_id!r}, not {expected_node_id!r}: its address was taken over"
    if only_node is not None and hello.role == SERVER:
        return Reason.NOT_A_SERVER, "its certificate is that of a client agent or of a service"
    if only_node is not None and hello.node_name.lower() != only_node.lower():
        spoken_for = f"node {only_node!r}" if only_node else "no agent of this datacenter"
        return Reason.WRONG_NODE, f"it says it is node {hello.node_name!r}, its certificate is for {spoken_for}"
    if hello.role == SERVER and names is not None:
        needed = server_name(own.datacenter, domain)
        if needed.lower() not in names:
            return Reason.NOT_A_SERVER, f"its certificate is not for {needed!r} (verify_server_hostname)"
    return Peer(
        node_id=hello.node_id,
        node_name=hello.node_name,
        datacenter=hello.datacenter,
        cluster_id=hello.cluster_id,
        role=hello.role,
        version=min(NEWEST, hello.newest),
        epoch=max(epoch, hello.epoch),
        proven=only_node is not None,
    )
