"""Why a connection was refused or ended: the words of metrics labels, log lines and `Goodbye` frames.

Source: ours. What may be changed: words are part of the API (labels of `rpc.refused` and `rpc.closed`): append-only.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Reason"]


class Reason(StrEnum):
    """A word, and whether it is the peer's fault (`refused`) or the end of something that worked."""

    # refused: never accepted, or broke the protocol
    GARBAGE = "garbage"
    """Not our protocol, a frame that does not decode, one that is too large, one that is not allowed now."""
    PLAIN = "plain"
    """Without TLS, though this listener has a certificate."""
    UNEXPECTED_TLS = "unexpected_tls"
    """TLS, though this listener has no certificate."""
    CERTIFICATE = "certificate"
    """The TLS handshake failed: none, expired, of a strange authority, or a name that does not fit."""
    ALPN = "alpn"
    """TLS for another protocol."""
    NOT_A_SERVER = "not_a_server"
    """Says it is a server, or sends Raft messages; its certificate says otherwise."""
    WRONG_CLUSTER = "wrong_cluster"
    WRONG_DATACENTER = "wrong_datacenter"
    WRONG_NODE = "wrong_node"
    """Another server than the one we dialled, or ourselves."""
    VERSION = "version"
    """No protocol version in common."""
    TOO_MANY = "too_many_connections"
    HANDSHAKE_TIMEOUT = "handshake_timeout"
    # ended
    UNREACHABLE = "unreachable"
    """No TCP connection."""
    LOST = "lost"
    """The other side or the network closed it."""
    SILENT = "silent"
    """No answer to a ping: half-open."""
    SLOW = "slow_peer"
    """Does not read what we send."""
    SUPERSEDED = "superseded"
    """The same peer has dialled again."""
    STOPPING = "stopping"
    """We, or the peer, shut down."""

    @property
    def refused(self) -> bool:
        """Whether it is bad input, counted as `rpc.refused`."""
        return self in _REFUSED


_REFUSED = frozenset(list(Reason)[: list(Reason).index(Reason.UNREACHABLE)])
