"""`peers.json`: which servers there are from now on, written by a person when a quorum is lost for good.

Source: surface row G7 and https://developer.hashicorp.com/consul/tutorials/operate-consul/recovery-outage: a list of
{"id", "address", "non_voter"} in `raft/`, the same on each server that is left, read once at start and then removed.

What may be changed: what is refused, never what is accepted.
"""

from __future__ import annotations

import msgspec

from meshagent.catalog.raft.configuration import Configuration, Server
from meshagent.errors import ConfigError

__all__ = ["EXAMPLE", "PEERS_FILE", "decode_peers", "encode_peers"]

PEERS_FILE = "peers.json"
EXAMPLE = '[{"id": "<node id>", "address": "10.0.0.1:8300", "non_voter": false}]'
MAX_BYTES = 1 << 20


class _Peer(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    address: str
    non_voter: bool = False


_decoder = msgspec.json.Decoder(list[_Peer])


def decode_peers(data: bytes, *, name: str) -> Configuration:
    """Raises ConfigError: says what is wrong in the file `name`, and where."""
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{name}: {len(data)} bytes, the limit is {MAX_BYTES}")
    try:
        peers = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: {error}; it must look like {EXAMPLE}") from error
    problems: list[str] = []
    seen: set[str] = set()
    for position, peer in enumerate(peers):
        host, _, port = peer.address.rpartition(":")
        if not peer.id:
            problems.append(f"{name}: [{position}].id is empty")
        if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port[:6]) < 65536:
            problems.append(f"{name}: [{position}].address is {peer.address!r}, not host:port")
        for value, field in ((peer.id, "id"), (peer.address, "address")):
            if value in seen:
                problems.append(f"{name}: [{position}].{field} {value!r} stands there twice")
            seen.add(value)
    if not problems and all(peer.non_voter for peer in peers):
        problems.append(f"{name}: no server in it votes: a cluster needs one")
    if problems:
        raise ConfigError(problems)
    servers = sorted((Server(peer.id, peer.address, not peer.non_voter) for peer in peers), key=lambda one: one.node_id)
    return Configuration(tuple(servers))


def encode_peers(configuration: Configuration) -> bytes:
    peers = [_Peer(server.node_id, server.address, not server.voter) for server in configuration.servers]
    return msgspec.json.format(msgspec.json.encode(peers), indent=2) + b"\n"
