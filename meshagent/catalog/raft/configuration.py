"""Which servers there are, and which of them vote; the bytes of a log entry that changes it.

Source: Ongaro (2014), section 4: one change at a time, in force from the moment its entry is in the log. An entry holds
the whole configuration, not the change: whoever has the newest one needs no other, and taking it back is going back to
the one before. First byte as in `batch.py`, then msgpack: [version, [[node_id, address, voter, incarnation], ...]].

What may be changed: fields are appended with defaults; `VERSION` goes up with any other change of the layout, and old
versions stay readable: they are in logs on disk.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshagent.catalog.raft.batch import MEMBERSHIP
from meshagent.errors import CorruptData

__all__ = ["Configuration", "Server", "decode_configuration", "encode_configuration", "initial"]

VERSION = 1


class Server(msgspec.Struct, frozen=True, array_like=True):
    """`incarnation` is that of its data directory (`vote.py`), 0 while it is not known: another one does not count."""

    node_id: str
    address: str
    voter: bool
    incarnation: int = 0


class Configuration(msgspec.Struct, frozen=True, array_like=True):
    """Servers by node id, in order of id."""

    servers: tuple[Server, ...] = ()

    @property
    def voters(self) -> frozenset[str]:
        return frozenset(server.node_id for server in self.servers if server.voter)

    @property
    def incarnations(self) -> dict[str, int]:
        return {server.node_id: server.incarnation for server in self.servers}

    @property
    def addresses(self) -> dict[str, str]:
        return {server.node_id: server.address for server in self.servers}

    def get(self, node_id: str) -> Server | None:
        return next((server for server in self.servers if server.node_id == node_id), None)

    @property
    def anonymous(self) -> Configuration:
        """The same servers, whatever their data directories."""
        return Configuration(tuple(Server(each.node_id, each.address, each.voter) for each in self.servers))

    def having(self, server: Server) -> Configuration:
        """With `server` added, or in the place of the one of the same id."""
        rest = [other for other in self.servers if other.node_id != server.node_id]
        return Configuration(tuple(sorted([*rest, server], key=lambda each: each.node_id)))

    def without(self, node_id: str) -> Configuration:
        return Configuration(tuple(server for server in self.servers if server.node_id != node_id))


def initial(addresses: Mapping[str, str]) -> Configuration:
    """The configuration that a new cluster of these begins with."""
    return Configuration(tuple(Server(node, address, True) for node, address in sorted(addresses.items())))


_decoder = msgspec.msgpack.Decoder(tuple[int, Configuration])


def encode_configuration(configuration: Configuration) -> bytes:
    return bytes((MEMBERSHIP,)) + msgspec.msgpack.encode((VERSION, configuration))


def decode_configuration(entry: bytes) -> Configuration:
    """Raises CorruptData."""
    try:
        version, configuration = _decoder.decode(memoryview(entry)[1:])
    except msgspec.DecodeError as error:
        raise CorruptData(f"log entry of members does not decode: {error}") from error
    if version != VERSION:
        raise CorruptData(f"log entry of members in version {version}, this program reads {VERSION}: use a newer one")
    return configuration
